"""The scripts: their form, their options, their errors."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = ["deploy/install_deps.sh", "deploy/quickstart.sh", "tests/run.sh", ".ci/run",
           "docker/collect.sh", "tests/fuzz/run_fuzzer.sh", "tests/sanitizers/run_binary.sh"]


def run(*command, **more):
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
                          check=False, **more)


class ScriptsTest(unittest.TestCase):

    def test_shellcheck_finds_nothing(self):
        result = run("shellcheck", *SCRIPTS)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_scripts_can_be_executed(self):
        for script in SCRIPTS:
            self.assertTrue(os.access(os.path.join(REPOSITORY, script), os.X_OK), script)

    def test_unknown_option_is_one_clear_line(self):
        for script in ("deploy/install_deps.sh", "deploy/quickstart.sh", "tests/run.sh"):
            result = run(script, "--bogus")
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("unknown option '--bogus'", result.stderr.splitlines()[-1])

    def test_quickstart_names_a_missing_data_folder(self):
        result = run("deploy/quickstart.sh", "--data", "/no/such/folder")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "quickstart.sh: --data: no folder /no/such/folder\n")

    def test_quickstart_names_an_unknown_recipe(self):
        result = run("deploy/quickstart.sh", "--recipe", "nope")
        self.assertEqual(result.returncode, 2)
        self.assertIn("no recipe 'nope'", result.stderr)

    def test_list_prints_exact_versions(self):
        result = run("deploy/install_deps.sh", "--list", "--tools", "--cuda")
        self.assertEqual(result.returncode, 0, result.stderr)
        for line in ("wheel torch==2.11.0 sha256:", "wheel nvidia-nccl-cu13==2.28.9 sha256:"):
            self.assertIn(line, result.stdout)
        self.assertRegex(result.stdout, r"debian libgrpc\+\+-dev=1\.51\.1")

    def test_every_wheel_is_pinned_by_its_digest(self):
        folder = os.path.join(REPOSITORY, "deploy", "deps")
        for name in os.listdir(folder):
            if not name.startswith("wheels"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for line in file:
                    if line.strip() and not line.startswith("#"):
                        self.assertRegex(line, r"^[\w-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}$")

    def test_too_little_room_is_refused_first(self):
        # A file system of 1 MB, where the test may make one.
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder],
                              capture_output=True, check=False).returncode != 0:
                self.skipTest("needs the right to mount a file system")
            try:
                result = run("deploy/install_deps.sh", env={**os.environ, "G2LL_DEPS": folder})
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, r"LibTorch needs \d+ MB below .*, \d MB are free")
            finally:
                subprocess.run(["umount", folder], check=True)

    def test_the_folder_of_libtorch_is_the_one_that_cmake_looks_in(self):
        with open(os.path.join(REPOSITORY, "deploy/deps/wheels.txt"), encoding="utf-8") as file:
            pins = "".join(line for line in file if "==" in line)
        digest = hashlib.sha256(pins.encode()).hexdigest()[:16]
        cache = os.path.join(os.environ["G2LL_BUILD_DIR"], "CMakeCache.txt")
        with open(cache, encoding="utf-8") as file:
            library = re.search(r"^LibTorch_CPU_LIBRARY:FILEPATH=(.*)$", file.read(), re.M)[1]
        self.assertIn(f"/{digest}/torch/lib/", library)

    def test_the_contract_is_lint_clean(self):
        store = os.environ.get("G2LL_DEPS") or os.path.expanduser("~/.cache/g2ll")
        with open(os.path.join(REPOSITORY, "deploy/deps/wheels-tools.txt"), encoding="utf-8") as file:
            pins = "".join(line for line in file if "==" in line)
        buf = os.path.join(store, "tools-" + hashlib.sha256(pins.encode()).hexdigest()[:16], "bin/buf")
        self.assertTrue(os.path.exists(buf), f"no {buf}: run deploy/install_deps.sh --tools")
        result = run(buf, "lint", "proto")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_sources_are_formatted(self):
        files = run("git", "ls-files", "*.cc", "*.h").stdout.split()
        self.assertTrue(files)
        result = run("clang-format", "--dry-run", "--Werror", *files)
        self.assertEqual(result.returncode, 0, result.stderr[:2000])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
