"""The list of fail points and the points in the source are the same, and images have none."""

import os
import re
import subprocess
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("proto", "server", "worker", "client")
LIST = os.path.join("proto", "common", "failpoint_names.h")
POINT = re.compile(r"G2LL_FAILPOINT(?:_STATUS|_ERROR|_CUT)?\(\s*\"([^\"]+)\"")
COORDINATOR = os.path.join(os.environ.get("G2LL_BIN_DIR", ""), "g2ll-coordinator")


def read(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
        return file.read()


def listed():
    return re.findall(r"^\s+\"([a-z_.]+)\",$", read(LIST), re.MULTILINE)


def placed():
    """Where each point stands: file by name."""
    points = {}
    for folder in FOLDERS:
        for parent, _, names in os.walk(os.path.join(REPOSITORY, folder)):
            for name in names:
                if name.endswith((".cc", ".h")):
                    path = os.path.join(parent, name)
                    for point in POINT.findall(read(path)):
                        points.setdefault(point, []).append(os.path.relpath(path, REPOSITORY))
    return points


class NamesTest(unittest.TestCase):
    def test_every_point_is_listed(self):
        self.assertEqual({name: files for name, files in placed().items()
                          if name not in listed()}, {})

    def test_every_listed_name_is_in_the_source(self):
        self.assertEqual([name for name in listed() if name not in placed()], [])

    def test_a_name_is_an_area_a_place_and_a_moment(self):
        for name in listed():
            self.assertRegex(name, r"^[a-z]+(\.[a-z_]+){2,3}$")

    def test_the_program_prints_the_list(self):
        result = subprocess.run([COORDINATOR, "--list-failpoints"], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.split(), listed())

    def test_an_unknown_point_ends_the_program_with_a_hint(self):
        result = subprocess.run(
            [COORDINATOR, "--data-dir", "/nonexistent/a", "--storage-root", "/nonexistent/b"],
            env={**os.environ, "G2LL_FAILPOINTS": "store.no.such=crash"}, capture_output=True,
            text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("'store.no.such=crash': no such fail point", result.stderr)

    def test_images_are_built_without_points(self):
        dockerfile = read(os.path.join("docker", "Dockerfile"))
        self.assertRegex(dockerfile, r"cmake --preset release [^\n]*-DG2LL_FAILPOINTS=OFF")
        self.assertIn("! build/release/bin/g2ll-coordinator --list-failpoints", dockerfile)


if __name__ == "__main__":
    print(f"fail points: {len(listed())} listed, {len(placed())} in the source", flush=True)
    unittest.main()
