#include "worker/agent/store_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>

#include "g2ll/trainer/v1/trainer.pb.h"
#include "proto/common/status_macros.h"
#include "proto/common/steady_time.h"
#include "worker/agent/socket_pair.h"
#include "worker/run/frame_channel.h"

namespace g2ll::agent {
namespace {

constexpr absl::Duration kEndGrace = absl::Seconds(2);

}  // namespace

absl::StatusOr<std::unique_ptr<StoreProcess>> StoreProcess::Start(ProcessSpawner& spawner,
                                                                  const std::string& trainer,
                                                                  const std::string& host,
                                                                  absl::Duration timeout,
                                                                  std::stop_token stop) {
  G2LL_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair());
  SpawnRequest request;
  request.argv = {trainer, "store", "--fd", std::to_string(kChannelFd), "--host", host};
  request.channel = std::move(pair.child);
  G2LL_ASSIGN_OR_RETURN(auto child, spawner.Spawn(std::move(request)));
  // Not make_unique: the constructor is private.
  std::unique_ptr<StoreProcess> store(new StoreProcess(std::move(child), std::move(pair.agent)));
  G2LL_RETURN_IF_ERROR(store->AwaitServing(timeout, stop));
  return store;
}

absl::Status StoreProcess::AwaitServing(absl::Duration timeout, std::stop_token stop) {
  // A child that is killed closes its end, which ends the wait below.
  const std::stop_callback kill(stop, [this] { child_->SignalGroup(SIGKILL); });
  const steady::Deadline deadline(timeout);
  run::FrameDecoder decoder;
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const std::optional<std::string> frame, decoder.Next());
    if (frame) {
      trainer::v1::FromTrainer message;
      if (!message.ParseFromString(*frame) || !message.has_store()) continue;
      port_ = message.store().port();
      return absl::OkStatus();
    }
    const auto left = absl::ToInt64Milliseconds(deadline.left());
    if (left <= 0) {
      return absl::DeadlineExceededError("the rendezvous store did not serve within " +
                                         absl::FormatDuration(timeout));
    }
    pollfd entry{.fd = channel_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, static_cast<int>(left)) <= 0) continue;
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(channel_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) {
      if (stop.stop_requested()) return absl::CancelledError("stopped");
      return absl::UnavailableError("the rendezvous store ended before it served");
    }
    decoder.Feed(std::string_view(buffer.data(), static_cast<size_t>(count)));
  }
}

StoreProcess::~StoreProcess() {
  channel_.Reset();
  if (!child_->Wait(kEndGrace)) child_->Terminate(kEndGrace);
}

}  // namespace g2ll::agent
