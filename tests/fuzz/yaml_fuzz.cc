// Job files. Input: overrides as `path=value`, one a line, up to the first NUL byte,
// if there is one; then the file.
#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/common/spec_defaults.h"
#include "proto/common/spec_validation.h"
#include "proto/common/spec_yaml.h"
#include "tests/fuzz/promises.h"

namespace g2ll::fuzz {
namespace {

// The longest text of a fault holds every key of a group.
constexpr size_t kMostFaultBytes = size_t{64} << 10;

std::vector<spec::Override> ReadOverrides(std::string_view text) {
  std::vector<spec::Override> overrides;
  while (!text.empty() && overrides.size() < 8) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    // The command line asks for a path before the sign.
    const size_t equals = line.find('=');
    if (equals == 0 || equals == std::string_view::npos) continue;
    overrides.push_back(
        {std::string(line.substr(0, equals)), std::string(line.substr(equals + 1))});
  }
  return overrides;
}

// What was read can be written, and reads back as the same job.
void ExpectRoundTrip(const spec::JobDocument& job) {
  const std::string text = spec::FormatJobFile(job.name, job.project, job.labels, job.spec);
  const spec::JobFile again = spec::ParseJobFile(text);
  Expect(again.faults.empty() && again.jobs.size() == 1, "a written job file can be read");
  const spec::JobDocument& read = again.jobs.front();
  Expect(read.name == job.name && read.project == job.project && read.labels == job.labels,
         "a written job file has the same names");
  Expect(google::protobuf::util::MessageDifferencer::Equals(read.spec, job.spec),
         "a written job file has the same spec");
}

void Read(std::string_view input) {
  const size_t nul = input.find('\0');
  const bool has_overrides = nul != std::string_view::npos;
  const auto overrides = ReadOverrides(has_overrides ? input.substr(0, nul) : "");
  const spec::JobFile file =
      spec::ParseJobFile(has_overrides ? input.substr(nul + 1) : input, overrides);
  for (const spec::Fault& fault : file.faults) {
    ExpectPlainText(fault.ToString("job.yaml"), kMostFaultBytes);
  }
  if (!file.faults.empty()) return;
  for (const spec::JobDocument& job : file.jobs) {
    ExpectSendable(job.spec);
    ExpectRoundTrip(job);
    v1::JobSpec full = job.spec;
    spec::ApplyDefaults(&full);
    spec::Validate(full);
  }
}

}  // namespace
}  // namespace g2ll::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  g2ll::fuzz::Read({reinterpret_cast<const char*>(data), size});
  return 0;
}
