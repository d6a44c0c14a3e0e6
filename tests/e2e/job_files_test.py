"""The job files of the paper's tables: all are there, all are accepted, all run at smoke scale."""

import csv
import hashlib
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

import support

FOLDER = os.path.join(support.REPOSITORY, "deploy", "jobs")
sys.path.insert(0, FOLDER)
import generate  # noqa: E402  (the script that writes the files)

METHODS = ("random", "supervised", "mae", "dino", "g2ll")
# A few updates on a few images: enough to see that a job runs to its end. One rank each,
# so that two jobs run side by side.
SHORT = ("pretrain.data.source=synthetic:dermoscopy?count=32&seed=1", "pretrain.train.maxSteps=2",
         "finetune.data.maxValidationImages=4", "finetune.train.maxSteps=3",
         "evaluate.data.source=synthetic:dermoscopy?count=16&seed=2", "evaluate.data.maxImages=4",
         "spec.train.globalBatch=8", "spec.resources.ranks.max=1", "spec.resources.cpusPerRank=1")

# For the runs whose predictions are compared: at the full rate at once, masks are seen soon.
LONGER = ("finetune.train.maxSteps=20", "finetune.optim.warmup=0")


def job_file(scale, name):
    return os.path.join(FOLDER, scale, name)


def names(scale):
    return sorted(os.listdir(os.path.join(FOLDER, scale)))


class GeneratedFilesTest(unittest.TestCase):

    def test_files_are_what_the_generator_writes(self):
        self.assertEqual(generate.differences(), [])

    def test_every_cell_of_both_tables_has_a_file_at_both_scales(self):
        cells = [f"table1-{row}-{percent}.yaml" for row in METHODS for percent in (1, 10, 50, 100)]
        rows = [f"table2-{row}.yaml" for row in ("random", "semantic", "semantic_focal")]
        for scale in ("paper", "smoke"):
            self.assertEqual(names(scale), sorted(cells + rows))


class DryRunTest(unittest.TestCase):
    """A coordinator alone: it checks everything but the data, which nobody here has."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="g2ll-e2e-"))
        address_file = os.path.join(folder, "address.json")
        cls.log = cls.enterClassContext(open(os.path.join(folder, "log"), "wb"))
        coordinator = subprocess.Popen(
            [support.program("g2ll-coordinator"), "--listen", "127.0.0.1:0", "--http-listen",
             "127.0.0.1:0", "--data-dir", folder + "/data", "--storage-root", folder + "/storage",
             "--address-file", address_file], stdin=subprocess.DEVNULL, stderr=cls.log)
        cls.addClassCleanup(coordinator.wait)
        cls.addClassCleanup(coordinator.terminate)
        support.wait_until(lambda: os.path.exists(address_file), "the coordinator is up")
        with open(address_file, encoding="utf-8") as file:
            cls.environment = {"G2LL_SERVER": json.load(file)["address"]}
        cls.folder = folder

    def dry_run(self, file, *more):
        result = support.run("g2ll", "submit", "-f", file, "--dry-run", *more,
                             environment=self.environment)
        self.assertEqual(result.returncode, 0, f"{file}: {result.stderr}")
        return result.stdout

    def test_every_file_is_accepted_and_stored_nowhere(self):
        for scale in ("paper", "smoke"):
            for name in names(scale):
                jobs = [json.loads(line) for line in
                        self.dry_run(job_file(scale, name), "-o", "json").splitlines()]
                self.assertEqual([job["kind"] for job in jobs][-2:], ["FinetuneJob", "EvaluateJob"])
                self.assertEqual(len(jobs), 2 if "-random-" in name else 3, name)
        listed = support.run("g2ll", "list", "-o", "json", environment=self.environment)
        self.assertEqual(json.loads(listed.stdout), [])

    def test_a_dry_run_names_the_source_of_every_default_and_reads_back(self):
        text = self.dry_run(job_file("paper", "table1-g2ll-10.yaml"))
        self.assertRegex(text, r"\n    beta: 0.7 +# default: P 2.2 and 3.4\n")
        self.assertIn("\n  method: g2ll\n", text)  # given: no comment
        full = os.path.join(self.folder, "full.yaml")
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

        def specs(path):
            return [json.loads(line)["spec"] for line in
                    self.dry_run(path, "-o", "json").splitlines()]

        self.assertEqual(specs(full), specs(job_file("paper", "table1-g2ll-10.yaml")))

    def test_rows_of_a_table_differ_in_what_they_compare_and_in_nothing_else(self):
        def pretraining(name):
            line = self.dry_run(job_file("paper", name), "-o", "json").splitlines()[0]
            return json.loads(line)["spec"]["pretrain"]

        rows = [pretraining(f"table2-{row}.yaml")
                for row in ("random", "semantic", "semantic_focal")]
        strategies = [spec["mask"].pop("strategy") for spec in rows]
        self.assertEqual(strategies, ["RANDOM", "SEMANTIC", "SEMANTIC_FOCAL"])
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(rows[0], rows[2])
        self.assertEqual((rows[0]["mask"]["gamma"], rows[0]["distill"]["lambda"]), (0.25, 0))

        def finetuning(name):
            line = self.dry_run(job_file("paper", name), "-o", "json").splitlines()[-2]
            spec = json.loads(line)["spec"]["finetune"]
            return spec.pop("init"), spec["seg"].pop("encoder"), spec

        specs = [finetuning(f"table1-{row}-10.yaml")[2] for row in METHODS]
        for spec in specs[1:]:
            self.assertEqual(spec, specs[0])


def tensors(path):
    """Name -> bytes of every tensor of a safetensors file."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    start = 8 + length
    return {name: content[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]]
            for name, entry in header.items()}


class SmokeRunsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster(workers=2)
        cls.enterClassContext(cls.cluster)
        cls.jobs = []
        for name in names("smoke"):
            changes = SHORT + (LONGER if name.endswith("-100.yaml") else ())
            settings = [word for change in changes for word in ("--set", change)]
            submitted = cls.cluster.ok("submit", "-f", job_file("smoke", name), "-o", "json",
                                       *settings).splitlines()
            cls.jobs += [json.loads(line)["name"].rpartition("/")[2] for line in submitted]

    def wait_for(self, job):
        result = self.cluster.g2ll("wait", job, "--timeout", "5m", timeout=320)
        if result.returncode != 0:
            print(self.cluster.g2ll("why", job).stdout, self.cluster.g2ll("logs", job).stdout)
        self.assertEqual(result.returncode, 0, f"{job}: {result.stderr}")

    def encoder(self, job):
        checkpoint = self.cluster.json("checkpoints", "list", job)[0]["id"]
        target = self.cluster.path(f"encoder-{job}")
        self.cluster.ok("checkpoints", "export", checkpoint, "--what", "encoder", "--to", target)
        return tensors(os.path.join(target, "model.safetensors"))

    def predictions(self, job):
        target = self.cluster.path(f"report-{job}")
        self.cluster.ok("report", job, "--to", target)
        overlays = hashlib.sha256()
        for name in sorted(os.listdir(os.path.join(target, "overlays"))):
            with open(os.path.join(target, "overlays", name), "rb") as file:
                overlays.update(file.read())
        with open(os.path.join(target, "per_image.csv"), encoding="utf-8") as file:
            scores = [tuple(row.values()) for row in csv.DictReader(file)]
        return overlays.hexdigest(), scores

    def test_every_file_runs_to_its_end_and_shares_its_pretraining(self):
        for job in sorted(set(self.jobs)):
            self.wait_for(job)
        # The four cells of a row name one pre-training: 4 rows + 3 of Table 2.
        pretrainings = {job for job in self.jobs if job.endswith("-pretrain")}
        self.assertEqual(len(pretrainings), 7)
        self.assertEqual(len(self.cluster.json("list")), len(set(self.jobs)))
        self.assertEqual(len(set(self.jobs)), 7 + 2 * 23)

    def test_methods_differ_from_each_other(self):
        for method in METHODS:
            self.wait_for(f"smoke-table1-{method}-100-evaluate")
        pretrained = METHODS[1:]
        losses = {method: self.cluster.json("get", f"smoke-table1-{method}-pretrain")["metrics"]["loss"]
                  for method in pretrained}
        print("losses:", losses, flush=True)
        self.assertEqual(len(set(losses.values())), len(pretrained))

        encoders = {method: self.encoder(f"smoke-table1-{method}-pretrain")
                    for method in pretrained}
        finetuned = {method: self.encoder(f"smoke-table1-{method}-100-finetune")
                     for method in METHODS}
        for one, other in itertools.combinations(pretrained, 2):
            # Weights that are drawn differ; so must those that start at the same value.
            for name in ("blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.bias", "norm.weight"):
                self.assertNotEqual(encoders[one][name], encoders[other][name], f"{one} {other}")
        for one, other in itertools.combinations(METHODS, 2):
            self.assertNotEqual(finetuned[one]["blocks.0.attn.qkv.weight"],
                                finetuned[other]["blocks.0.attn.qkv.weight"], f"{one} {other}")

        predictions = {method: self.predictions(f"smoke-table1-{method}-100-evaluate")
                       for method in METHODS}
        for one, other in itertools.combinations(METHODS, 2):
            self.assertNotEqual(predictions[one], predictions[other], f"{one} {other}")

    def test_label_fractions_are_different_runs(self):
        losses = set()
        for percent in (1, 10, 50, 100):
            job = f"smoke-table1-random-{percent}-finetune"
            self.wait_for(job)
            losses.add(self.cluster.json("get", job)["metrics"]["loss"])
        self.assertEqual(len(losses), 4)

    def test_mask_strategies_are_different_runs(self):
        losses = set()
        for strategy in ("random", "semantic", "semantic-focal"):
            job = f"smoke-table2-{strategy}-pretrain"
            self.wait_for(job)
            losses.add(self.cluster.json("get", job)["metrics"]["loss"])
        self.assertEqual(len(losses), 3)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
