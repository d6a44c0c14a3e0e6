#include "worker/agent/rank_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/agent/proto_time.h"
#include "worker/agent/socket_pair.h"

namespace g2ll::agent {
namespace {

constexpr size_t kKeptLines = 5;
constexpr size_t kKeptLineBytes = 300;

using ReadBuffer = std::array<char, 16384>;

// What read or recv returned, turned into "go on reading later".
bool WouldBlock() { return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

absl::StatusOr<std::unique_ptr<RankProcess>> RankProcess::Start(ProcessSpawner& spawner,
                                                                const Launch& launch,
                                                                TelemetryOutbox& outbox,
                                                                RankListener& listener) {
  G2LL_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair());
  SpawnRequest request;
  request.argv = {launch.trainer, "rank", "--fd", std::to_string(kChannelFd)};
  const std::string threads = std::to_string(launch.assignment.threads());
  request.environment = {{"OMP_NUM_THREADS", threads}, {"MKL_NUM_THREADS", threads}};
  request.channel = std::move(pair.child);
  request.pipe_output = true;
  request.join_error_to_output = true;
  G2LL_ASSIGN_OR_RETURN(auto child, spawner.Spawn(std::move(request)));
  // Only the agent's end: the trainer writes as to any pipe.
  ::fcntl(child->output().get(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<RankProcess>(
      new RankProcess(launch, std::move(child), std::move(pair.agent), outbox, listener));
}

RankProcess::RankProcess(const Launch& launch, std::unique_ptr<ChildProcess> child,
                         run::UniqueFd channel, TelemetryOutbox& outbox, RankListener& listener)
    : attempt_(launch.attempt),
      rank_(launch.assignment.rank()),
      child_(std::move(child)),
      channel_(std::move(channel)),
      outbox_(outbox),
      listener_(listener) {
  end_.rank = rank_;
  end_.pid = pid();
  trainer::v1::ToTrainer first;
  *first.mutable_assignment() = launch.assignment;
  Send(first);
  thread_ = std::jthread([this] { Loop(); });
}

RankProcess::~RankProcess() { Signal(SIGKILL); }

void RankProcess::Send(const trainer::v1::ToTrainer& message) {
  // A trainer that cannot be written to is ending, which Loop reports.
  channel_.Write(message.SerializeAsString()).IgnoreError();
}

void RankProcess::Loop() {
  bool output_open = true;
  bool channel_open = true;
  while (true) {
    std::array<pollfd, 3> entries{pollfd{output_open ? child_->output().get() : -1, POLLIN, 0},
                                  pollfd{channel_open ? channel_.fd() : -1, POLLIN, 0},
                                  pollfd{child_->pidfd(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[0].revents != 0) output_open = ReadOutput();
    if (entries[1].revents != 0) channel_open = ReadChannel();
    if (entries[2].revents != 0) break;
  }
  // Its group dies with it, so what is in the pipes now is all there will be.
  end_.status = *child_->Wait(absl::InfiniteDuration());
  while (output_open && ReadOutput()) {
    pollfd entry{child_->output().get(), POLLIN, 0};
    if (::poll(&entry, 1, 0) <= 0) break;
  }
  while (channel_open && ReadChannel()) {
    pollfd entry{channel_.fd(), POLLIN, 0};
    if (::poll(&entry, 1, 0) <= 0) break;
  }
  Store(splitter_.Finish());
  listener_.OnEnded(end_);
}

bool RankProcess::ReadOutput() {
  ReadBuffer buffer;
  const ssize_t count = ::read(child_->output().get(), buffer.data(), buffer.size());
  if (count < 0) return WouldBlock();
  if (count == 0) return false;
  Store(splitter_.Feed(std::string_view(buffer.data(), static_cast<size_t>(count))));
  return true;
}

bool RankProcess::ReadChannel() {
  ReadBuffer buffer;
  const ssize_t count = ::recv(channel_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0) return WouldBlock();
  if (count == 0) {
    if (!decoder_.empty()) log::Warning("a trainer ended inside a frame", {{"rank", rank_}});
    return false;
  }
  decoder_.Feed(std::string_view(buffer.data(), static_cast<size_t>(count)));
  HandleFrames();
  return true;
}

void RankProcess::HandleFrames() {
  while (!rejected_) {
    auto frame = decoder_.Next();
    if (!frame.ok()) return Reject(std::string(frame.status().message()));
    if (!*frame) return;
    trainer::v1::FromTrainer message;
    if (!message.ParseFromString(**frame)) return Reject("a frame holds no message");
    Handle(message);
  }
}

void RankProcess::Handle(const trainer::v1::FromTrainer& message) {
  using Kind = trainer::v1::FromTrainer::KindCase;
  switch (message.kind_case()) {
    case Kind::kJoined:
      return listener_.OnJoined(rank_);
    case Kind::kMetric: {
      v1::TelemetryItem item;
      *item.mutable_metric() = message.metric();
      return Store(std::move(item));
    }
    case Kind::kProgress:
      return listener_.OnProgress(rank_, message.progress());
    case Kind::kCheckpoint:
      // Lines that it wrote before this frame are in the pipe already: they come first.
      while (true) {
        pollfd entry{child_->output().get(), POLLIN, 0};
        if (::poll(&entry, 1, 0) <= 0 || (entry.revents & POLLIN) == 0 || !ReadOutput()) break;
      }
      return listener_.OnCheckpoint(rank_, message.checkpoint());
    case Kind::kReport:
      return listener_.OnReport(rank_, message.report().path());
    case Kind::kFailed:
      end_.failed = message.failed();
      return;
    case Kind::kStore:
    case Kind::KIND_NOT_SET:
      return;
  }
}

void RankProcess::Store(const std::vector<LogLine>& lines) {
  for (const LogLine& line : lines) {
    end_.last_lines.push_back(line.message.substr(0, kKeptLineBytes));
    if (end_.last_lines.size() > kKeptLines) end_.last_lines.pop_front();
    v1::TelemetryItem item;
    item.mutable_log()->set_level(std::string(log::LevelName(line.level)));
    item.mutable_log()->set_message(line.message);
    Store(std::move(item));
  }
}

void RankProcess::Store(v1::TelemetryItem item) {
  *item.mutable_time() = ToProto(absl::Now());
  // False: the attempt is forgotten and this process is being killed.
  static_cast<void>(outbox_.Append(attempt_, rank_, std::move(item)));
}

void RankProcess::Reject(const std::string& why) {
  rejected_ = true;
  end_.failed.emplace();
  end_.failed->set_class_(v1::Failure::UNKNOWN);
  end_.failed->set_message("rank " + std::to_string(rank_) +
                           " broke the channel to its agent: " + why);
  Signal(SIGKILL);
}

}  // namespace g2ll::agent
