// Tokens with which a client goes on where it was. Input: the token, also with the
// digest of the list behind it, without which nothing of it is looked at.
#include <cstdint>
#include <string>

#include "g2ll/v1/job.pb.h"
#include "server/api/list_jobs.h"
#include "server/api/queue_request.h"
#include "server/api/resume_token.h"
#include "tests/fuzz/promises.h"

namespace g2ll::fuzz {
namespace {

bool IsSamePlace(const cluster::JobRecord& a, const cluster::JobRecord& b) {
  return a.create_time == b.create_time && a.start_time == b.start_time &&
         a.end_time == b.end_time && a.name == b.name && a.state == b.state &&
         a.priority == b.priority && a.uid == b.uid;
}

void ReadPageToken(v1::ListJobsRequest request, const std::string& token) {
  request.set_page_token(token);
  const auto query = api::ReadListRequest(request);
  if (!query.ok()) {
    ExpectCleanRefusal(query.status());
    return;
  }
  if (!query->after.has_value()) return;
  request.set_page_token(api::NextPageToken(request, *query->after));
  const auto again = api::ReadListRequest(request);
  Expect(again.ok() && again->after.has_value() && IsSamePlace(*again->after, *query->after),
         "a token that was made is read back");
  for (const char* order : {"create_time", "start_time desc", "end_time", "name", "state"}) {
    const auto keys = api::ParseOrder(order);
    Expect(!api::ComesBefore(*query->after, *again->after, *keys), "nothing comes before itself");
  }
}

void ReadWaitingToken(const std::string& token) {
  if (token.empty()) return;
  v1::ListWaitingJobsRequest request;
  request.set_page_token(token);
  const auto query = api::ReadListWaiting(request);
  if (!query.ok()) {
    ExpectCleanRefusal(query.status());
    return;
  }
  Expect(query->skip >= 0, "a page begins behind none or more");
  request.set_page_token(api::WaitingPageToken(*query, query->skip));
  const auto again = api::ReadListWaiting(request);
  Expect(again.ok() && again->skip == query->skip, "a token that was made is read back");
}

void ReadResume(const std::string& token) {
  constexpr char kScope[] = "default\nstate = RUNNING";
  const auto position = api::ReadResumeToken(token, kScope);
  if (!position.ok()) ExpectCleanRefusal(position.status());
  // What is inside a good token comes from a store: a number and a uid.
  const api::WatchPosition made{static_cast<int64_t>(token.size()), "0123abcd"};
  const auto again = api::ReadResumeToken(api::ResumeToken(made, kScope), kScope);
  Expect(again.ok() && *again == made, "a resume token that was made is read back");
  Expect(!api::ReadResumeToken(api::ResumeToken(made, kScope), "other").ok(),
         "a resume token fits its own scope only");
}

}  // namespace
}  // namespace g2ll::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string token(reinterpret_cast<const char*>(data), size);
  g2ll::v1::ListJobsRequest request;
  g2ll::fuzz::ReadPageToken(request, token);
  const std::string made = g2ll::api::NextPageToken(request, {});
  g2ll::fuzz::ReadPageToken(request, token + made.substr(made.rfind('.')));
  g2ll::fuzz::ReadWaitingToken(token);
  g2ll::fuzz::ReadResume(token);
  return 0;
}
