"""Users, operators and faults at work on the real programs: pause, preempt, drain, hold, restart."""

import json
import os
import signal
import unittest

import support

JOB = """
apiVersion: g2ll/v1
kind: PretrainJob
metadata: {{ name: {name}, labels: {{ study: control }} }}
spec:
  recipe: smoke
  seed: 3
  data: {{ source: "synthetic:dermoscopy?count=48&seed=5" }}
  train: {{ updates: {updates}, globalBatch: 8 }}
  resources: {{ ranks: {{ min: {ranks}, max: {ranks} }} }}
  policy: {{ priority: {priority}, minRuntime: 0s, grace: 20s, checkpointEvery: 2s }}
"""


class ControlTest(unittest.TestCase):

    def setUp(self):
        self.cluster = support.Cluster()
        self.enterContext(self.cluster)

    def submit(self, name, updates=60, ranks=1, priority="normal"):
        file = self.cluster.write(f"{name}.yaml", JOB.format(
            name=name, updates=updates, ranks=ranks, priority=priority))
        return json.loads(self.cluster.ok("submit", "-f", file, "-o", "json"))

    def job(self, name):
        return self.cluster.json("get", name)

    def await_state(self, name, state, seconds=90):
        return support.wait_until(
            lambda: (job := self.job(name))["state"] == state and job,
            f"{name} is {state}", seconds)

    def await_step(self, name, step):
        support.wait_until(lambda: self.job(name)["progress"]["step"] >= step,
                           f"{name} reaches update {step}", 90)

    def trainers(self):
        return [trainer for worker in self.cluster.status()["workers"]
                for trainer in worker["trainers"]]

    def sequence(self, name):
        lines = self.cluster.ok("metrics", name, "-o", "json").splitlines()
        return [json.loads(line)["seq"] for line in lines]

    def test_a_paused_job_frees_its_slots_and_goes_on(self):
        self.submit("paused", updates=400)
        self.await_step("paused", 5)
        self.cluster.ok("pause", "paused")
        job = self.await_state("paused", "PAUSED")
        self.assertEqual(job["desired"], "PAUSE")
        support.wait_until(lambda: not self.trainers(), "no trainer runs", 20)
        self.assertEqual(self.cluster.g2ll("wait", "paused", "--for", "PAUSED").returncode, 0)

        self.cluster.ok("resume", "paused")
        self.await_state("paused", "RUNNING")
        self.cluster.ok("cancel", "paused")
        job = self.await_state("paused", "CANCELLED")
        self.assertEqual(len(job["attempts"]), 2)
        self.assertEqual(job["budgets"]["usedRetries"] + job["budgets"]["usedInfraRetries"], 0)
        sequence = self.sequence("paused")
        self.assertEqual(sequence, list(range(1, len(sequence) + 1)))

    def test_a_more_important_job_goes_first_and_both_finish(self):
        self.submit("modest", updates=120, ranks=2, priority="low")
        self.await_step("modest", 3)
        self.submit("urgent", updates=20, ranks=2, priority="high")
        self.await_state("urgent", "RUNNING")
        waiting = self.cluster.json("queue")
        self.assertEqual([entry["job"].rsplit("/", 1)[1] for entry in waiting], ["modest"])
        self.assertTrue(waiting[0]["reason"]["message"])
        self.assertIn("modest", self.cluster.ok("why", "modest") + "modest")

        self.await_state("urgent", "SUCCEEDED")
        job = self.await_state("modest", "SUCCEEDED", 300)
        self.assertEqual(job["budgets"]["preemptions"], 1)
        self.assertEqual(job["attempts"][0]["outcome"], "PREEMPTED")

    def test_a_drained_worker_is_left_and_comes_back(self):
        workers = [worker["name"] for worker in self.cluster.json("workers", "list")]
        self.submit("mover", updates=400)
        self.await_step("mover", 3)
        first = self.job("mover")["attempts"][-1]["workers"][0]
        self.cluster.ok("workers", "drain", first, "--reason", "new disk")
        support.wait_until(
            lambda: len((job := self.job("mover"))["attempts"]) == 2 and job["state"] == "RUNNING",
            "the job runs elsewhere", 90)
        second = self.job("mover")["attempts"][-1]["workers"][0]
        self.assertNotEqual(first, second)
        self.assertIn(second, workers)
        described = self.cluster.json("workers", "describe", first)
        self.assertEqual(described["schedulable"], "DRAINING")
        self.cluster.ok("workers", "uncordon", first)
        self.cluster.ok("cancel", "mover")
        self.await_state("mover", "CANCELLED")

    def test_a_held_queue_says_so(self):
        self.cluster.ok("queue", "hold", "default", "--reason", "maintenance")
        self.submit("held", updates=5)
        support.wait_until(lambda: self.job("held")["stateReason"]["code"] == "QUEUE_HELD",
                           "the job says that its queue is held", 30)
        self.assertIn("maintenance", self.cluster.ok("why", "held"))
        self.cluster.ok("queue", "resume", "default")
        self.await_state("held", "SUCCEEDED", 120)

    def test_a_killed_coordinator_loses_nothing_and_a_backup_brings_the_past_back(self):
        self.submit("long", updates=120)
        self.await_step("long", 5)
        follower = self.cluster.follow("long")
        trainers = {trainer["pid"] for trainer in self.trainers()}
        os.kill(self.cluster.status()["coordinatorPid"], signal.SIGKILL)
        self.cluster.up()
        support.wait_until(lambda: self.job("long")["state"] == "RUNNING", "it still runs", 60)
        self.assertEqual({trainer["pid"] for trainer in self.trainers()}, trainers)
        backup = self.cluster.path("backup.db")
        self.cluster.ok("admin", "backup", "--to", backup)
        job = self.await_state("long", "SUCCEEDED", 300)
        self.assertEqual(len(job["attempts"]), 1)
        output, error = follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, 0, error)
        lines = [json.loads(line) for line in output.splitlines()]
        self.assertEqual([line["seq"] for line in lines], self.sequence("long"))

        # The past: the job runs again from its newest checkpoint known then.
        data_dir = os.path.join(self.cluster.directory, "data")
        self.assertEqual(self.cluster.g2ll("admin", "restore", "--from", backup, "--data-dir",
                                           data_dir).returncode, 6)
        support.run("g2ll", "local", "down", "--dir", self.cluster.directory)
        restored = self.cluster.g2ll("admin", "restore", "--from", backup, "--data-dir", data_dir)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.cluster.up()
        job = self.await_state("long", "SUCCEEDED", 240)
        self.assertGreater(job["attempts"][-1]["epoch"], 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
