// Plays g2ll-trainer for the agent's tests: the same command line and frames, no
// tensors. What a rank does is named by the last part of the job's name.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "worker/run/channel_events.h"
#include "worker/run/frame_channel.h"

namespace {

using g2ll::run::ChannelEvents;
using g2ll::run::FrameChannel;
using g2ll::run::UniqueFd;
using g2ll::trainer::v1::Assignment;

std::string ValueOf(const std::vector<std::string>& args, const std::string& flag) {
  for (size_t i = 0; i + 1 < args.size(); ++i) {
    if (args[i] == flag) return args[i + 1];
  }
  return "";
}

int CheckData(const std::vector<std::string>& args) {
  const std::string source = ValueOf(args, "--source");
  if (source == "synthetic:bad") {
    std::puts(R"({"ok":false,"message":"no images in the folder"})");
    return 1;
  }
  if (source == "synthetic:broken") {
    std::fputs("something broke\n", stderr);
    std::puts("not json");
    return 3;
  }
  if (source == "synthetic:echo") {
    std::string all;
    for (const std::string& arg : args) all += arg + " ";
    std::printf(R"({"ok":true,"message":"%s"})", all.c_str());
    return 0;
  }
  std::puts(R"({"ok":true,"message":"8 images","digest":"abc","images":8})");
  return 0;
}

int ServeStore(FrameChannel& channel, std::stop_source& stop) {
  ChannelEvents events(channel, stop);
  events.OnStoreServing(12345);
  while (!stop.stop_requested()) ::usleep(1000);
  return 0;
}

void WaitForStop(std::stop_source& stop) {
  while (!stop.stop_requested()) ::usleep(1000);
}

int Train(ChannelEvents& events, const Assignment& assignment) {
  if (assignment.rank() != 0) return 0;
  for (int step = 1; step <= 5; ++step) {
    events.OnMetric({.name = "loss", .value = 1.0 / step, .step = step, .epoch = 0});
    std::printf("step %d\n", step);
    std::fflush(stdout);
  }
  events.OnProgress({.step = 5, .total_steps = 5, .epoch = 1});
  g2ll::run::WrittenCheckpoint checkpoint;
  checkpoint.step = 5;
  checkpoint.path = assignment.checkpoint_parent() + "/s5";
  const absl::Status committed = events.OnCheckpoint(checkpoint);
  if (absl::IsAborted(committed)) return 76;
  events.OnReport(assignment.report_path());
  std::printf("committed: %s\n", committed.ok() ? "yes" : "no");
  return 0;
}

// Says what it is told, without the trainer's own reader, until it is told to stop.
int SayWhatStopSays(FrameChannel& channel) {
  g2ll::trainer::v1::FromTrainer joined;
  joined.mutable_joined();
  if (!channel.Write(joined.SerializeAsString()).ok()) return 1;
  g2ll::trainer::v1::ToTrainer message;
  while (!message.has_stop()) {
    const auto frame = channel.Read();
    if (!frame.ok() || !message.ParseFromString(*frame)) return 1;
  }
  std::printf("checkpoint: %s, time left: %s\n", message.stop().checkpoint() ? "yes" : "no",
              message.stop().time_left().seconds() > 0 ? "yes" : "no");
  return 75;
}

int RunRank(FrameChannel& channel, std::stop_source& stop) {
  const auto assignment = g2ll::run::ReadAssignment(channel);
  if (!assignment.ok()) return 1;
  const std::string mode = assignment->job().substr(assignment->job().rfind('/') + 1);
  if (mode == "say-stop") return SayWhatStopSays(channel);
  ChannelEvents events(channel, stop);
  events.OnJoined();
  if (mode == "train") return Train(events, *assignment);
  if (mode == "fail-data") {
    events.OnFailed(g2ll::v1::Failure::DATA, "image a.jpg: cannot decode");
    return 78;
  }
  if (mode == "crash") {
    std::puts("about to crash");
    return 1;
  }
  if (mode == "peer-killed") {
    if (assignment->rank() == 1) ::raise(SIGKILL);
    events.OnFailed(g2ll::v1::Failure::COLLECTIVE, "a peer went away");
    return 81;
  }
  if (mode == "progress-of-1") {
    if (assignment->rank() == 1) events.OnProgress({.step = 3, .total_steps = 9, .epoch = 1});
    WaitForStop(stop);
    return 75;
  }
  if (mode == "garbage") {
    const std::string header("\xff\xff\xff\xff", 4);
    if (::write(channel.fd(), header.data(), header.size()) < 0) return 1;
    WaitForStop(stop);
    return 0;
  }
  if (mode == "stubborn") {
    ::signal(SIGTERM, SIG_IGN);
    while (true) ::pause();
  }
  WaitForStop(stop);
  return 75;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) return 2;
  if (args[0] == "tool") return CheckData(args);
  FrameChannel channel{UniqueFd(std::atoi(ValueOf(args, "--fd").c_str()))};
  const auto stop = std::make_unique<std::stop_source>();
  return args[0] == "store" ? ServeStore(channel, *stop) : RunRank(channel, *stop);
}
