// g2ll-trainer: one rank of one attempt, the rendezvous store of an attempt, or a
// tool that needs images or tensors. Started by the agent and by the client.
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "proto/common/log.h"
#include "worker/dist/store_server.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"
#include "worker/run/channel_events.h"
#include "worker/run/frame_channel.h"
#include "worker/tool/tool_main.h"

namespace g2ll {
namespace {

constexpr int kUsage = 2;

// Asks for a stop when the process gets SIGTERM or SIGINT. Made before any other
// thread, so that all of them leave the signals to this one.
class SignalWatcher {
 public:
  explicit SignalWatcher(std::stop_source stop) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    thread_ = std::jthread([signals, stop](std::stop_token done) mutable {
      constexpr timespec kPoll{.tv_sec = 0, .tv_nsec = 100'000'000};
      while (!done.stop_requested()) {
        if (sigtimedwait(&signals, nullptr, &kPoll) > 0) stop.request_stop();
      }
    });
  }

 private:
  std::jthread thread_;
};

int RunRank(int fd) {
  std::stop_source stop;
  const SignalWatcher watcher(stop);
  run::FrameChannel channel{run::UniqueFd(fd)};
  const auto assignment = run::ReadAssignment(channel);
  if (!assignment.ok()) {
    log::Error("no assignment", {{"reason", std::string(assignment.status().message())}});
    return 1;
  }
  run::ChannelEvents events(channel, stop);
  const absl::Status status = job::RunJob(*assignment, events, stop.get_token());
  const int exit_code = job::ExitCodeOf(status);
  if (!status.ok()) {
    const std::string message(status.message());
    log::Error(message, {{"rank", assignment->rank()}, {"exit_code", exit_code}});
    const v1::Failure::Class failure = job::FailureClassOf(status);
    if (failure != v1::Failure::CLASS_UNSPECIFIED) events.OnFailed(failure, message);
  }
  return exit_code;
}

int RunStore(int fd, const std::string& host) {
  std::stop_source stop;
  const SignalWatcher watcher(stop);
  const auto server = dist::StoreServer::Start(host);
  if (!server.ok()) {
    log::Error(std::string(server.status().message()));
    return 1;
  }
  run::FrameChannel channel{run::UniqueFd(fd)};
  std::mutex mutex;
  std::condition_variable_any stopped;
  {
    run::ChannelEvents events(channel, stop);
    events.OnStoreServing((*server)->port());
    std::unique_lock lock(mutex);
    stopped.wait(lock, stop.get_token(), [] { return false; });
  }
  return 0;
}

int Main(int argc, char** argv) {
  // The tools parse their own arguments.
  if (argc > 1 && std::string(argv[1]) == "tool") return tool::RunTool(argc - 1, argv + 1);

  CLI::App app{"One rank of a training job; started by g2ll-worker."};
  app.set_version_flag("--version", "g2ll-trainer " G2LL_VERSION);
  app.require_subcommand(1);
  std::string format = "text";
  app.add_option("--log-format", format, "text or json, on standard error")
      ->check(CLI::IsMember({"text", "json"}));
  int fd = -1;
  CLI::App* rank = app.add_subcommand("rank", "Run the rank that arrives over a descriptor.");
  rank->add_option("--fd", fd, "inherited descriptor of the agent's channel")->required();
  std::string host = "0.0.0.0";
  CLI::App* store = app.add_subcommand("store", "Serve the rendezvous store of an attempt.");
  store->add_option("--fd", fd, "inherited descriptor of the agent's channel")->required();
  store->add_option("--host", host, "address or name to listen on")->capture_default_str();
  app.add_subcommand("tool", "Tools that need images or tensors: g2ll-trainer tool --help.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  log::SetFormat(*log::ParseFormat(format));
  // A peer that dies closes its sockets. The write that meets one must fail, so that this
  // rank can say whose death it was, and not die of SIGPIPE itself.
  signal(SIGPIPE, SIG_IGN);
  return rank->parsed() ? RunRank(fd) : RunStore(fd, host);
}

}  // namespace
}  // namespace g2ll

int main(int argc, char** argv) {
  try {
    return g2ll::Main(argc, argv);
  } catch (const std::exception& e) {
    g2ll::log::Error(e.what());
    return 1;
  }
}
