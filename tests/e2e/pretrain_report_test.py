"""The report of a training run: what it shows, that it needs no network, and its numbers."""

import html.parser
import json
import os
import sys
import unittest

import support

JOB = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: {{ name: {method} }}
spec:
  recipe: smoke
  method: {method}
  data: {{ source: "synthetic:dermoscopy?count=24&seed=1" }}
  train: {{ updates: 8, globalBatch: 8 }}
  mim: {{ normPix: {norm_pix} }}
  resources: {{ ranks: {{ min: 1, max: {ranks} }} }}
"""


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.images, self.charts, self.links, self.words = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img":
            self.images.append(attrs)
        if tag == "svg":
            self.charts.append(attrs)
        self.links += [attrs[key] for key in ("src", "href") if key in attrs]
        self.links += [tag] if tag in ("script", "link", "iframe") else []

    def handle_data(self, data):
        self.words += " " + data


class PretrainReportTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster(workers=2)
        cls.enterClassContext(cls.cluster)
        for method, norm_pix, ranks in (("g2ll", "false", 2), ("mae", "true", 1),
                                        ("dino", "false", 1)):
            file = cls.cluster.write(f"{method}.yaml", JOB.format(
                method=method, norm_pix=norm_pix, ranks=ranks))
            cls.cluster.ok("submit", "-f", file)

    def report(self, job):
        self.cluster.ok("wait", job, "--timeout", "3m", timeout=200)
        folder = self.cluster.path(f"report-{job}")
        self.cluster.ok("report", job, "--to", folder)
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
            page = Page(file.read())
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
            return page, json.load(file)

    def alts(self, page, words):
        return [image["alt"] for image in page.images if words in image["alt"]]

    def test_g2ll_shows_views_regions_masks_and_reconstructions(self):
        page, report = self.report("g2ll")
        views = [image["alt"] for image in page.images if image["alt"].endswith((", view 1",
                                                                                 ", view 2"))]
        self.assertGreaterEqual(len(views), 4)
        self.assertEqual(len(self.alts(page, "regions, hidden patches")), len(views))
        self.assertEqual(len(self.alts(page, "filled by the decoder")), len(views))
        charts = {chart["aria-label"] for chart in page.charts}
        self.assertGreaterEqual(charts, {"Loss", "Reconstruction loss", "Self-distillation loss",
                                         "Teacher entropy", "Learning rate",
                                         "Images per second"})
        self.assertEqual(report["method"], "g2ll")
        self.assertEqual(report["images"], 24)

    def test_mae_shows_one_view_and_says_what_normalised_patches_mean(self):
        page, report = self.report("mae")
        self.assertEqual(self.alts(page, "view 2"), [])
        self.assertTrue(self.alts(page, "filled by the decoder"))
        self.assertIn("mim.normPix", page.words)
        self.assertNotIn("loss/distill", report["final"])

    def test_dino_has_no_reconstruction(self):
        page, report = self.report("dino")
        self.assertTrue(self.alts(page, "view 2"))
        self.assertEqual(self.alts(page, "filled by the decoder"), [])
        self.assertNotIn("loss/mim", report["final"])

    def test_page_needs_no_network_and_every_picture_has_words(self):
        page, _ = self.report("g2ll")
        self.assertTrue(page.links)
        for link in page.links:
            self.assertTrue(link.startswith("data:image/png;base64,"), link[:80])
        for image in page.images:
            self.assertTrue(image["alt"])

    def test_final_values_are_the_metrics_of_the_job(self):
        _, report = self.report("g2ll")
        metrics = self.cluster.json("get", "g2ll")["metrics"]
        for name in ("loss", "loss/mim", "loss/distill", "teacher_entropy", "lr"):
            self.assertAlmostEqual(report["final"][name], metrics[name], msg=name)
        self.assertEqual(report["step"], 8)

    def test_settings_name_what_differs_from_the_recipe(self):
        page, report = self.report("g2ll")
        settings = {setting["path"]: setting for setting in report["settings"]}
        self.assertFalse(settings["train.updates"]["isDefault"])
        self.assertEqual(settings["train.updates"]["value"], "8")
        self.assertTrue(settings["mask.beta"]["isDefault"])
        self.assertEqual(settings["mask.beta"]["source"], "P 2.2 and 3.4")
        self.assertIn("mask.beta", page.words)

    def test_a_running_job_has_no_report_yet(self):
        file = self.cluster.write("long.yaml", JOB.format(method="mae", norm_pix="false", ranks=1)
                                  .replace("name: mae", "name: long")
                                  .replace("updates: 8", "updates: 100000"))
        self.cluster.ok("submit", "-f", file)
        result = self.cluster.g2ll("report", "long", "--to", self.cluster.path("none"))
        self.assertEqual(result.returncode, 5)
        self.assertIn("has no report: it is", result.stderr)
        self.cluster.ok("cancel", "long")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
