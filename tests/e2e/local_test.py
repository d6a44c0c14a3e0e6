"""`g2ll local`: starts, tells what runs, heals, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import unittest

import support

JOB = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: { name: long }
spec:
  recipe: smoke
  data: { source: "synthetic:dermoscopy?count=64&seed=1" }
  train: { updates: 100000 }
  resources: { ranks: { min: 2, max: 2 } }
"""


def pids_of(status):
    pids = [status["coordinatorPid"]]
    for worker in status["workers"]:
        pids.append(worker["pid"])
        pids.extend(process["pid"] for process in worker["trainers"] + worker["stores"])
    return pids


def ignores(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        masks = dict(line.split(":\t") for line in file if line.startswith("Sig"))
    return int(masks["SigIgn"], 16) >> (number - 1) & 1


class TrainerTest(unittest.TestCase):

    def test_outlives_a_write_to_a_peer_that_is_gone(self):
        for role in ("rank", "store"):
            with self.subTest(role):
                ours, theirs = socket.socketpair()
                with ours, theirs, subprocess.Popen(
                        [support.program("g2ll-trainer"), role, "--fd", str(theirs.fileno())],
                        pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as trainer:
                    try:
                        support.wait_until(lambda: ignores(trainer.pid, signal.SIGPIPE),
                                           "SIGPIPE is ignored", 20)
                    finally:
                        trainer.kill()


class LocalTest(unittest.TestCase):

    def test_down_leaves_no_process(self):
        with support.Cluster() as cluster:
            cluster.ok("submit", "-f", cluster.write("job.yaml", JOB))

            def status_while_training():
                status = cluster.status()
                trainers = sum(len(worker["trainers"]) for worker in status["workers"])
                stores = sum(len(worker["stores"]) for worker in status["workers"])
                return status if trainers == 2 and stores == 1 else None

            pids = pids_of(support.wait_until(status_while_training, "two trainers and a store"))
            self.assertEqual(len(pids), 6)
            for pid in pids:
                self.assertTrue(support.is_alive(pid))

            down = support.run("g2ll", "local", "down", "--dir", cluster.directory)

            self.assertEqual(down.returncode, 0, down.stderr)
            self.assertEqual([pid for pid in pids if support.is_alive(pid)], [])

    def test_up_starts_what_is_missing_on_the_same_data(self):
        with support.Cluster() as cluster:
            cluster.ok("submit", "-f", cluster.write("job.yaml", JOB))
            uid = cluster.json("get", "long")["uid"]
            before = cluster.status()
            os.kill(before["coordinatorPid"], signal.SIGKILL)
            os.kill(before["workers"][0]["pid"], signal.SIGKILL)
            support.wait_until(lambda: not support.is_alive(before["coordinatorPid"]), "it is gone")

            cluster.up()

            after = cluster.status()
            self.assertNotEqual(after["coordinatorPid"], before["coordinatorPid"])
            self.assertEqual(after["workers"][1]["pid"], before["workers"][1]["pid"])
            self.assertEqual(cluster.json("get", "long")["uid"], uid)
            self.assertEqual(len(cluster.json("workers", "list")), 2)

    def test_up_twice_changes_nothing(self):
        with support.Cluster(workers=1) as cluster:
            before = pids_of(cluster.status())
            cluster.up()
            self.assertEqual(pids_of(cluster.status()), before)

    def test_idle_coordinator_is_small(self):
        with support.Cluster(workers=1) as cluster:
            with open(f"/proc/{cluster.status()['coordinatorPid']}/status",
                      encoding="ascii") as file:
                rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            print(f"coordinator idle: {rss / 1024:.1f} MB resident")
            self.assertLess(rss, 60 * 1024)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
