"""Bad input: one clear line each, the right exit code, quickly, and nothing half stored."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import support

JOB = """apiVersion: g2ll/v1
kind: {kind}
metadata: {{ name: bad }}
spec:
  recipe: smoke
  data: {{ source: "{source}" }}
"""
GOOD = JOB.format(kind="PretrainJob", source="synthetic:dermoscopy?count=16&seed=1")

# Runs a program and writes its seconds and its peak of memory. A process of its own, for
# the peak of a child begins with that of its parent, and this test holds large texts.
MEASURE = """
import os, sys, time
start = time.monotonic()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w", encoding="ascii") as file:
    print(time.monotonic() - start, usage.ru_maxrss, file=file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def messages(result):
    return [line for line in result.stderr.splitlines() if line.strip()]


class BadInputTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster(workers=1)
        cls.enterClassContext(cls.cluster)

    def tearDown(self):
        self.assertEqual(self.cluster.json("list"), [], "nothing is stored")

    def refuse(self, text, code, *words, seconds=None):
        """Submits `text`, which must end with `code` and one line that has all `words`."""
        file = self.cluster.path("bad.yaml")
        with open(file, "wb") as output:
            output.write(text if isinstance(text, bytes) else text.encode())
        result, took, peak = self.measured("submit", "-f", file)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(messages(result)), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        if seconds is not None:
            self.assertLess(took, seconds)
            self.assertLess(peak, 200 * 1024, "kB of memory")

    def measured(self, *arguments):
        """Runs `g2ll`; returns it, the seconds that it took and its peak of memory in kB."""
        figures = self.cluster.path("figures")
        result = subprocess.run(
            [sys.executable, "-c", MEASURE, figures, support.program("g2ll"), *arguments],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1", "G2LL_SERVER": self.cluster.address})
        with open(figures, encoding="ascii") as file:
            seconds, kilobytes = file.read().split()
        return result, float(seconds), int(kilobytes)

    # The job file.

    def test_unknown_key_names_line_and_nearest_key(self):
        self.refuse(GOOD + "  mask: { gama: 0.25 }\n", 2, "bad.yaml:7", "gama", "gamma")

    def test_wrong_type_names_key_and_value(self):
        self.refuse(GOOD + "  mask: { gamma: much }\n", 2, "bad.yaml:7", "spec.mask.gamma", "much")

    def test_value_out_of_range_names_what_is_allowed(self):
        self.refuse(GOOD + "  mask: { gamma: 2 }\n", 2, "bad.yaml:7", "spec.mask.gamma", "[0, 1]")

    def test_unknown_choice_names_the_choices(self):
        self.refuse(GOOD + "  method: gl2l\n", 2, "spec.method", "gl2l", "g2ll")

    def test_unknown_kind(self):
        self.refuse(GOOD.replace("PretrainJob", "TrainJob"), 2, "TrainJob", "PretrainJob")

    def test_every_fault_has_its_line(self):
        file = self.cluster.write("two.yaml", GOOD + "  mask: { gamma: much }\n  sed: 1\n")
        result = self.cluster.g2ll("submit", "-f", file)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len(messages(result)), 2, result.stderr)

    def test_nan_is_refused(self):
        self.refuse(GOOD + "  mask: { gamma: .nan }\n", 2, "spec.mask.gamma", seconds=1)

    def test_nul_bytes_are_refused(self):
        self.refuse(GOOD.encode() + b"  seed: 1\0\n", 2, "NUL", seconds=1)

    def test_a_file_of_100_mb_is_refused_within_a_second(self):
        self.refuse("# " + "x" * 100_000_000, 2, "bad.yaml", seconds=1)

    def test_a_bomb_of_anchors_is_refused_within_a_second(self):
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
        self.refuse(bomb, 2, seconds=1)

    def test_deep_nesting_is_refused(self):
        self.refuse("a: " + "[" * 100_000, 2, seconds=1)

    def test_missing_file(self):
        result = self.cluster.g2ll("submit", "-f", "/no/such/job.yaml")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/no/such/job.yaml", result.stderr)

    # The data.

    def folder(self):
        """A generated folder in ISIC's layout, and the training images in it."""
        folder = self.cluster.path("data")
        shutil.rmtree(folder, ignore_errors=True)
        self.cluster.ok("data", "generate", "--to", folder, "--count", "4", "--seed", "1")
        images = []
        for place, _, files in os.walk(folder):
            if "train" in place.lower():
                images += [os.path.join(place, f) for f in files if "segmentation" not in f.lower()]
        return folder, sorted(images)

    def test_missing_data_folder(self):
        self.refuse(JOB.format(kind="PretrainJob", source="/no/such/folder"), 2, "/no/such/folder")

    def test_missing_data_folder_of_a_later_document(self):
        good = GOOD.replace("name: bad", "name: good")
        chain = good + "---\n" + JOB.format(kind="FinetuneJob", source="/no/such/folder") + (
            "  init: { from: job/good }\n")
        self.refuse(chain, 2, "bad.yaml:13: spec.data.source", "/no/such/folder")
        dry = self.cluster.g2ll("submit", "--dry-run", "-f", self.cluster.path("bad.yaml"))
        self.assertEqual((dry.returncode, dry.stdout), (2, ""), dry.stderr)

    def test_empty_data_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refuse(JOB.format(kind="PretrainJob", source=folder), 2, folder)

    def test_mask_without_image(self):
        folder, (image, *_) = self.folder()
        os.remove(image)
        self.refuse(JOB.format(kind="FinetuneJob", source=folder), 2,
                    os.path.splitext(os.path.basename(image))[0])

    def test_unreadable_image(self):
        folder, (image, *_) = self.folder()
        with open(image, "wb") as file:
            file.write(b"this is no picture")
        self.refuse(JOB.format(kind="FinetuneJob", source=folder), 2, os.path.basename(image))

    def data_job(self, kind, source, **keys):
        """A job on that folder with more keys of its data; JSON is YAML too."""
        spec = {"recipe": "smoke", "data": {"source": source, **keys}}
        if kind == "PretrainJob":
            spec["method"] = "supervised"
        return json.dumps({"apiVersion": "g2ll/v1", "kind": kind, "metadata": {"name": "bad"},
                           "spec": spec})

    def write(self, name, text):
        file = self.cluster.path(name)
        with open(file, "w", encoding="utf-8") as output:
            output.write(text)
        return file

    def test_class_file_that_names_no_image(self):
        folder, _ = self.folder()
        table = self.write("classes.csv", "image,MEL,NV\nISIC_0000000,1,0\nISIC_0000001,0,1\n")
        self.refuse(self.data_job("PretrainJob", folder, classFile=table), 2,
                    "spec.data.classFile: " + table + ": line 2", "ISIC_0000000")

    def test_class_file_with_a_broken_row(self):
        folder, _ = self.folder()
        table = self.write("classes.csv", "image,MEL,NV\nISIC_0000000,1,0\nISIC_0000001,1,1\n")
        self.refuse(self.data_job("PretrainJob", folder, classFile=table), 2,
                    table + ": line 3", "ISIC_0000001")

    def test_fraction_that_leaves_no_image(self):
        folder, _ = self.folder()
        self.refuse(self.data_job("FinetuneJob", folder, fraction=0.01), 2,
                    "bad.yaml:1: spec.data.fraction: 0.01 leaves none of the 4 images")

    def test_exclusion_that_does_not_exist_or_leaves_no_image(self):
        folder, _ = self.folder()
        missing = self.cluster.path("no_ids.txt")
        self.refuse(self.data_job("FinetuneJob", folder, excludeIds=[missing]), 2,
                    "spec.data.excludeIds: " + missing, "no such file")
        self.refuse(self.data_job("FinetuneJob", folder, excludeIds=[folder]), 2,
                    "spec.data.excludeIds: leaves none of the")

    def test_data_check_names_every_fault(self):
        folder, images = self.folder()
        os.remove(images[0])
        with open(images[1], "wb") as file:
            file.write(b"this is no picture")
        result = self.cluster.g2ll("data", "check", folder)
        self.assertEqual(result.returncode, 1)
        for image in images[:2]:
            self.assertIn(os.path.splitext(os.path.basename(image))[0],
                          result.stdout + result.stderr)

    # Programs and places.

    def test_client_without_server(self):
        result = support.run("g2ll", "--server", "127.0.0.1:1", "list")
        self.assertEqual(result.returncode, 4)
        self.assertEqual(len(messages(result)), 1, result.stderr)
        self.assertIn("127.0.0.1:1", result.stderr)

    def test_unknown_job(self):
        result = self.cluster.g2ll("get", "nothing")
        self.assertEqual(result.returncode, 5)
        self.assertIn("nothing", result.stderr)

    def test_unknown_command(self):
        result = support.run("g2ll", "sumbit")
        self.assertEqual(result.returncode, 2)

    def refuse_coordinator(self, *words, arguments=(), command=None):
        """Starts a coordinator that must refuse in one line that has all `words`."""
        command = command or [support.program("g2ll-coordinator")]
        result = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30,
                                check=False)
        lines = messages(result)
        self.assertEqual(result.returncode, 2, lines)
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])

    def test_address_in_use(self):
        with socket.socket() as taken, tempfile.TemporaryDirectory() as folder:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refuse_coordinator(address, "in use", arguments=(
                "--listen", address, "--http-listen", "127.0.0.1:0", "--data-dir",
                folder + "/data", "--storage-root", folder + "/storage"))

    def test_open_address_in_plain_text_needs_a_flag(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refuse_coordinator("0.0.0.0:0", arguments=(
                "--listen", "0.0.0.0:0", "--http-listen", "127.0.0.1:0", "--data-dir",
                folder + "/data", "--storage-root", folder + "/storage"))

    def test_read_only_data_directory(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/data")
            os.mkdir(folder + "/storage")
            os.chmod(folder, 0o755)
            os.chmod(folder + "/storage", 0o777)
            os.chmod(folder + "/data", 0o555)
            # root may write everywhere, so another user tries, with a copy of the program:
            # the folder of the programs may be closed to others.
            command = None
            if os.geteuid() == 0:
                program = shutil.copy(support.program("g2ll-coordinator"), folder)
                os.chmod(program, 0o755)
                command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program]
            self.refuse_coordinator(folder + "/data", command=command, arguments=(
                "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir",
                folder + "/data", "--storage-root", folder + "/storage"))

    def test_full_data_directory(self):
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder],
                              capture_output=True, check=False).returncode != 0:
                self.skipTest("needs the right to mount a small file system")
            try:
                with open(folder + "/fill", "wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(b"x" * 4096)
                    except OSError:
                        pass
                self.refuse_coordinator(folder, "No space left", arguments=(
                    "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir",
                    folder + "/data", "--storage-root", self.cluster.path("other-storage")))
            finally:
                subprocess.run(["umount", folder], check=True)

    def refuse_store(self, folder, *words):
        self.refuse_coordinator(*words, arguments=(
            "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir",
            folder, "--storage-root", self.cluster.path("other-storage")))

    def test_damaged_store_names_the_newest_backup(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/backups")
            for name in ("g2ll.db", "backups/monday.db"):
                with open(folder + "/" + name, "w", encoding="utf-8") as file:
                    file.write("no database")
            self.refuse_store(folder, folder + "/g2ll.db", "backups/monday.db",
                              "g2ll admin restore")

    def test_directory_of_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/PG_VERSION", "w", encoding="utf-8") as file:
                file.write("15")
            self.refuse_store(folder, "PG_VERSION", "name an empty or new directory")

    def test_worker_without_coordinator_says_so_and_stops_when_told(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/storage")
            with open(folder + "/log", "w+", encoding="utf-8") as log:
                worker = subprocess.Popen(
                    [support.program("g2ll-worker"), "--coordinator", "127.0.0.1:1",
                     "--http-listen", "127.0.0.1:0", "--work-dir", folder + "/work",
                     "--storage-root", folder + "/storage"], stderr=log, stdout=log)

                def said():
                    with open(folder + "/log", encoding="utf-8") as file:
                        return "127.0.0.1:1" in file.read()

                try:
                    support.wait_until(said, "the worker names the address", 20)
                finally:
                    worker.terminate()
                self.assertEqual(worker.wait(timeout=20), 0)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
