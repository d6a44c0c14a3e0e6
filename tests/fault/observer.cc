#include "tests/fault/observer.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/grpc_status.h"
#include "server/cluster/states.h"
#include "server/storage/storage_root.h"

namespace g2ll::fault {
namespace {

std::string ShortName(const std::string& full_name) {
  return full_name.substr(full_name.rfind('/') + 1);
}

std::string Text(const v1::MetricPoint& point) {
  return absl::StrCat(point.attempt(), " ", point.step(), " ", point.name(), " ", point.value());
}

bool IsAllowed(const std::string& from, const std::string& to) {
  for (const cluster::JobState state : cluster::kAllJobStates) {
    for (const cluster::JobEvent event : cluster::kAllJobEvents) {
      const auto next = cluster::Transition(state, event);
      if (cluster::Name(state) == from && next.ok() && cluster::Name(*next) == to) {
        return true;
      }
    }
  }
  return false;
}

// The moves of a job as its events tell them: each begins where the one before ended.
void CheckMoves(const v1::Job& job, std::vector<std::string>* faults) {
  std::string state = "PENDING";
  for (const v1::JobEvent& event : job.events()) {
    if (event.type() != "STATE_CHANGED") {
      continue;
    }
    const std::string moves(event.message().substr(0, event.message().find(':')));
    const std::vector<std::string> ends = absl::StrSplit(moves, " -> ");
    if (ends.size() != 2 || ends[0] != state || !IsAllowed(ends[0], ends[1])) {
      faults->push_back(
          absl::StrCat(job.name(), ": illegal move from ", state, ": ", event.message()));
      return;
    }
    state = ends[1];
  }
  if (state != v1::Job::State_Name(job.state())) {
    faults->push_back(absl::StrCat(job.name(), ": its events end in ", state, " and it is ",
                                   v1::Job::State_Name(job.state())));
  }
}

void CheckCheckpoint(const v1::Checkpoint& checkpoint, const storage::StorageRoot& storage,
                     std::vector<std::string>* faults) {
  const auto manifest = storage.ReadManifest(checkpoint.path(), checkpoint.sha256());
  if (!manifest.ok()) {
    faults->push_back(absl::StrCat("checkpoint ", checkpoint.id(),
                                   " does not load: ", std::string(manifest.status().message())));
  }
}

// Calls until the coordinator answers; an error is a fault of `what`.
template <typename Value>
Value Read(const std::function<absl::StatusOr<Value>()>& call, const std::string& what,
           std::vector<std::string>* faults) {
  absl::StatusOr<Value> value = Persist<absl::StatusOr<Value>>(call);
  if (!value.ok()) {
    faults->push_back(absl::StrCat(what, ": ", value.status().ToString()));
    return Value();
  }
  return *std::move(value);
}

// The same for a call about one job.
template <typename Value>
Value ReadOf(absl::StatusOr<Value> (sim::JobClient::*method)(const std::string&) const,
             const sim::JobClient& client, const std::string& full_name,
             std::vector<std::string>* faults) {
  return Read<Value>([&] { return (client.*method)(full_name); }, full_name, faults);
}

void CompareRows(const std::string& what, const std::vector<std::string>& expected,
                 const std::vector<std::string>& seen, std::vector<std::string>* faults) {
  const auto [a, b] = std::mismatch(expected.begin(), expected.end(), seen.begin(), seen.end());
  if (a == expected.end() && b == seen.end()) {
    return;
  }
  faults->push_back(absl::StrCat(what, ": ", seen.size(), " instead of ", expected.size(),
                                 "; first difference at ", a - expected.begin(), ": '",
                                 b == seen.end() ? "nothing" : *b, "' instead of '",
                                 a == expected.end() ? "nothing" : *a, "'"));
}

}  // namespace

bool MayRetry(const absl::Status& status) { return absl::IsUnavailable(status); }

absl::StatusOr<v1::Job> CreateSurely(const sim::JobClient& client, v1::CreateJobRequest request) {
  request.set_request_id(absl::StrCat("request-", request.job_id()));
  return Persist<absl::StatusOr<v1::Job>>([&] { return client.Create(request); });
}

Outcome Observe(const sim::JobClient& client, const std::string& storage_root,
                std::vector<std::string>* faults) {
  Outcome outcome;
  const auto storage = storage::StorageRoot::Open(storage_root);
  if (!storage.ok()) {
    faults->push_back(storage.status().ToString());
    return outcome;
  }
  std::set<std::string> names;
  for (const v1::Job& listed :
       Read<std::vector<v1::Job>>([&] { return client.ListAll(); }, "list", faults)) {
    const std::string& full_name = listed.name();
    const std::string name = ShortName(full_name);
    if (!names.insert(full_name).second) {
      faults->push_back(absl::StrCat(full_name, " is listed twice"));
    }
    const v1::Job job = ReadOf(&sim::JobClient::Get, client, full_name, faults);
    CheckMoves(job, faults);
    std::string& text = outcome.jobs[name];
    text = absl::StrCat(v1::Job::State_Name(job.state()), ", attempts ", job.attempts_size(),
                        ", step ", job.progress().step(), ", labels ", job.labels_size(),
                        ", checkpoints");
    for (const v1::Checkpoint& checkpoint :
         ReadOf(&sim::JobClient::ListCheckpoints, client, full_name, faults)) {
      absl::StrAppend(&text, " ", checkpoint.step());
      CheckCheckpoint(checkpoint, *storage, faults);
    }
    const auto points = ReadOf(&sim::JobClient::ReadMetrics, client, full_name, faults);
    if (const int64_t gaps = sim::CountGaps(points); gaps != 0) {
      faults->push_back(absl::StrCat(full_name, ": ", gaps, " gaps in its points"));
    }
    for (const v1::MetricPoint& point : points) {
      outcome.points[name].push_back(Text(point));
    }
    const auto lines = ReadOf(&sim::JobClient::ReadLogs, client, full_name, faults);
    if (const int64_t gaps = sim::CountGaps(lines); gaps != 0) {
      faults->push_back(absl::StrCat(full_name, ": ", gaps, " gaps in its log"));
    }
    for (const v1::LogLine& line : lines) {
      outcome.lines[name].push_back(line.message());
    }
  }
  return outcome;
}

void Compare(const Outcome& expected, const Outcome& seen, std::vector<std::string>* faults) {
  for (const auto& [name, text] : expected.jobs) {
    const auto found = seen.jobs.find(name);
    if (found == seen.jobs.end()) {
      faults->push_back(absl::StrCat("job ", name, " is lost"));
    } else if (found->second != text) {
      faults->push_back(absl::StrCat("job ", name, ": ", found->second, "; undisturbed: ", text));
    }
  }
  for (const auto& [name, text] : seen.jobs) {
    if (!expected.jobs.contains(name)) {
      faults->push_back(absl::StrCat("job ", name, " should not be there"));
    }
  }
  for (const auto& [name, rows] : expected.points) {
    const auto found = seen.points.find(name);
    CompareRows("points of " + name, rows,
                found == seen.points.end() ? std::vector<std::string>() : found->second, faults);
  }
  for (const auto& [name, rows] : expected.lines) {
    const auto found = seen.lines.find(name);
    CompareRows("log of " + name, rows,
                found == seen.lines.end() ? std::vector<std::string>() : found->second, faults);
  }
}

int CountFaults(const std::vector<std::string>& faults, const std::string& text) {
  return static_cast<int>(
      std::count_if(faults.begin(), faults.end(),
                    [&](const std::string& fault) { return absl::StrContains(fault, text); }));
}

std::vector<std::string> LeftOver(const std::string& directory) {
  const std::set<std::string> wanted = {"g2ll.db", "coordinator.lock"};
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool in_data = entry.path().parent_path().filename() == "data";
    const bool is_temporary = absl::EndsWith(name, ".new") || absl::EndsWith(name, ".tmp") ||
                              absl::StartsWith(name, ".backup-");
    if (entry.is_regular_file() && ((in_data && !wanted.contains(name)) || is_temporary)) {
      left.push_back(std::filesystem::relative(entry.path(), directory).string());
    }
  }
  return left;
}

