#ifndef SERVER_API_TELEMETRY_SOURCE_H_
#define SERVER_API_TELEMETRY_SOURCE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "g2ll/v1/telemetry.pb.h"
#include "proto/common/grpc_status.h"
#include "server/api/services.h"
#include "server/api/stream_driver.h"
#include "server/telemetry/superseded.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {

// Where a stream of telemetry begins and how it goes on.
struct StreamRange {
  // First number; below 1 is all.
  int64_t from_seq = 0;
  bool follow = false;
};

// The two kinds of telemetry: how to read a page, which rows are wanted, and how
// one is put into the answer.
struct MetricKind {
  using Record = cluster::MetricRecord;
  using Response = v1::StreamMetricsResponse;
  static constexpr char kName[] = "metrics";
  static constexpr int64_t kPageRows = 500;

  std::set<std::string> names;
  int32_t attempt = 0;
  // Nothing is superseded while following: a line never changes.
  telemetry::Superseded superseded;

  int64_t LastSeq(const telemetry::JobStanding& standing) const { return standing.last_metric_seq; }
  std::optional<telemetry::Page<Record>> FromTail(const telemetry::TelemetryHub& hub,
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
    added->set_superseded(superseded.Covers(point));
  }
};

struct LogKind {
  using Record = cluster::LogRecord;
  using Response = v1::StreamLogsResponse;
  static constexpr char kName[] = "logs";
  static constexpr int64_t kPageRows = 256;

  int32_t attempt = 0;
  std::optional<int32_t> rank;

  int64_t LastSeq(const telemetry::JobStanding& standing) const { return standing.last_log_seq; }
  std::optional<telemetry::Page<Record>> FromTail(const telemetry::TelemetryHub& hub,
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
};

// Sends what is stored from a number on, and goes on as more is stored. Keeps a number
// and no rows: it reads from the tail in memory while it keeps up, and from the store
// where it is late.
template <typename Kind>
class TelemetrySource final : public StreamSource<typename Kind::Response> {
 public:
  using Record = typename Kind::Record;
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
    // A filter may leave nothing of many pages; others want the thread too.
    for (int pages = 0; next_seq_ <= last_seq_; ++pages) {
      if (pages == kPagesAtOnce) {
        return Step::kAgain;
      }
      *status = ReadPage(response);
      if (!status->ok()) {
        return Step::kEnd;
      }
      if (response->has_batch() || response->has_gap()) {
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

  std::map<std::string, std::string> Position() const override {
    return {{"nextSeq", absl::StrCat(next_seq_)}};
  }

  void Stopped() override {
    context_.hub->Unfollow(job_uid_, follower_);
    context_.metrics->AddSubscribers(Kind::kName, -1);
  }

 private:
  static constexpr int kPagesAtOnce = 8;
  // Bounds what a reader that takes nothing costs.
  static constexpr size_t kMostBytes = size_t{64} << 10;

  // Puts wanted rows of the next page into `response`, as far as they fit, and moves on
  // behind them. Rows that are no longer kept become a gap.
  absl::Status ReadPage(Response* response) {
    std::optional<telemetry::Page<Record>> page =
        kind_.FromTail(*context_.hub, job_uid_, next_seq_);
    if (!page.has_value()) {
      context_.metrics->AddStreamDiskRead(Kind::kName);
      absl::StatusOr<std::vector<Record>> stored =
          kind_.FromStore(*context_.reader, job_uid_, next_seq_);
      if (!stored.ok()) {
        return stored.status();
      }
      page.emplace().rows = *std::move(stored);
    }
    const std::vector<Record>& rows = page->rows;
    const int64_t first = rows.empty() ? last_seq_ + 1 : std::min(rows.front().seq, last_seq_ + 1);
    if (first > next_seq_) {
      response->mutable_gap()->set_first_seq(next_seq_);
      response->mutable_gap()->set_last_seq(first - 1);
      next_seq_ = first;
      return absl::OkStatus();
    }
    size_t bytes = 0;
    for (const Record& row : rows) {
      if (row.seq != next_seq_ || row.seq > last_seq_ || bytes > kMostBytes) {
        break;
      }
      ++next_seq_;
      if (kind_.Wanted(row)) {
        kind_.Add(row, response);
        bytes += kind_.SizeOf(row);
      }
    }
    if (follow_ && response->has_batch() && page->time != absl::InfinitePast()) {
      context_.metrics->ObserveStreamLag(Kind::kName, absl::Now() - page->time);
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

}  // namespace g2ll::api

#endif  // SERVER_API_TELEMETRY_SOURCE_H_
