"""Recipe plus as jobs, all of its parts together, at a size that ends in seconds."""

import json
import sys
import unittest

import support

SMALL = "imageSize: 64, patch: 8, dim: 48, depth: 2, heads: 2"
SOURCE = "synthetic:dermoscopy?count=48&seed=4"
PRETRAIN = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: {{ name: {method} }}
spec:
  recipe: plus
  method: {method}
  data: {{ source: "{source}" }}
  train: {{ maxSteps: 4, globalBatch: 8 }}
  model: {{ {small}, headHidden: 64, headBottleneck: 32, headOut: 128, decoderDim: 48,
           decoderHeads: 2 }}
  resources: {{ ranks: {{ max: 1 }} }}
---
apiVersion: g2ll/v1
kind: FinetuneJob
metadata: {{ name: {method}-ft }}
spec:
  recipe: plus
  init: {{ from: job/{method} }}
  data: {{ source: "{source}", maxValidationImages: 4 }}
  train: {{ maxSteps: 4, globalBatch: 8 }}
  model: {{ {small}, segmentationChannels: [32, 16, 16, 8] }}
  resources: {{ ranks: {{ max: 1 }} }}
---
apiVersion: g2ll/v1
kind: EvaluateJob
metadata: {{ name: {method}-eval }}
spec:
  recipe: plus
  model: {{ from: job/{method}-ft }}
  data: {{ source: "{source}", maxImages: 4 }}
"""
# Which network of the checkpoint fine-tuning starts from: mae has no teacher.
ENCODERS = {"g2ll": "teacher", "mae": "student"}


class RecipePlusTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(support.Cluster(workers=2))
        text = "---".join(PRETRAIN.format(method=method, source=SOURCE, small=SMALL)
                          for method in ENCODERS)
        cls.cluster.ok("submit", "-f", cls.cluster.write("jobs.yaml", text))
        for method in ENCODERS:
            for job in (method, f"{method}-ft", f"{method}-eval"):
                done = cls.cluster.g2ll("wait", job, "--timeout", "5m", timeout=320)
                if done.returncode != 0:
                    raise AssertionError(cls.cluster.g2ll("why", job).stdout)

    def names(self, job):
        return {json.loads(line)["name"]
                for line in self.cluster.ok("metrics", job, "-o", "json").splitlines()}

    def test_pretraining_has_the_losses_of_the_recipe(self):
        self.assertLessEqual({"loss", "loss/mim", "loss/distill", "loss/ibot", "center_norm"},
                             self.names("g2ll"))
        self.assertNotIn("loss/ibot", self.names("mae"))

    def test_fine_tuning_takes_the_teacher_where_there_is_one(self):
        for method, encoder in ENCODERS.items():
            with self.subTest(method):
                self.assertIn(f"taken={encoder}", self.cluster.ok("logs", f"{method}-ft"))
                self.assertIn("val/dice", self.names(f"{method}-ft"))

    def test_every_chain_ends_in_a_report(self):
        for method in ENCODERS:
            folder = self.cluster.path(f"report-{method}")
            self.cluster.ok("report", f"{method}-eval", "--to", folder)
            with open(f"{folder}/report.json", encoding="utf-8") as file:
                report = json.load(file)
            self.assertEqual(report["images"], 4)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
