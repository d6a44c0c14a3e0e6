"""Backup, restore and removal with the real coordinator."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import unittest
import urllib.request
import uuid

import grpc

import stubs  # noqa: F401
import support
# pylint: disable=wrong-import-position,import-error
from g2ll.v1 import admin_pb2, admin_pb2_grpc, job_pb2, job_pb2_grpc  # noqa: E402
from g2ll.v1 import spec_pb2, training_spec_pb2  # noqa: E402


class Coordinator:
    """One process on a data directory; `with` starts and stops it."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, "data")
        self.storage = os.path.join(folder, "storage")

    def __enter__(self):
        address_file = os.path.join(self.folder, "address.json")
        if os.path.exists(address_file):
            os.remove(address_file)
        self.log = open(os.path.join(self.folder, "log"), "a", encoding="utf-8")
        self.process = subprocess.Popen(
            [support.program("g2ll-coordinator"), "--listen", "127.0.0.1:0", "--http-listen",
             "127.0.0.1:0", "--data-dir", self.data, "--storage-root", self.storage,
             "--address-file", address_file], stderr=self.log)
        support.wait_until(lambda: os.path.exists(address_file), "the coordinator serves", 20)
        with open(address_file, encoding="utf-8") as file:
            told = json.load(file)
        self.http = told["httpAddress"]
        self.channel = grpc.insecure_channel(told["address"])
        self.jobs = job_pb2_grpc.JobServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        return self

    def __exit__(self, kind, value, trace):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        self.log.close()
        if kind is None:
            assert code == 0, code

    def create(self, name):
        spec = spec_pb2.PretrainSpec(
            recipe=spec_pb2.SMOKE, data=training_spec_pb2.DataSpec(source="/data/images"))
        return self.jobs.CreateJob(job_pb2.CreateJobRequest(
            parent="projects/default", job_id=name, request_id=str(uuid.uuid4()),
            job=job_pb2.Job(spec=spec_pb2.JobSpec(pretrain=spec))), timeout=30)

    def names(self):
        listed = self.jobs.ListJobs(
            job_pb2.ListJobsRequest(parent="projects/default"), timeout=30)
        return sorted(job.name.rsplit("/", 1)[-1] for job in listed.jobs)

    def back_up(self, path):
        digest, largest = "", 0
        with open(path, "wb") as file:
            for chunk in self.admin.StreamBackup(admin_pb2.StreamBackupRequest(), timeout=60):
                assert chunk.offset == file.tell()
                file.write(chunk.data)
                digest = chunk.sha256
                largest = max(largest, len(chunk.data))
        return digest, largest


def restore(path, data):
    return subprocess.run([support.program("g2ll-coordinator"), "restore", "--from", path,
                           "--data-dir", data], capture_output=True, text=True, timeout=60,
                          check=False)


class StoreTest(unittest.TestCase):

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.coordinator = Coordinator(folder)
        self.backup = os.path.join(folder, "backup.db")

    def test_a_restore_brings_back_what_was_there_at_the_backup(self):
        with self.coordinator as coordinator:
            coordinator.create("kept")
            digest, largest = coordinator.back_up(self.backup)
            with open(self.backup, "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest)
            self.assertLessEqual(largest, 64 * 1024)
            self.assertEqual(os.listdir(os.path.join(coordinator.data, "backups")), [])
            coordinator.create("later")
            term = coordinator.admin.GetServerInfo(
                admin_pb2.GetServerInfoRequest(), timeout=30).term

            refused = restore(self.backup, coordinator.data)
            self.assertEqual(refused.returncode, 6, refused.stderr)
            self.assertIn(f"pid {coordinator.process.pid}", refused.stderr)
            self.assertEqual(coordinator.names(), ["kept", "later"])

        restored = restore(self.backup, self.coordinator.data)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertIn("restored 1 jobs", restored.stdout)
        self.assertTrue(any(name.startswith("g2ll.db.before-restore-")
                            for name in os.listdir(self.coordinator.data)))

        with self.coordinator as coordinator:
            self.assertEqual(coordinator.names(), ["kept"])
            info = coordinator.admin.GetServerInfo(admin_pb2.GetServerInfoRequest(), timeout=30)
            self.assertGreater(info.term, term + 1_000_000)

    def test_a_file_that_is_no_backup_is_refused_in_one_line(self):
        with open(self.backup, "w", encoding="utf-8") as file:
            file.write("no database")
        refused = restore(self.backup, self.coordinator.data)
        self.assertEqual(refused.returncode, 2)
        self.assertEqual(len(refused.stderr.splitlines()), 1, refused.stderr)
        self.assertIn(self.backup, refused.stderr)

    def test_a_deleted_jobs_folders_go(self):
        with self.coordinator as coordinator:
            job = coordinator.create("gone")
            other = coordinator.create("stays")
            folders = []
            for uid in (job.uid, other.uid):
                folders.append(os.path.join(coordinator.storage, "checkpoints", uid, "e1", "s1"))
                os.makedirs(folders[-1])
                with open(os.path.join(folders[-1], "model.safetensors"), "w",
                          encoding="utf-8") as file:
                    file.write("x")
            coordinator.jobs.CancelJob(job_pb2.CancelJobRequest(name=job.name), timeout=30)
            coordinator.jobs.DeleteJob(job_pb2.DeleteJobRequest(name=job.name), timeout=30)

            support.wait_until(
                lambda: not os.path.exists(os.path.dirname(os.path.dirname(folders[0]))),
                "the folder goes", 20)
            self.assertTrue(os.path.exists(folders[1]))
            self.assertEqual(coordinator.names(), ["stays"])

    def test_ready_says_when_the_check_is_over(self):
        with self.coordinator as coordinator:
            def is_ready():
                with urllib.request.urlopen(f"http://{coordinator.http}/readyz") as answer:
                    return answer.read() == b"ready\n"

            support.wait_until(is_ready, "everything is checked", 20)


if __name__ == "__main__":
    unittest.main()
