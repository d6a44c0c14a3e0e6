#include "worker/agent/data_checker.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "proto/common/folder_split.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/agent/assignment.h"
#include "worker/agent/storage.h"

namespace g2ll::agent {
namespace {

constexpr size_t kMaxOutputBytes = size_t{64} << 10;
constexpr size_t kMaxMessageBytes = 1000;

// One pipe of the child; what is above the bound is read and dropped.
struct Collected {
  explicit Collected(int pipe) : fd(pipe) {}
  int fd;
  std::string text;
  bool open = true;
};

void ReadSome(Collected& from) {
  std::array<char, 4096> buffer;
  const ssize_t count = ::read(from.fd, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return;
  if (count <= 0) {
    from.open = false;
    return;
  }
  const size_t room = kMaxOutputBytes - from.text.size();
  from.text.append(buffer.data(), std::min(room, static_cast<size_t>(count)));
}

// Reads both pipes until the child has closed them.
void CollectOutput(Collected& output, Collected& error) {
  while (output.open || error.open) {
    std::array<pollfd, 2> entries{pollfd{output.open ? output.fd : -1, POLLIN, 0},
                                  pollfd{error.open ? error.fd : -1, POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[0].revents != 0) ReadSome(output);
    if (entries[1].revents != 0) ReadSome(error);
  }
}

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t start = text.rfind('\n');
  return log::EscapeControl(start == std::string::npos ? text : text.substr(start + 1));
}

v1::DataCheckResult Refused(const v1::DataCheck& check, std::string message) {
  v1::DataCheckResult result;
  result.set_id(check.id());
  result.set_ok(false);
  if (message.size() > kMaxMessageBytes) message.resize(kMaxMessageBytes);
  result.set_message(log::EscapeControl(message));
  return result;
}

// A file or folder that a job names beside its source, and the key that it stands in.
struct OtherPath {
  const char* key;
  std::string path;
};

std::vector<OtherPath> OtherPaths(const v1::DataSpec& data) {
  std::vector<OtherPath> paths;
  for (const std::string& entry : data.exclude_ids()) {
    // `held` and `none` name no path.
    if (entry.starts_with('/')) {
      paths.push_back({"data.excludeIds", std::string(ParseFolderSplit(entry).folder)});
    }
  }
  if (!data.class_file().empty()) paths.push_back({"data.classFile", data.class_file()});
  return paths;
}

// What the spec says about its data beyond source, split and masks.
void AddSpecArguments(const v1::JobSpec& spec, std::vector<std::string>& argv) {
  const v1::DataSpec& data = DataSpecOf(spec);
  char fraction[32];
  std::snprintf(fraction, sizeof(fraction), "%.17g", data.fraction());
  argv.insert(argv.end(),
              {"--fraction", fraction, "--max-images", std::to_string(data.max_images()),
               "--subset-seed", std::to_string(data.subset_seed())});
  for (const std::string& entry : data.exclude_ids()) {
    argv.insert(argv.end(), {"--exclude", entry});
  }
  if (!NeedsClasses(spec)) return;
  argv.emplace_back("--classes");
  if (!data.class_file().empty()) argv.insert(argv.end(), {"--class-file", data.class_file()});
}

// The child's one JSON object; an error if it is anything else.
absl::StatusOr<v1::DataCheckResult> ParseResult(const v1::DataCheck& check,
                                                const std::string& output, const std::string& error,
                                                const ExitStatus& status) {
  const auto json = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!json.is_object() || !json.contains("ok") || !json["ok"].is_boolean()) {
    std::string how = status.signal != 0 ? "signal " + std::to_string(status.signal)
                                         : "exit code " + std::to_string(status.exit_code);
    return absl::InternalError("the data check of " + log::EscapeControl(check.source()) +
                               " broke with " + how + ": " + LastLine(error));
  }
  v1::DataCheckResult result = Refused(check, text("message"));
  result.set_ok(json["ok"].get<bool>() && status.signal == 0 && status.exit_code == 0);
  result.set_digest(log::EscapeControl(text("digest")));
  const auto images = json.find("images");
  if (images != json.end() && images->is_number_integer()) {
    result.set_images(images->get<int64_t>());
  }
  return result;
}

}  // namespace

absl::StatusOr<v1::DataCheckResult> DataChecker::Check(const v1::DataCheck& check,
                                                       std::stop_token stop) {
  if (const auto allowed = CheckDataSource(check.source(), settings_.data_roots); !allowed.ok()) {
    return Refused(check, std::string(allowed.message()));
  }
  for (const auto& [key, path] : OtherPaths(DataSpecOf(check.spec()))) {
    const auto allowed = CheckDataSource(path, settings_.data_roots);
    // The child says better what is missing and what for.
    if (!allowed.ok() && !absl::IsNotFound(allowed)) {
      return Refused(check, std::string(key) + ": " + std::string(allowed.message()));
    }
  }
  SpawnRequest request;
  request.argv = {settings_.trainer, "tool",    "check-data", "--source",
                  check.source(),    "--split", check.split()};
  if (check.needs_masks()) request.argv.emplace_back("--masks");
  if (check.spec().kind_case() != v1::JobSpec::KIND_NOT_SET) {
    AddSpecArguments(check.spec(), request.argv);
  }
  request.pipe_output = true;
  request.pipe_error = true;
  G2LL_ASSIGN_OR_RETURN(const auto child, spawner_.Spawn(std::move(request)));

  const std::stop_callback kill(stop, [&] { child->SignalGroup(SIGKILL); });
  Collected output(child->output().get());
  Collected error(child->error().get());
  CollectOutput(output, error);
  const ExitStatus status = *child->Wait(absl::InfiniteDuration());
  if (stop.stop_requested()) return absl::CancelledError("the data check was stopped");
  return ParseResult(check, output.text, error.text, status);
}

}  // namespace g2ll::agent
