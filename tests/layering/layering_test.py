"""Reads every #include of the product against layers.json."""

import json
import os
import re
import sys
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = os.path.join(REPOSITORY, "tests", "layering", "layers.json")
TOP_FOLDERS = ("proto", "server", "worker", "client")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def sources(root):
    """Yields the path below `root` of every C++ file of the product."""
    for top in TOP_FOLDERS:
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if name.endswith((".cc", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def includes(root, path):
    """Yields (line number, included name) of one file."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1]


def is_ours(name):
    return name.split("/")[0] in TOP_FOLDERS + ("tests",)


def is_allowed(layer, name, folder, groups):
    if is_ours(name):
        return os.path.dirname(name) == folder or any(
            name == allowed or os.path.dirname(name) == allowed for allowed in layer["ours"])
    for group, prefixes in groups.items():
        if any(name.startswith(prefix) for prefix in prefixes):
            return group in layer["outside"]
    return True  # the C++ library and the system


def is_in(path, places):
    return any(path.endswith(place[1:]) if place.startswith("*") else path.startswith(place)
               for place in places)


def faults(root, table):
    """Returns one line for every include that the table does not allow."""
    found = []
    for path in sources(root):
        folder = os.path.dirname(path)
        layer = table["layers"].get(path) or table["layers"].get(folder)
        if layer is None:
            found.append(f"{path}:1: folder {folder} is not in layers.json")
            continue
        for number, name in includes(root, path):
            if not is_allowed(layer, name, folder, table["groups"]):
                found.append(f"{path}:{number}: {folder} may not include {name}")
            for rule in table["only"]:
                if name.startswith(rule["include"]) and not is_in(path, rule["in"]):
                    found.append(f"{path}:{number}: {name}: {rule['why']}")
    return found


def load_table():
    with open(TABLE, encoding="utf-8") as file:
        return json.load(file)


class LayeringTest(unittest.TestCase):

    def test_every_include_is_allowed(self):
        found = faults(REPOSITORY, load_table())
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_the_table_has_no_cycle(self):
        layers = load_table()["layers"]
        graph = {name: [n for n in entry["ours"] if n in layers] for name, entry in layers.items()}
        done, path = set(), []

        def visit(name):
            self.assertNotIn(name, path, " -> ".join(path + [name]))
            if name in done:
                return
            path.append(name)
            for other in graph[name]:
                visit(other)
            path.pop()
            done.add(name)

        for name in graph:
            visit(name)

    def test_programs_do_not_mix_torch_and_grpc(self):
        layers = load_table()["layers"]

        def reach(name, seen):
            if name in seen:
                return seen
            seen.add(name)
            for other in layers[name]["ours"]:
                if other in layers:
                    reach(other, seen)
            return seen

        def outside(program):
            below = reach(program, set()) - {"proto/common"}
            return {group for name in below for group in layers[name]["outside"]}

        self.assertNotIn("torch", outside("worker/agent_main.cc"))
        self.assertNotIn("grpc", outside("worker/trainer_main.cc"))
        self.assertNotIn("torch", outside("server/main.cc"))
        self.assertNotIn("torch", outside("client/main.cc"))

    def fault_of(self, path, text):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, os.path.dirname(path)))
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
            return faults(root, load_table())

    def test_a_forbidden_include_is_found_with_its_line(self):
        self.assertEqual(
            self.fault_of("worker/agent/a.cc", '#include <string>\n\n#include <torch/types.h>\n'),
            ["worker/agent/a.cc:3: worker/agent may not include torch/types.h"])

    def test_an_include_of_a_layer_above_is_found(self):
        self.assertEqual(
            self.fault_of("worker/model/a.cc", '#include "worker/data/batch.h"\n'),
            ["worker/model/a.cc:1: worker/model may not include worker/data/batch.h"])

    def test_a_large_header_in_a_header_is_found(self):
        self.assertEqual(len(self.fault_of("worker/loss/a.h", "#include <torch/torch.h>\n")), 1)

    def test_an_unknown_folder_is_found(self):
        self.assertEqual(
            self.fault_of("server/utils/a.cc", "#include <string>\n"),
            ["server/utils/a.cc:1: folder server/utils is not in layers.json"])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
