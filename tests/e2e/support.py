"""What the end-to-end tests share: the real programs on loopback, in a folder of their own."""

import json
import os
import shutil
import subprocess
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("G2LL_BIN_DIR", os.path.join(REPOSITORY, "build", "release", "bin"))


def program(name):
    return os.path.join(BIN, name)


def dermoscopy_folder():
    """The folder of real images, or None where this machine has none."""
    folder = os.environ.get(
        "G2LL_DERMOSCOPY_DIR",
        os.path.join(os.path.dirname(REPOSITORY), "shared", "data", "dermoscopy"))
    return folder if os.path.isfile(os.path.join(folder, "manifest.csv")) else None


def run(name, *arguments, timeout=60, environment=None, **more):
    """Runs one of our programs to its end and returns it with its output as text."""
    return subprocess.run([program(name), *arguments], capture_output=True, text=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "NO_COLOR": "1", **(environment or {})}, **more)


def wait_until(condition, what, seconds=60):
    """Returns the first true value of `condition()`; fails with `what` after a while."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Cluster:
    """A coordinator and workers under `g2ll local`, in a temporary folder."""

    def __init__(self, workers=2):
        self.folder = tempfile.mkdtemp(prefix="g2ll-e2e-")
        self.directory = os.path.join(self.folder, "local")
        self.workers = workers
        self.address = None

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                self.print_logs()
            down = run("g2ll", "local", "down", "--dir", self.directory)
            if kind is None and down.returncode != 0:
                raise AssertionError(down.stderr)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def up(self):
        # Ends only when no process holds our pipes, so it would hang if one did.
        result = run("g2ll", "local", "up", "--workers", str(self.workers), "--dir",
                     self.directory)
        if result.returncode != 0:
            self.print_logs()
            raise AssertionError(result.stderr)
        self.address = self.status()["address"]
        return result

    def status(self):
        result = run("g2ll", "local", "status", "--dir", self.directory, "-o", "json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def print_logs(self):
        for folder, _, files in os.walk(self.directory):
            for name in files:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as log:
                        print(f"--- {name}", *log.readlines()[-40:], sep="\n", flush=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def g2ll(self, *arguments, timeout=60):
        return run("g2ll", *arguments, timeout=timeout, environment={"G2LL_SERVER": self.address})

    def ok(self, *arguments, timeout=60):
        """Like g2ll(), but a failure ends the test with the program's own words."""
        result = self.g2ll(*arguments, timeout=timeout)
        assert result.returncode == 0, (f"g2ll {' '.join(arguments)} ended with "
                                        f"{result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def json(self, *arguments):
        return json.loads(self.ok(*arguments, "-o", "json"))

    def follow(self, job):
        """Starts a follower of the job's metrics; its output ends when the job does."""
        return subprocess.Popen([program("g2ll"), "metrics", job, "-f", "-o", "json"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                stdin=subprocess.DEVNULL,
                                env={**os.environ, "G2LL_SERVER": self.address})
