#!/usr/bin/env python3
"""Writes the job files of the paper's tables: paper/ at its settings, smoke/ small and quick.

One file is one number of a table: pre-training, fine-tuning and evaluation, chained by name.
Files of one row name the same pre-training, which therefore runs once (README.md).
Without arguments it writes the folders beside itself; `--check` only says what differs.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Dice and IoU in %, as the paper prints them, by per cent of the labels.
TABLE1 = {
    "random": ("Random", {1: "68.98/58.37", 10: "76.64/66.35", 50: "79.54/69.74",
                          100: "81.19/71.58"}),
    "supervised": ("Supervise", {1: "73.93/62.91", 10: "79.35/69.20", 50: "81.40/71.92",
                                 100: "81.90/72.57"}),
    "mae": ("MAE", {1: "73.50/62.89", 10: "79.46/69.28", 50: "81.39/72.16", 100: "81.58/72.31"}),
    "dino": ("DINO", {1: "73.17/62.41", 10: "78.85/68.87", 50: "81.37/71.92",
                      100: "81.38/71.91"}),
    "g2ll": ("G2LL", {1: "74.43/63.27", 10: "80.28/70.34", 50: "81.98/72.70",
                      100: "82.46/72.96"}),
}
TABLE2 = {"random": "81.54/71.97", "semantic": "81.76/72.22", "semantic_focal": "82.16/72.62"}

# Where each scale finds its images.
SCALES = {
    "paper": {
        "prefix": "",
        "pretrain": "/data/ISIC_2019",
        "labelled": "/data/ISIC_2017",
        "about": [
            "The folders stand for your own: --set pretrain.data.source=DIR",
            "--set finetune.data.source=DIR --set evaluate.data.source=DIR.",
        ],
    },
    "smoke": {
        "prefix": "smoke-",
        "pretrain": '"synthetic:dermoscopy?count=512&seed=1"',
        # 2, 20, 100 and 200 labelled images.
        "labelled": '"synthetic:dermoscopy?count=200&seed=2"',
        "about": ["A small network on made images: it shows that all runs, not who is better."],
    },
}


def labels(**pairs):
    """A flow map of labels, texts that look like numbers quoted."""
    def quoted(value):
        return f'"{value}"' if value[0].isdigit() else value
    return "{ " + ", ".join(f"{key}: {quoted(value)}" for key, value in pairs.items()) + " }"


def document(kind, name, label_map, spec):
    """One job; `spec` holds its lines without indent."""
    lines = ["apiVersion: g2ll/v1", f"kind: {kind}",
             f"metadata: {{ name: {name}, labels: {label_map} }}", "spec:"]
    return "\n".join(lines + ["  " + line for line in spec]) + "\n"


def chain(scale, table, row, cell, pretrain, percent, encoder):
    """The documents of one number; `pretrain` are its own lines, None: no pre-training."""
    place = SCALES[scale]
    base = f"{place['prefix']}{table}-{row}".replace("_", "-")
    name = base if cell is None else f"{base}-{cell}"
    start = [f"recipe: {scale}", "seed: 1"]
    study = {"study": place["prefix"] + table, "row": row}
    documents = []
    if pretrain is not None:
        # No label of the cell: its files share this job.
        documents.append(document("PretrainJob", f"{base}-pretrain", labels(**study),
                                  start + pretrain + [f"data: {{ source: {place['pretrain']} }}"]))
    study["percent"] = str(percent)
    init = "none" if pretrain is None else f"job/{base}-pretrain"
    finetune = [f"init: {{ from: {init} }}",
                f"data: {{ source: {place['labelled']}, fraction: {percent / 100:g} }}"]
    if pretrain is not None:
        finetune.append(f"seg: {{ encoder: {encoder} }}")
    documents.append(document("FinetuneJob", f"{name}-finetune", labels(**study),
                              start + finetune))
    documents.append(document(
        "EvaluateJob", f"{name}-evaluate", labels(**study),
        start + [f"model: {{ from: job/{name}-finetune }}",
                 f"data: {{ source: {place['labelled']}, split: test }}"]))
    return documents


def text(scale, what, documents):
    """The whole file."""
    head = [what, *SCALES[scale]["about"], "Written by deploy/jobs/generate.py: change that, not this."]
    return "".join(f"# {line}\n" for line in head) + "---\n".join(documents)


def files():
    """Relative path -> text of every file."""
    result = {}
    for scale in SCALES:
        for row, (title, cells) in TABLE1.items():
            # DINO hands its teacher on; the paper loads the network that was trained.
            encoder = "teacher" if row == "dino" else "student"
            pretrain = None if row == "random" else [f"method: {row}"]
            for percent, scores in cells.items():
                what = (f"Table 1, {title}, {percent} % of the labels. "
                        f"The paper's Dice/IoU: {scores}.")
                result[f"{scale}/table1-{row}-{percent}.yaml"] = text(
                    scale, what,
                    chain(scale, "table1", row, percent, pretrain, percent, encoder))
        for strategy, scores in TABLE2.items():
            what = (f"Table 2, {strategy.replace('_', ' ')} masks, reconstruction only. "
                    f"The paper's Dice/IoU: {scores}.")
            pretrain = ["method: mae", f"mask: {{ strategy: {strategy}, gamma: 0.25 }}"]
            result[f"{scale}/table2-{strategy}.yaml"] = text(
                scale, what, chain(scale, "table2", strategy, None, pretrain, 100, "student"))
    return result


def differences():
    """Files of the folders that are not what files() says, missing and foreign ones too."""
    wanted = files()
    found = {}
    for scale in SCALES:
        folder = os.path.join(HERE, scale)
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found[f"{scale}/{name}"] = file.read()
    return sorted(path for path in {*wanted, *found} if wanted.get(path) != found.get(path))


def main():
    if sys.argv[1:] == ["--check"]:
        found = differences()
        for path in found:
            print(f"{path} is not what generate.py writes", file=sys.stderr)
        return 1 if found else 0
    if sys.argv[1:]:
        print(f"usage: generate.py [--check], not {' '.join(sys.argv[1:])}", file=sys.stderr)
        return 2
    for path, content in files().items():
        os.makedirs(os.path.dirname(os.path.join(HERE, path)), exist_ok=True)
        with open(os.path.join(HERE, path), "w", encoding="utf-8") as file:
            file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
