"""docs/paper_map.md: what it names exists, and no oracle of the method is left out."""

import os
import re
import sys
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUPS = ("data", "model", "mask", "slic", "mim", "distill", "ibot", "koleo", "supervised",
          "optim", "aug", "train", "seg", "eval", "init", "resources", "policy")

# Lines of the method's table of properties and numeric oracles, in its order.
ORACLES = (
    "ViT-S/16 params", "MAE decoder", "DINO head", "seg model", "classifier head", "shapes",
    "sin-cos", "init bounds", "patchify", "random masking", "un-shuffle", "MAE loss", "norm_pix",
    "mask counts", "allocator", "focal plan, constant image", "focal plan, disc r=60", "mask RNG",
    "SLIC", "majority", "DINO loss", "pairing", "centre", "shift invariance", "EMA", "schedules",
    "AdamW", "clip", "freeze", "weight norm", "stop-grad", "KoLeo", "Sinkhorn", "Gram", "upsample",
    "BCE+Dice", "metrics", "pos interpolation", "subsets", "class weights", "parallelism",
    "resume", "overfit smoke", "structure effect")


def read(*path):
    with open(os.path.join(REPOSITORY, *path), encoding="utf-8") as file:
        return file.read()


def sources(folder, *endings):
    for root, _, names in os.walk(os.path.join(REPOSITORY, folder)):
        for name in names:
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(root, name), REPOSITORY)


class PaperMapTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.text = read("docs", "paper_map.md")
        cls.tokens = re.findall(r"`([^`\n]+)`", cls.text)

    def test_every_named_test_exists(self):
        tests = set()
        for path in sources("tests", ".cc"):
            for suite, name in re.findall(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+), (\w+)\)",
                                          read(path), re.M):
                tests |= {f"{suite}.{name}", f"{suite}.*"}
        golden = set(re.findall(r'\{"(\w+)", &Check', read("tests", "golden", "golden_test.cc")))
        python = {f"{os.path.basename(path)}::{name}" for path in sources("tests", "_test.py")
                  for name in re.findall(r"def (test_\w+)", read(path))}
        missing, named = [], 0
        for token in self.tokens:
            if re.fullmatch(r"[A-Z]\w+\.([A-Z]\w+|\*)", token):
                known = token in tests
            elif re.fullmatch(r"golden\.\w+", token):
                known = token.split(".")[1] in golden
            elif re.fullmatch(r"\w+_test\.py::test_\w+", token):
                known = token in python
            else:
                continue
            named += 1
            if not known:
                missing.append(token)
        self.assertEqual(missing, [])
        self.assertGreater(named, 50)

    def test_every_named_file_and_function_exists(self):
        missing = []
        for name, path in re.findall(r"`([\w:~]+)`,? in `([\w./]+)`", self.text):
            if not os.path.isfile(os.path.join(REPOSITORY, path)):
                missing.append(path)
            elif name.split("::")[-1] not in read(path):
                missing.append(f"{name} in {path}")
        for token in self.tokens:
            if (re.fullmatch(r"(proto|worker|server|client|tests|deploy|docs)/[\w./-]+", token)
                    and not os.path.exists(os.path.join(REPOSITORY, token))):
                missing.append(token)
        self.assertEqual(missing, [])

    def test_every_named_key_exists(self):
        table = read("proto", "common", "spec_defaults_table.cc")
        missing = [token for token in self.tokens
                   if re.fullmatch(r"[a-z]+(\.[a-zA-Z0-9]+)+", token)
                   and token.split(".")[0] in GROUPS and f'"{token}"' not in table]
        self.assertEqual(missing, [])

    def test_every_oracle_has_a_row_with_its_tests_or_says_why_not(self):
        section = self.text[self.text.index("| oracle | tests | status |"):]
        rows = []
        for line in section.splitlines()[2:]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        self.assertEqual([row[0] for row in rows], list(ORACLES))
        for row in rows:
            self.assertEqual(len(row), 3, row[0])
            self.assertRegex(row[2], r"^(tested|partly: .+|not tested: .+)$", row[0])
            if not row[2].startswith("not tested"):
                self.assertIn("`", row[1], row[0])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
