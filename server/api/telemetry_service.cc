#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "server/api/services.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;
using coordinator::JobPtr;

// Where a stream begins and how it goes on.
struct StreamRange {
  int64_t from_seq = 0;
  bool follow = false;
};

// The two kinds of telemetry: how to read a page, which rows are wanted, and how
// one is put into the answer.
struct MetricKind {
  using Record = cluster::MetricRecord;
  using Response = v1::StreamMetricsResponse;
  static constexpr char kName[] = "metrics";
  static constexpr int64_t kPageRows = 2000;

  std::set<std::string> names;
  int32_t attempt = 0;
  // A point of an attempt is superseded if a later attempt went back behind its
  // step: the smallest such step by attempt number. Empty while following.
  std::vector<int64_t> kept_steps;

  int64_t LastSeq(const telemetry::JobStanding& standing) const { return standing.last_metric_seq; }
  std::optional<std::vector<Record>> FromTail(const telemetry::TelemetryHub& hub,
                                              const std::string& uid, int64_t from) const {
    return hub.ReadMetrics(uid, from, kPageRows);
  }
  absl::StatusOr<std::vector<Record>> FromStore(store::TelemetryReader& reader,
                                                const std::string& uid, int64_t from) const {
    return reader.ReadMetrics(uid, from, kPageRows);
  }
  bool Wanted(const Record& point) const {
    return (names.empty() || names.contains(point.name)) &&
           (attempt == 0 || attempt == point.attempt);
  }
  size_t SizeOf(const Record& point) const { return point.name.size() + 64; }
  void Add(const Record& point, Response* response) const {
    v1::MetricPoint* added = response->mutable_batch()->add_points();
    *added = wire::ToProto(point);
    const auto index = static_cast<size_t>(std::max(0, point.attempt));
    added->set_superseded(index < kept_steps.size() && point.step > kept_steps[index]);
  }
  bool HasRows(const Response& response) const { return response.has_batch(); }
};

struct LogKind {
  using Record = cluster::LogRecord;
  using Response = v1::StreamLogsResponse;
  static constexpr char kName[] = "logs";
  static constexpr int64_t kPageRows = 256;

  int32_t attempt = 0;
  std::optional<int32_t> rank;

  int64_t LastSeq(const telemetry::JobStanding& standing) const { return standing.last_log_seq; }
  std::optional<std::vector<Record>> FromTail(const telemetry::TelemetryHub& hub,
                                              const std::string& uid, int64_t from) const {
    return hub.ReadLogs(uid, from, kPageRows);
  }
  absl::StatusOr<std::vector<Record>> FromStore(store::TelemetryReader& reader,
                                                const std::string& uid, int64_t from) const {
    return reader.ReadLogs(uid, from, kPageRows);
  }
  bool Wanted(const Record& line) const {
    return (attempt == 0 || attempt == line.attempt) && (!rank.has_value() || *rank == line.rank);
  }
  size_t SizeOf(const Record& line) const { return line.message.size() + 64; }
  void Add(const Record& line, Response* response) const {
    *response->mutable_batch()->add_lines() = wire::ToProto(line);
  }
  bool HasRows(const Response& response) const { return response.has_batch(); }
};

// Sends what is stored from a number on, and goes on as more is stored.
template <typename Kind>
class TelemetrySource final : public StreamSource<typename Kind::Response> {
 public:
  using Response = typename Kind::Response;
  using Base = StreamSource<Response>;
  using Step = typename Base::Step;

  TelemetrySource(const ServiceContext& context, Kind kind, StreamRange range, std::string job_uid,
                  std::function<void()> wake)
      : context_(context),
        kind_(std::move(kind)),
        follow_(range.follow),
        job_uid_(std::move(job_uid)),
        next_seq_(std::max<int64_t>(1, range.from_seq)) {
    context_.metrics->AddSubscribers(Kind::kName, 1);
    follower_ = context_.hub->Follow(job_uid_, std::move(wake));
    if (const auto standing = context_.hub->Standing(job_uid_); standing.has_value()) {
      last_seq_ = kind_.LastSeq(*standing);
    }
  }

  Step Next(Response* response, absl::Status* status) override {
    if (end_sent_) {
      return Step::kEnd;
    }
    const std::optional<telemetry::JobStanding> standing = context_.hub->Standing(job_uid_);
    if (!standing.has_value()) {
      *status = net::WithReason(absl::NotFoundError("the job was deleted"), "JOB_NOT_FOUND");
      return Step::kEnd;
    }
    if (follow_) {
      last_seq_ = kind_.LastSeq(*standing);
    }
    while (next_seq_ <= last_seq_) {
      *status = ReadPage(response);
      if (!status->ok()) {
        return Step::kEnd;
      }
      if (kind_.HasRows(*response)) {
        return Step::kSend;
      }
    }
    if (follow_ && !cluster::IsTerminal(standing->state)) {
      return Step::kWait;
    }
    response->mutable_end()->set_state(std::string(cluster::Name(standing->state)));
    response->mutable_end()->set_last_seq(last_seq_);
    end_sent_ = true;
    return Step::kSend;
  }

  void Stopped() override {
    context_.hub->Unfollow(job_uid_, follower_);
    context_.metrics->AddSubscribers(Kind::kName, -1);
  }

