"""A client in Python, made from nothing but the .proto files and grpcio."""

import sys
import unittest
import uuid

import grpc

import stubs  # noqa: F401
import support
# pylint: disable=wrong-import-position,import-error
from g2ll.v1 import admin_pb2, admin_pb2_grpc, job_pb2, job_pb2_grpc  # noqa: E402
from g2ll.v1 import method_spec_pb2, spec_pb2, training_spec_pb2  # noqa: E402
from g2ll.v1 import telemetry_pb2, telemetry_pb2_grpc  # noqa: E402


class PythonClientTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster(workers=1)
        cls.enterClassContext(cls.cluster)
        cls.channel = cls.enterClassContext(grpc.insecure_channel(cls.cluster.address))
        cls.jobs = job_pb2_grpc.JobServiceStub(cls.channel)
        cls.telemetry = telemetry_pb2_grpc.TelemetryServiceStub(cls.channel)

    def request(self, name, **pretrain):
        spec = spec_pb2.PretrainSpec(
            recipe=spec_pb2.SMOKE,
            data=training_spec_pb2.DataSpec(source="synthetic:dermoscopy?count=16&seed=1"),
            train=training_spec_pb2.TrainSpec(updates=6, global_batch=4),
            resources=spec_pb2.ResourceSpec(ranks=spec_pb2.ResourceSpec.Ranks(min=1, max=1)),
            **pretrain)
        return job_pb2.CreateJobRequest(
            parent="projects/default", job_id=name, request_id=str(uuid.uuid4()),
            job=job_pb2.Job(spec=spec_pb2.JobSpec(pretrain=spec), labels={"from": "python"}))

    def test_submits_a_job_and_streams_its_metrics(self):
        request = self.request("from-python")
        job = self.jobs.CreateJob(request, timeout=30)
        self.assertEqual(job.name, "projects/default/jobs/from-python")
        self.assertEqual(self.jobs.CreateJob(request, timeout=30).uid, job.uid, "same request")

        points, end = [], None
        for answer in self.telemetry.StreamMetrics(
                telemetry_pb2.StreamMetricsRequest(job=job.name, follow=True), timeout=120):
            self.assertIsNone(end, "nothing comes after End")
            if answer.WhichOneof("kind") == "batch":
                points.extend(answer.batch.points)
            else:
                end = answer.end
        self.assertEqual(end.state, "SUCCEEDED")
        self.assertEqual([p.seq for p in points], list(range(1, end.last_seq + 1)))
        self.assertEqual(max(p.step for p in points), 6)
        self.assertIn("loss", {p.name for p in points})

        *_, last = self.jobs.WatchJob(job_pb2.WatchJobRequest(name=job.name), timeout=30)
        self.assertEqual(last.state, job_pb2.Job.SUCCEEDED)
        listed = self.jobs.ListJobs(job_pb2.ListJobsRequest(labels={"from": "python"}), timeout=30)
        self.assertEqual([j.name for j in listed.jobs], [job.name])

    def test_every_bad_field_is_named_in_the_details(self):
        request = self.request("bad", mask=method_spec_pb2.MaskSpec(gamma=2.0, beta=-1.0))
        with self.assertRaises(grpc.RpcError) as caught:
            self.jobs.CreateJob(request, timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        details = dict(caught.exception.trailing_metadata())["grpc-status-details-bin"]
        for word in (b"INVALID_SPEC", b"spec.mask.gamma", b"spec.mask.beta"):
            self.assertIn(word, details)

    def test_unknown_job_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.jobs.GetJob(job_pb2.GetJobRequest(name="projects/default/jobs/none"), timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_workers_are_listed(self):
        workers = admin_pb2_grpc.AdminServiceStub(self.channel).ListWorkers(
            admin_pb2.ListWorkersRequest(), timeout=30).workers
        self.assertEqual([w.state for w in workers], [admin_pb2.Worker.READY])

    def test_health_is_serving(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=30), b"\x08\x01")  # status: SERVING

    def test_reflection_lists_the_services(self):
        reflect = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answer = next(reflect(iter([b"\x3a\x01*"]), timeout=30))  # list_services: "*"
        for service in (b"g2ll.v1.JobService", b"g2ll.v1.TelemetryService",
                        b"g2ll.v1.CheckpointService", b"g2ll.v1.AdminService"):
            self.assertIn(service, answer)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
