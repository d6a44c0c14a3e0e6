"""Pre-train, fine-tune, evaluate through the real programs, on real images where there are any."""

import json
import os
import sys
import unittest

import support

JOBS = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: {{ name: pre }}
spec:
  recipe: smoke
  seed: 3
  data: {{ source: "{source}", maxImages: 128 }}
  train: {{ updates: 60 }}
  resources: {{ ranks: {{ min: 2, max: 2 }} }}
---
apiVersion: g2ll/v1
kind: FinetuneJob
metadata: {{ name: ft }}
spec:
  recipe: smoke
  seed: 3
  init: {{ from: job/pre }}
  dependsOn: [pre]
  data: {{ source: "{source}", maxImages: 160, maxValidationImages: 24 }}
  train: {{ updates: 240, validateEvery: 80 }}
  resources: {{ ranks: {{ min: 2, max: 2 }} }}
---
apiVersion: g2ll/v1
kind: EvaluateJob
metadata: {{ name: eval }}
spec:
  recipe: smoke
  seed: 3
  model: {{ from: job/ft }}
  data: {{ source: "{source}", maxImages: 48 }}
"""


class ChainTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster()
        cls.enterClassContext(cls.cluster)
        source = support.dermoscopy_folder() or "synthetic:dermoscopy?count=160&seed=5"
        print("data:", source, flush=True)
        jobs = cls.cluster.write("jobs.yaml", JOBS.format(source=source))
        lines = cls.cluster.ok("submit", "-f", jobs, "-o", "json").splitlines()
        cls.submitted = [json.loads(line) for line in lines]
        # One follower from the start, one when the job is under way.
        early = cls.cluster.follow("ft")
        cls.wait("pre")
        support.wait_until(lambda: cls.cluster.json("get", "ft")["progress"]["step"] > 20,
                           "fine-tuning reaches update 20", 120)
        late = cls.cluster.follow("ft")
        cls.wait("ft")
        cls.wait("eval")
        cls.followed = [follower.communicate(timeout=60) + (follower.returncode,)
                        for follower in (early, late)]
        cls.cluster.ok("report", "eval", "--to", cls.cluster.path("report"))
        with open(cls.cluster.path("report/report.json"), encoding="utf-8") as file:
            cls.report = json.load(file)

    @classmethod
    def wait(cls, job):
        result = cls.cluster.g2ll("wait", job, "--timeout", "5m", timeout=320)
        if result.returncode != 0:
            print(cls.cluster.g2ll("why", job).stdout, cls.cluster.g2ll("logs", job).stdout)
            raise AssertionError(f"{job}: exit {result.returncode} {result.stderr}")

    def points(self, job):
        return [json.loads(line) for line in
                self.cluster.ok("metrics", job, "-o", "json").splitlines()]

    def values(self, job, name):
        return [point["value"] for point in self.points(job) if point["name"] == name]

    def test_submit_names_every_job_in_order(self):
        self.assertEqual([line["name"] for line in self.submitted],
                         [f"projects/default/jobs/{name}" for name in ("pre", "ft", "eval")])

    def test_losses_fall(self):
        for job, names in (("pre", ("loss", "loss/mim")), ("ft", ("loss", "loss/segmentation"))):
            for name in names:
                values = self.values(job, name)
                tenth = max(1, len(values) // 10)
                self.assertLess(sum(values[-tenth:]) / tenth, sum(values[:tenth]) / tenth,
                                f"{job} {name}")

    def test_followers_see_the_same_lines_and_every_number_once(self):
        (early, error, code), (late, _, _) = self.followed
        self.assertEqual(code, 0, error)
        self.assertEqual(early, late)
        lines = [json.loads(line) for line in early.splitlines()]
        self.assertEqual([line["seq"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertEqual(lines, self.points("ft"))
        self.assertGreaterEqual(set(lines[0]), {"seq", "attempt", "step", "epoch", "name", "value",
                                                "time", "superseded"})

    def test_a_late_joiner_can_start_at_a_number(self):
        lines = self.cluster.ok("metrics", "ft", "--from-seq", "7", "-o", "json").splitlines()
        self.assertEqual(json.loads(lines[0])["seq"], 7)

    def test_model_beats_a_constant_mask_and_a_centered_ellipse(self):
        print(json.dumps({key: self.report[key] for key in ("dice", "iou", "baselines")}, indent=1))
        for baseline in ("constantMask", "centeredEllipse"):
            self.assertGreater(self.report["dice"]["mean"],
                               self.report["baselines"][baseline]["dice"], baseline)
            self.assertGreater(self.report["iou"]["mean"],
                               self.report["baselines"][baseline]["iou"], baseline)

    def test_report_is_complete(self):
        self.assertGreaterEqual(
            set(self.report), {"dice", "iou", "diceNative", "iouNative", "images", "baselines",
                               "perImage", "phases", "pretrainDisjointFromTest",
                               "checkpointSha256"})
        dice = self.report["dice"]
        self.assertLessEqual(dice["ciLow"], dice["mean"])
        self.assertLessEqual(dice["mean"], dice["ciHigh"])
        folder = self.cluster.path("report")
        with open(os.path.join(folder, self.report["perImage"]), encoding="utf-8") as file:
            rows = file.read().splitlines()
        # Further columns may follow these.
        self.assertEqual(rows[0].split(",")[:5],
                         ["image", "dice", "iou", "diceNative", "iouNative"])
        self.assertEqual(len(rows) - 1, self.report["images"])
        self.assertTrue(os.listdir(os.path.join(folder, "overlays")))
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertIn("<svg", page)
        self.assertNotIn("src=\"http", page)  # one file, no network
        self.assertEqual(len(self.report["phases"]), 3)
        for phase in self.report["phases"]:
            self.assertGreater(phase["seconds"], 0)

    def test_jobs_tell_how_they_went(self):
        for name, kind in (("pre", "PretrainJob"), ("ft", "FinetuneJob"), ("eval", "EvaluateJob")):
            job = self.cluster.json("get", name)
            self.assertEqual((job["kind"], job["state"]), (kind, "SUCCEEDED"))
            self.assertEqual([a["outcome"] for a in job["attempts"]], ["SUCCEEDED"])
        self.assertEqual(self.cluster.json("get", "ft")["attempts"][0]["worldSize"], 2)
        self.assertIn("val/dice", self.cluster.json("get", "ft")["metrics"])
        checkpoint = self.cluster.json("checkpoints", "list", "ft")[0]
        self.assertEqual(checkpoint["state"], "COMMITTED")
        self.assertEqual(self.cluster.json("get", "eval")["lineage"][0]["from"], "job/ft")

    def test_segmenter_is_exported(self):
        checkpoint = self.cluster.json("get", "eval")["lineage"][0]["checkpoint"]
        self.cluster.ok("checkpoints", "export", checkpoint, "--what", "segmenter", "--to",
                        self.cluster.path("model"))
        self.assertGreaterEqual(set(os.listdir(self.cluster.path("model"))),
                                {"model.safetensors", "config.json"})

    def test_logs_are_numbered_too(self):
        lines = [json.loads(line) for line in
                 self.cluster.ok("logs", "ft", "-o", "json").splitlines()]
        self.assertEqual([line["seq"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertTrue(lines)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