 private:
  // Puts wanted rows of the next page into `response`, as far as they fit, and
  // moves on behind them.
  absl::Status ReadPage(Response* response) {
    constexpr size_t kMostBytes = size_t{1} << 20;
    std::optional<std::vector<typename Kind::Record>> page =
        kind_.FromTail(*context_.hub, job_uid_, next_seq_);
    if (!page.has_value()) {
      absl::StatusOr<std::vector<typename Kind::Record>> stored =
          kind_.FromStore(*context_.reader, job_uid_, next_seq_);
      if (!stored.ok()) {
        return stored.status();
      }
      page = *std::move(stored);
    }
    if (page->empty()) {
      return absl::DataLossError("stored rows of the job are missing");
    }
    size_t bytes = 0;
    for (const typename Kind::Record& row : *page) {
      if (row.seq > last_seq_ || bytes > kMostBytes) {
        break;
      }
      next_seq_ = row.seq + 1;
      if (kind_.Wanted(row)) {
        kind_.Add(row, response);
        bytes += kind_.SizeOf(row);
      }
    }
    return absl::OkStatus();
  }

  const ServiceContext context_;
  const Kind kind_;
  const bool follow_;
  const std::string job_uid_;
  int64_t follower_ = 0;
  int64_t next_seq_;
  int64_t last_seq_ = 0;
  bool end_sent_ = false;
};

// Entry a: the smallest step to which any attempt after a went back.
std::vector<int64_t> KeptSteps(const cluster::JobRecord& job) {
  std::vector<int64_t> kept(job.attempts.size() + 1, std::numeric_limits<int64_t>::max());
  for (size_t i = job.attempts.size(); i-- > 1;) {
    // Attempts are numbered from 1: entry i is attempt i, followed by attempt i + 1.
    kept[i] = std::min(kept[i + 1], job.attempts[i].resume_step);
  }
  return kept;
}

// Opens a stream on a job that is looked up first.
template <typename Kind>
grpc::ServerWriteReactor<typename Kind::Response>* Open(
    const ServiceContext& context, const std::string& job_name,
    std::function<std::pair<Kind, StreamRange>(const cluster::JobRecord&)> choose) {
  auto [driver, reactor] =
      StreamDriver<typename Kind::Response>::Make(context.pool, context.streams);
  context.coordinator->Call<JobPtr>(
      [job_name](Core& core, absl::Time) { return core.GetJob(job_name); },
      [context, driver = driver, choose = std::move(choose)](absl::StatusOr<JobPtr> job) {
        if (!job.ok()) {
          driver->End(job.status());
          return;
        }
        auto [kind, range] = choose(**job);
        driver->Start(std::make_unique<TelemetrySource<Kind>>(
            context, std::move(kind), range, (*job)->uid, [weak = std::weak_ptr(driver)] {
              if (const auto live = weak.lock()) {
                live->Wake();
              }
            }));
      });
  return reactor;
}

// A job has no more series than this.
constexpr int kMostNames = 256;

absl::Status CheckNames(int count) {
  if (count <= kMostNames) {
    return absl::OkStatus();
  }
  return net::WithReason(absl::InvalidArgumentError(absl::StrCat(
                             "names: ", count, " are given, at most ", kMostNames, " are allowed")),
                         "TOO_MANY_NAMES");
}

// Ends a stream before it begins.
template <typename Response>
grpc::ServerWriteReactor<Response>* Refuse(const ServiceContext& context,
                                           const absl::Status& status) {
  auto [driver, reactor] = StreamDriver<Response>::Make(context.pool, context.streams);
  driver->End(status);
  return reactor;
}

class TelemetryService final : public v1::TelemetryService::CallbackService {
 public:
  explicit TelemetryService(const ServiceContext& context) : context_(context) {}

  grpc::ServerWriteReactor<v1::StreamMetricsResponse>* StreamMetrics(
      grpc::CallbackServerContext*, const v1::StreamMetricsRequest* request) override {
    // Looked at before the request is copied: it may hold a message full of names.
    if (const absl::Status status = CheckNames(request->names_size()); !status.ok()) {
      return Refuse<v1::StreamMetricsResponse>(context_, status);
    }
    return Open<MetricKind>(
        context_, request->job(), [request = *request](const cluster::JobRecord& job) {
          MetricKind kind;
          kind.names = {request.names().begin(), request.names().end()};
          kind.attempt = request.attempt();
          if (!request.follow()) {
            kind.kept_steps = KeptSteps(job);
          }
          return std::pair(std::move(kind), StreamRange{request.from_seq(), request.follow()});
        });
  }

  grpc::ServerWriteReactor<v1::StreamLogsResponse>* StreamLogs(
      grpc::CallbackServerContext*, const v1::StreamLogsRequest* request) override {
    return Open<LogKind>(
        context_, request->job(), [request = *request](const cluster::JobRecord& job) {
          LogKind kind;
          kind.attempt = request.attempt();
          if (request.has_rank()) {
            kind.rank = request.rank();
          }
          const int64_t from =
              request.tail() > 0 ? job.last_log_seq - request.tail() + 1 : request.from_seq();
          return std::pair(std::move(kind), StreamRange{from, request.follow()});
        });
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTelemetryService(const ServiceContext& context) {
  return std::make_unique<TelemetryService>(context);
}

}  // namespace g2ll::api
