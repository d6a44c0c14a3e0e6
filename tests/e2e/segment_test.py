"""A trained model outlines photographs without a server, and two evaluations are compared."""

import csv
import glob
import json
import os
import shutil
import sys
import unittest

import support

FINETUNE = """
apiVersion: g2ll/v1
kind: FinetuneJob
metadata: {{ name: ft-{name} }}
spec:
  recipe: smoke
  seed: {seed}
  init: {{ from: none }}
  data: {{ source: "{source}" }}
  train: {{ updates: 40, validateEvery: 40 }}
  resources: {{ ranks: {{ min: 1, max: 1 }} }}
---
"""

EVALUATE = """
apiVersion: g2ll/v1
kind: EvaluateJob
metadata: {{ name: eval-{name} }}
spec:
  recipe: smoke
  model: {{ from: job/ft-{model} }}
  data: {{ source: "{source}" }}
  eval: {{ tta: {tta}, postprocess: {postprocess} }}
---
"""


class SegmentTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster()
        cls.enterClassContext(cls.cluster)
        cls.data = cls.cluster.path("data")
        cls.cluster.ok("data", "generate", "--to", cls.data, "--count", "48", "--size", "96")
        cls.images = os.path.join(cls.data, "ISIC-2017_Test_v2_Data")
        cls.masks = os.path.join(cls.data, "ISIC-2017_Test_v2_Part1_GroundTruth")
        jobs = "".join(FINETUNE.format(name=name, seed=seed, source=cls.data)
                       for name, seed in (("a", 1), ("b", 2)))
        jobs += "".join(EVALUATE.format(name=name, model=model, tta=tta, postprocess=postprocess,
                                        source=cls.data)
                        for name, model, tta, postprocess in
                        (("a", "a", "none", "keep"), ("b", "b", "none", "keep"),
                         ("flips", "a", "flips", "largest_component")))
        cls.cluster.ok("submit", "-f", cls.cluster.write("jobs.yaml", jobs.rstrip("-\n")))
        for name in ("a", "b", "flips"):
            cls.cluster.ok("wait", f"eval-{name}", timeout=400)
            cls.cluster.ok("report", f"eval-{name}", "--to", cls.cluster.path(f"report-{name}"))
        cls.model = cls.cluster.path("model")
        cls.cluster.ok("checkpoints", "export", "job/ft-a", "--to", cls.model)

    def segment(self, *arguments, to):
        """Runs `g2ll segment` where no server can be reached."""
        return support.run("g2ll", "segment", *arguments, "--to", self.cluster.path(to),
                           timeout=120, environment={"G2LL_SERVER": "127.0.0.1:1"})

    def rows(self, *path):
        with open(self.cluster.path(os.path.join(*path)), encoding="utf-8", newline="") as file:
            return {row["image"]: row for row in csv.DictReader(file)}

    def test_masks_have_the_scores_of_the_evaluation(self):
        for flags, report in (((), "report-a"), (("--tta", "--keep-largest"), "report-flips")):
            to = "out-" + report
            result = self.segment("--checkpoint", self.model, self.images, "--masks", self.masks,
                                  *flags, to=to)
            self.assertEqual(result.returncode, 0, result.stderr)
            evaluated = self.rows(report, "per_image.csv")
            segmented = self.rows(to, "segment.csv")
            self.assertEqual(sorted(segmented), sorted(evaluated))
            for image, row in segmented.items():
                # Batches differ, and with them the last bits of a pixel's probability.
                self.assertAlmostEqual(float(row["dice"]), float(evaluated[image]["diceNative"]),
                                       delta=2e-3, msg=image)

    def test_a_checkpoint_directory_serves_like_its_export(self):
        get = self.cluster.json("checkpoints", "list", "ft-a")[0]
        found = glob.glob(os.path.join(self.cluster.directory, "**", get["path"]), recursive=True)
        self.assertEqual(len(found), 1, found)
        for checkpoint, to in ((found[0], "from-checkpoint"), (self.model, "from-export")):
            result = self.segment("--checkpoint", checkpoint, self.images, to=to)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.rows("from-checkpoint", "segment.csv"),
                         self.rows("from-export", "segment.csv"))

    def test_a_bad_picture_is_skipped_and_the_exit_code_says_so(self):
        folder = self.cluster.path("mixed")
        os.mkdir(folder)
        good = sorted(os.listdir(self.images))[0]
        shutil.copy(os.path.join(self.images, good), folder)
        self.cluster.write("mixed/broken.png", "no picture")
        result = self.segment("--checkpoint", self.model, folder, "-o", "json", to="mixed-out")
        self.assertEqual(result.returncode, 1)
        self.assertIn("broken.png", result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(answer["segmented"], 1)
        self.assertTrue(os.path.isfile(answer["pictures"][0]["segmentation"]))
        self.assertTrue(os.path.isfile(answer["pictures"][0]["overlay"]))

    def test_jobs_and_reports_on_disk_compare_alike(self):
        by_name = self.cluster.json("compare", "eval-a", "eval-b")
        by_folder = json.loads(support.run(
            "g2ll", "compare", self.cluster.path("report-a"), self.cluster.path("report-b"), "-o",
            "json", environment={"G2LL_SERVER": "127.0.0.1:1"}).stdout)
        self.assertEqual(by_name["scores"], by_folder["scores"])
        with open(self.cluster.path("report-b/report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(by_name["b"]["checkpointSha256"], report["checkpointSha256"])
        self.assertAlmostEqual(by_name["scores"]["dice"]["b"], report["dice"]["mean"], delta=1e-5)
        self.assertEqual(by_name["images"], report["images"])

    def test_another_protocol_is_refused(self):
        result = self.cluster.g2ll("compare", "eval-a", "eval-flips")
        self.assertEqual(result.returncode, 2)
        self.assertIn("another protocol", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
