// Tokens with which a client goes on where it was. Input: the token.
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "g2ll/v1/job.pb.h"
#include "server/api/create_request.h"
#include "tests/fuzz/promises.h"

namespace g2ll::fuzz {
namespace {

void ReadPageToken(const std::string& token) {
  v1::ListJobsRequest request;
  request.set_page_size(10);
  request.set_page_token(token);
  const auto query = api::ReadListRequest(request);
  if (!query.ok()) {
    ExpectCleanRefusal(query.status());
    return;
  }
  if (!query->before.has_value()) return;
  // What a token says, another one says too.
  cluster::JobRecord last;
  last.create_time = query->before->first;
  last.uid = query->before->second;
  request.set_page_token(api::NextPageToken(request, last));
  const auto again = api::ReadListRequest(request);
  Expect(again.ok() && again->before == query->before, "a token that was made is read back");
}

}  // namespace
}  // namespace g2ll::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  g2ll::fuzz::ReadPageToken(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
