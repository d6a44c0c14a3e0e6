#include "client/api/stream_reader.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"

namespace g2ll::client {
namespace {

// A stream that lasted so long was open, whether or not a message came.
constexpr absl::Duration kQuietButOpen = absl::Seconds(5);
// So long on a connection that stands, a quiet stream counts as back.
constexpr absl::Duration kQuietButBack = absl::Seconds(1);

// The server ends streams by itself, for its own good, and says where to go on: that is
// no loss unless it cannot be reached afterwards.
bool IsPolite(const absl::Status& ended) {
  const std::map<std::string, std::string> metadata = net::MetadataOf(ended);
  return metadata.contains("nextSeq") || metadata.contains("resumeToken");
}

}  // namespace

Reconnector::Reconnector(const ClientOptions& options, const StreamControl& control,
                         grpc::Channel& channel)
    : options_(options),
      control_(control),
      channel_(channel),
      opened_(absl::Now()),
      lost_since_(opened_) {}

void Reconnector::OnOpen() {
  opened_ = absl::Now();
  heard_now_ = false;
  const std::scoped_lock lock(mutex_);
  if (!told_lost_) return;
  quiet_ = std::jthread([this](const std::stop_token& stop) {
    while (!SleepUnlessStopped(kQuietButBack, stop)) {
      if (channel_.GetState(false) == GRPC_CHANNEL_READY) return TellBack();
    }
  });
}

void Reconnector::OnMessage() {
  if (heard_now_) return;
  heard_ = heard_now_ = true;
  TellBack();
}

void Reconnector::TellLost(const absl::Status& ended) {
  {
    const std::scoped_lock lock(mutex_);
    if (told_lost_) return;
    told_lost_ = true;
  }
  if (control_.on_lost) control_.on_lost(ended);
}

void Reconnector::TellBack() {
  {
    const std::scoped_lock lock(mutex_);
    if (!told_lost_) return;
    told_lost_ = false;
  }
  if (control_.on_back) control_.on_back();
}

absl::Status Reconnector::WaitForNextTry(const absl::Status& ended) {
  if (quiet_.joinable()) {
    quiet_.request_stop();
    quiet_.join();
  }
  const absl::Time now = absl::Now();
  const bool was_open = heard_now_ || now - opened_ > kQuietButOpen;
  if (was_open) {
    heard_ = true;
    lost_since_ = now;
    attempt_ = 0;
  }
  ++attempt_;
  if (heard_ && now - lost_since_ >= options_.stream_patience) {
    return absl::UnavailableError(
        absl::StrCat("it stayed away for ", absl::FormatDuration(options_.stream_patience)));
  }
  const bool may_still_come =
      options_.wait_for_ready && now - lost_since_ < options_.create_timeout;
  if (!heard_ && attempt_ >= options_.attempts && !may_still_come) return ended;
  if (heard_ && !(was_open && IsPolite(ended))) TellLost(ended);
  if (now > control_.deadline) return absl::DeadlineExceededError("time ran out");
  if (SleepUnlessStopped(RandomBackoff(attempt_, options_), control_.stop)) {
    return absl::CancelledError("stopped");
  }
  if (absl::Now() > control_.deadline) return absl::DeadlineExceededError("time ran out");
  return absl::OkStatus();
}

}  // namespace g2ll::client
