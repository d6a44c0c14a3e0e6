"""An exported encoder of the paper's size loads in timm, strictly and without our code."""

import glob
import hashlib
import json
import os
import subprocess
import sys
import unittest

import support

JOB = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: { name: paper }
spec:
  recipe: paper
  data: { source: "synthetic:dermoscopy?count=8&seed=1" }
  train: { globalBatch: 2, maxSteps: 2, precision: fp32 }
  resources: { ranks: { min: 1, max: 1 } }
"""

LOAD = """
import json, sys, timm, torch, safetensors.torch
folder = sys.argv[1]
model = timm.create_model('vit_small_patch16_224', img_size=256, num_classes=0)
state = safetensors.torch.load_file(folder + '/model.safetensors')
model.load_state_dict(state, strict=True)
with torch.no_grad():
    features = model.eval()(torch.zeros(1, 3, 256, 256))
assert features.shape == (1, 384) and torch.isfinite(features).all()
json.load(open(folder + '/config.json'))
print(len(state), 'tensors')
"""


def tools_python():
    """Python of the environment that deploy/install_deps.sh --tools makes."""
    pins_file = os.path.join(support.REPOSITORY, "deploy", "deps", "wheels-tools.txt")
    with open(pins_file, encoding="utf-8") as file:
        pins = "".join(line for line in file if "==" in line)
    store = os.environ.get("G2LL_DEPS", os.path.expanduser("~/.cache/g2ll"))
    return os.path.join(store, "tools-" + hashlib.sha256(pins.encode()).hexdigest()[:16],
                        "bin", "python")


class ExportTest(unittest.TestCase):

    def test_encoder_loads_strictly_in_timm(self):
        python = tools_python()
        self.assertTrue(os.path.exists(python),
                        f"no {python}: run deploy/install_deps.sh --tools")
        with support.Cluster(workers=1) as cluster:
            cluster.ok("submit", "-f", cluster.write("job.yaml", JOB), "--wait", timeout=400)
            checkpoint = cluster.json("get", "paper")["latestCheckpoint"]
            folder = cluster.path("encoder")
            cluster.ok("checkpoints", "export", checkpoint, "--what", "encoder", "--to", folder)
            self.assertEqual(sorted(map(os.path.basename, glob.glob(folder + "/*"))),
                             ["config.json", "model.safetensors"])
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
                self.assertIsInstance(json.load(file), dict)
            result = subprocess.run([python, "-c", LOAD, folder], capture_output=True, text=True,
                                    timeout=120, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, "150 tensors\n")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
