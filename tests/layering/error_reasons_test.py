"""docs/errors.md lists every reason that an error of the server can carry, and no other."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITERAL = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)"')
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \|", re.MULTILINE)


def arguments_of(text, start):
    """The text between the bracket at `start` and the one that closes it."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position]
    return text[start:]


def reasons_in(text):
    """Reasons given to net::WithReason, straight or by a function that passes one on."""
    found = set()
    for call in re.finditer(r"(?:WithReason|Refused|Invalid|TooMany|LimitError)\(", text):
        found.update(LITERAL.findall(arguments_of(text, call.end() - 1)))
    return found


class ErrorReasonsTest(unittest.TestCase):

    def test_the_page_lists_every_reason_and_no_other(self):
        used = set()
        for folder in ("server/api", "server/coordinator", "server/config"):
            for file in sorted((ROOT / folder).glob("*.*")):
                if file.suffix in (".cc", ".h"):
                    used |= reasons_in(file.read_text(encoding="utf-8"))
        page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
        listed = ROW.findall(page)
        self.assertEqual(len(listed), len(set(listed)), "a reason is listed twice")
        self.assertEqual(sorted(used - set(listed)), [], "used, but not in docs/errors.md")
        everywhere = "".join(
            file.read_text(encoding="utf-8") for folder in ("server", "proto", "worker/agent")
            for file in sorted((ROOT / folder).rglob("*"))
            if file.suffix in (".cc", ".h", ".proto"))
        self.assertEqual([reason for reason in listed if reason not in everywhere], [],
                         "in docs/errors.md, but nowhere used")


if __name__ == "__main__":
    unittest.main()