Follower::Follower(const sim::JobClient* client, std::string job)
    : client_(client), job_(std::move(job)), thread_([this] { Follow(); }) {}

void Follower::Follow() {
  while (!ReadSome()) {
    absl::SleepFor(absl::Milliseconds(5));
  }
}

// Reads one stream to its end. True after the last point, and if it cannot go on.
bool Follower::ReadSome() {
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
  v1::StreamMetricsRequest request;
  request.set_job(job_);
  request.set_follow(true);
  request.set_from_seq(last_seq_ + 1);
  const auto reader = client_->telemetry().StreamMetrics(&call, request);
  v1::StreamMetricsResponse response;
  bool ended = false;
  while (reader->Read(&response)) {
    ended |= response.has_end();
    for (const v1::MetricPoint& point : response.batch().points()) {
      if (point.seq() != ++last_seq_) {
        faults_.push_back(absl::StrCat("follower of ", job_, ": point ", point.seq(), " where ",
                                       last_seq_, " was due"));
        last_seq_ = point.seq();
      }
      points_.push_back(Text(point));
    }
  }
  const absl::Status status = net::FromGrpcStatus(reader->Finish());
  if (!ended && !MayRetry(status)) {
    faults_.push_back(absl::StrCat("follower of ", job_, ": ", status.ToString()));
    return true;
  }
  return ended;
}

std::vector<std::string> Follower::Finish(std::vector<std::string>* faults) {
  thread_.join();
  faults->insert(faults->end(), faults_.begin(), faults_.end());
  return std::move(points_);
}

}  // namespace g2ll::fault
