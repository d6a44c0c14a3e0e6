#!/usr/bin/env python3
"""Few labels on real images at small scale: does pre-training help, and which?

    deploy/experiments/few_labels.py --data FOLDER [--seeds 1,2,3] [--methods g2ll,mae]
                                     [--results docs/results/few_labels] [--dir DIR]

FOLDER holds labelled and unlabelled dermoscopy images (docs/results.md says which).
For every method (none, mae, dino, g2ll) and seed: pre-trains on unlabelled images, then
fine-tunes with 1 % and 10 % of the labels, with 10 % and a frozen encoder, and with 10 %,
a frozen encoder and one linear layer (a probe of the encoder), and measures Dice and IoU
on the validation and test images together.

Each (method, seed) writes one file, METHOD-SEED.csv, with a line for each image, and
METHOD-SEED.json with what was run. A second call does only what is missing, and goes on
with jobs that an earlier call left; it may be killed at any time. Then see summarize.py.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("none", "mae", "dino", "g2ll")

# The size of the experiment. Sizes of networks and batches are those of recipe smoke.
SCALE = {"images": 3200, "epochs": 20, "updatesAt1": 200, "updatesAt10": 600}

# Fine-tunings of a cell: name -> (share of the labels, updates, further settings).
FINETUNINGS = {
    "labels1": (0.01, "updatesAt1", {}),
    "labels10": (0.1, "updatesAt10", {}),
    "frozen10": (0.1, "updatesAt10", {"freezeEncoder": True}),
    "probe10": (0.1, "updatesAt10", {"freezeEncoder": True, "decoder": "linear"}),
}
SPLITS = ("validation", "test")
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
NOT_REACHED = 4  # g2ll's exit code

# What a pre-training leaves behind, by the name of its metric.
DIAGNOSTICS = ("loss", "loss/mim", "loss/distill", "teacher_entropy", "feature_std")


def job(kind, name, spec):
    # JSON is YAML, so no library is needed to write a job file.
    return json.dumps({"apiVersion": "g2ll/v1", "kind": kind,
                       "metadata": {"name": name, "labels": {"study": "few-labels"}},
                       "spec": {"recipe": "smoke", **spec}})


def pretraining(method, seed, data, overrides):
    spec = {"method": method, "seed": seed,
            "data": {"source": data, "maxImages": SCALE["images"], "subsetSeed": seed},
            "train": {"epochs": SCALE["epochs"], "precision": "fp32"},
            "resources": {"ranks": {"min": 1, "max": 1}, "device": "cpu"}}
    for key, value in overrides.items():
        group = spec
        *path, last = key.split(".")
        for part in path:
            group = group.setdefault(part, {})
        group[last] = value
    return spec


def jobs_of_cell(cell, method, seed, data, overrides):
    """The job files of one (method, seed), in order of submission."""
    jobs = []
    source = "none"
    if method != "none":
        jobs.append(job("PretrainJob", f"{cell}-pretrain",
                        pretraining(method, seed, data, overrides)))
        source = f"job/{cell}-pretrain"
    # DINO gives the teacher away, the others the student (method section 5).
    encoder = "teacher" if method == "dino" else "student"
    for name, (fraction, updates, seg) in FINETUNINGS.items():
        jobs.append(job("FinetuneJob", f"{cell}-{name}", {
            "seed": seed, "init": {"from": source},
            "data": {"source": data, "fraction": fraction, "subsetSeed": seed, "maxImages": 0},
            "train": {"updates": SCALE[updates], "validateEvery": 100000, "precision": "fp32"},
            "seg": {"select": "last", "encoder": encoder, **seg},
            "resources": {"ranks": {"min": 1, "max": 1}, "device": "cpu"}}))
        for split in SPLITS:
            jobs.append(job("EvaluateJob", f"{cell}-{name}-{split}", {
                "seed": seed, "model": {"from": f"job/{cell}-{name}"},
                "data": {"source": data, "split": split, "maxImages": 0}}))
    return jobs


class Cluster:
    """`g2ll local` in a folder that outlives this script."""

    def __init__(self, binaries, folder, workers):
        self.binaries = binaries
        self.folder = folder
        self.run("local", "up", "--workers", str(workers), "--dir", folder)
        status = json.loads(self.run("local", "status", "--dir", folder, "-o", "json"))
        os.environ["G2LL_SERVER"] = status["address"]

    def run(self, *arguments):
        for wait in (1, 5, 25, 0):
            done = subprocess.run([os.path.join(self.binaries, "g2ll"), *arguments], text=True,
                                  capture_output=True, stdin=subprocess.DEVNULL, check=False)
            if done.returncode != NOT_REACHED or wait == 0:
                break
            time.sleep(wait)  # a busy machine
        if done.returncode != 0:
            sys.exit(f"few_labels.py: g2ll {' '.join(arguments)} ended with {done.returncode}: "
                     f"{done.stderr.strip()}")
        return done.stdout

    def submit(self, documents):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("\n---\n".join(documents))
            file.flush()
            # The same job again is the same job, so a second call goes on with the first's.
            self.run("submit", "-f", file.name, "-o", "name")

    def wait(self, name):
        # Not `g2ll wait` alone: it would end with the coordinator.
        while self.get(name)["state"] not in ENDED:
            subprocess.run([os.path.join(self.binaries, "g2ll"), "wait", name],
                           capture_output=True, text=True, check=False)
        if self.get(name)["state"] != "SUCCEEDED":
            sys.exit(f"few_labels.py: {name} did not succeed:\n{self.run('why', name)}")

    def get(self, name):
        return json.loads(self.run("get", name, "-o", "json"))

    def scores(self, name):
        """Dice and IoU at network size of every image of an evaluation."""
        with tempfile.TemporaryDirectory() as folder:
            self.run("report", name, "--to", folder)
            with open(os.path.join(folder, "per_image.csv"), encoding="utf-8") as file:
                return {row["image"]: (row["dice"], row["iou"]) for row in csv.DictReader(file)}

    def close(self):
        self.run("local", "down", "--dir", self.folder)


def write_atomically(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def collect(cluster, cell, method, seed, overrides, results, label, version):
    columns = {}
    images = []
    for name in FINETUNINGS:
        scores = {}
        for split in SPLITS:
            cluster.wait(f"{cell}-{name}-{split}")
            scores |= cluster.scores(f"{cell}-{name}-{split}")
        images = sorted(scores)
        columns[f"{name}_dice"] = [scores[image][0] for image in images]
        columns[f"{name}_iou"] = [scores[image][1] for image in images]
    facts = {"method": label, "seed": seed, "scale": SCALE, "settings": overrides,
             "commit": version, "images": len(images)}
    if method != "none":
        pretrain = cluster.get(f"{cell}-pretrain")
        facts["pretrain"] = {name: pretrain["metrics"][name] for name in DIAGNOSTICS
                             if name in pretrain["metrics"]}
        facts["pretrainUpdates"] = pretrain["progress"]["step"]
    lines = [",".join(["image", *columns])]
    lines += [",".join([image, *(columns[column][row] for column in columns)])
              for row, image in enumerate(images)]
    write_atomically(results / f"{label}-{seed}.csv", "\n".join(lines) + "\n")
    write_atomically(results / f"{label}-{seed}.json", json.dumps(facts, indent=1) + "\n")
    print(f"{label}, seed {seed}: {len(images)} images measured", flush=True)


def commit():
    """The checkout's commit, which is that of the programs if they were built from it."""
    done = subprocess.run(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def is_there(path, overrides):
    """Whether the cell was measured; ends the program if it was with other settings."""
    if not path.exists():
        return False
    facts = json.loads(path.read_text(encoding="utf-8"))
    if (facts["scale"], facts["settings"]) != (SCALE, overrides):
        sys.exit(f"few_labels.py: {path} was measured with other settings: remove it, or give "
                 "another --label or --results")
    return True


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of labelled and unlabelled images")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON",
                        help="another setting of the pre-training, for example "
                             "distill.pairs='\"cross\"'; give it a --label")
    parser.add_argument("--label", default="", help="added to the method's name in the results")
    parser.add_argument("--results", default=str(REPOSITORY / "docs/results/few_labels"))
    parser.add_argument("--dir", default="./g2ll-few-labels", help="state of the cluster")
    parser.add_argument("--bin", default=str(REPOSITORY / "build/release/bin"))
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="jobs at a time")
    arguments = parser.parse_args()
    arguments.seeds = [int(seed) for seed in arguments.seeds.split(",")]
    arguments.methods = arguments.methods.split(",")
    for method in arguments.methods:
        if method not in METHODS:
            parser.error(f"no method {method}: {', '.join(METHODS)}")
    if arguments.set and not arguments.label:
        parser.error("--set changes the method, so it needs a --label of its own")
    if not os.path.isdir(arguments.data):
        parser.error(f"--data: no folder {arguments.data}")
    if not os.access(os.path.join(arguments.bin, "g2ll"), os.X_OK):
        parser.error(f"--bin: no program g2ll in {arguments.bin}: build the project first")
    try:
        arguments.overrides = {key: json.loads(value) for key, value in
                               (setting.split("=", 1) for setting in arguments.set)}
    except ValueError as error:
        parser.error(f"--set: KEY=JSON, not this: {error}")
    return arguments


def main():
    arguments = parse()
    results = pathlib.Path(arguments.results)
    version = commit()
    suffix = f"-{arguments.label}" if arguments.label else ""
    missing = [(method, seed) for seed in arguments.seeds for method in arguments.methods
               if not is_there(results / f"{method}{suffix}-{seed}.json", arguments.overrides)]
    if not missing:
        print("nothing is missing")
        return
    cluster = Cluster(arguments.bin, os.path.abspath(arguments.dir), arguments.workers)
    try:
        data = os.path.abspath(arguments.data)
        cells = [(f"{method}{suffix}-{seed}", method, seed) for method, seed in missing]
        for cell, method, seed in cells:
            cluster.submit(jobs_of_cell(cell, method, seed, data, arguments.overrides))
        for cell, method, seed in cells:
            collect(cluster, cell, method, seed, arguments.overrides, results, f"{method}{suffix}",
                    version)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
