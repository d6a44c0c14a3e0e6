#!/usr/bin/env python3
"""Tables of few_labels.py's results, as Markdown on standard output.

    deploy/experiments/summarize.py [docs/results/few_labels]

Means are over images and seeds. Intervals are 95 % of a bootstrap that draws both the
images and the seeds anew, so that they carry the spread between trainings too; three
seeds make them rough. Differences are paired: the same image and the same seed.
"""

import csv
import json
import pathlib
import random
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FINETUNINGS = (("labels1", "1 % labels"), ("labels10", "10 % labels"),
               ("frozen10", "10 %, encoder frozen"), ("probe10", "10 %, linear probe"))
ORDER = ("none", "mae", "dino", "g2ll")
ROUNDS = 2000


def load(folder):
    """{method: {seed: (facts, {column: [score of each image]})}}, all of the same images."""
    cells = {}
    first = None
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        with open(path.with_suffix(".csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        images = [row["image"] for row in rows]
        first = first or (path.stem, images, facts["scale"])
        if (images, facts["scale"]) != first[1:]:
            sys.exit(f"summarize.py: {path.stem} and {first[0]} were measured on other images or "
                     "at another scale: run few_labels.py anew for one of them")
        columns = {key: [float(row[key]) for row in rows] for key in rows[0] if key != "image"}
        cells.setdefault(facts["method"], {})[facts["seed"]] = (facts, columns)
    key = lambda name: (next((i for i, m in enumerate(ORDER) if name.split("-")[0] == m), 9), name)
    return dict(sorted(cells.items(), key=lambda item: key(item[0])))


def interval(table, generator):
    """Mean and 95 % interval of [seed][image] scores."""
    seeds, images = len(table), len(table[0])
    means = []
    for _ in range(ROUNDS):
        rows = [table[generator.randrange(seeds)] for _ in range(seeds)]
        chosen = [generator.randrange(images) for _ in range(images)]
        means.append(sum(sum(row[i] for i in chosen) for row in rows) / (seeds * images))
    means.sort()
    mean = sum(map(sum, table)) / (seeds * images)
    return mean, means[int(0.025 * ROUNDS)], means[int(0.975 * ROUNDS) - 1]


def show(values, signed=False):
    form = "{:+.3f} ({:+.3f} to {:+.3f})" if signed else "{:.3f} ({:.3f}-{:.3f})"
    return form.format(*values)


def print_scores(cells, score):
    print(f"| initialisation | seeds | {' | '.join(title for _, title in FINETUNINGS)} |")
    print("|---|---|" + "---|" * len(FINETUNINGS))
    for method, seeds in cells.items():
        row = []
        for name, _ in FINETUNINGS:
            table = [columns[f"{name}_{score}"] for _, columns in seeds.values()]
            row.append(show(interval(table, random.Random(1))))
        print(f"| {method} | {len(seeds)} | {' | '.join(row)} |")


def print_differences(cells, score):
    base = cells.get("none", {})
    print(f"| minus `none` | seeds | {' | '.join(title for _, title in FINETUNINGS)} |")
    print("|---|---|" + "---|" * len(FINETUNINGS))
    for method, seeds in cells.items():
        common = [seed for seed in seeds if seed in base]
        if method == "none" or not common:
            continue
        row = []
        for name, _ in FINETUNINGS:
            column = f"{name}_{score}"
            table = [[a - b for a, b in zip(seeds[seed][1][column], base[seed][1][column])]
                     for seed in common]
            row.append(show(interval(table, random.Random(1)), signed=True))
        print(f"| {method} | {len(common)} | {' | '.join(row)} |")


def print_diagnostics(cells):
    names = sorted({name for seeds in cells.values() for facts, _ in seeds.values()
                    for name in facts.get("pretrain", {})})
    print(f"| pre-training, last update | {' | '.join(names)} |")
    print("|---|" + "---|" * len(names))
    for method, seeds in cells.items():
        if method == "none":
            continue
        row = []
        for name in names:
            values = [facts["pretrain"][name] for facts, _ in seeds.values()
                      if name in facts["pretrain"]]
            row.append(", ".join(f"{value:.3g}" for value in values) or "-")
        print(f"| {method} | {' | '.join(row)} |")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1
                          else REPOSITORY / "docs/results/few_labels")
    cells = load(folder)
    if not cells:
        sys.exit(f"summarize.py: no results in {folder}; run few_labels.py first")
    for score, title in (("dice", "Dice"), ("iou", "IoU")):
        print(f"### {title}\n")
        print_scores(cells, score)
        print()
        print_differences(cells, score)
        print()
    print("### State of the encoder\n")
    print_diagnostics(cells)


if __name__ == "__main__":
    main()
