// Filters and orders of lists. Input: a filter, and behind a line end an order.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/api/list_filter.h"
#include "tests/fuzz/promises.h"

namespace g2ll::fuzz {
namespace {

using cluster::JobRecord;

std::vector<JobRecord> MakeJobs() {
  std::vector<JobRecord> jobs(3);
  jobs[0].name = "skin-g2ll";
  jobs[0].uid = "a";
  jobs[1].name = "skin-ft";
  jobs[1].uid = "b";
  jobs[1].state = cluster::JobState::kRunning;
  jobs[1].create_time = absl::FromUnixSeconds(1700000000);
  jobs[1].labels = {{"study", "table1"}, {"a.b", ""}};
  jobs[2].name = "skin-eval";
  jobs[2].uid = "c";
  jobs[2].kind = cluster::JobKind::kEvaluate;
  jobs[2].priority = cluster::Priority::kHigh;
  jobs[2].end_time = absl::InfiniteFuture();
  return jobs;
}

void ReadFilter(const std::string& text, const std::vector<JobRecord>& jobs) {
  const auto filter = api::ParseFilter(text);
  if (!filter.ok()) {
    ExpectCleanRefusal(filter.status());
    return;
  }
  Expect(text.size() <= 4096, "a filter has a limit");
  for (const JobRecord& job : jobs) {
    const bool fits = (*filter)(job);
    Expect((*filter)(job) == fits, "a filter is a function");
    const auto negated = api::ParseFilter("NOT (" + text + ")");
    // One term more or one bracket deeper may be too much; an empty one has no brackets.
    if (negated.ok()) Expect((*negated)(job) != fits, "NOT fits what did not fit");
  }
}

void ReadOrder(const std::string& text, const std::vector<JobRecord>& jobs) {
  const auto order = api::ParseOrder(text);
  if (!order.ok()) {
    ExpectCleanRefusal(order.status());
    return;
  }
  Expect(!order->empty(), "an order has a key");
  for (const JobRecord& a : jobs) {
    for (const JobRecord& b : jobs) {
      const bool before = api::ComesBefore(a, b, *order);
      const bool behind = api::ComesBefore(b, a, *order);
      Expect(&a == &b ? !before : before != behind, "an order is total");
    }
  }
}

}  // namespace
}  // namespace g2ll::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto jobs = g2ll::fuzz::MakeJobs();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\n');
  g2ll::fuzz::ReadFilter(text.substr(0, end), jobs);
  if (end != std::string::npos) g2ll::fuzz::ReadOrder(text.substr(end + 1), jobs);
  return 0;
}
