#include "server/api/resume_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/grpc_status.h"
#include "server/storage/sha256.h"

namespace g2ll::api {
namespace {

std::string Digest(const std::string& position, std::string_view scope) {
  return storage::Sha256Hex(absl::StrCat("watch 1\n", position, "\n", std::string(scope)))
      .substr(0, 16);
}

}  // namespace

std::string ResumeToken(const WatchPosition& position, std::string_view scope) {
  const std::string text = absl::StrCat(position.seq, ".", position.uid);
  return absl::WebSafeBase64Escape(absl::StrCat(text, ".", Digest(text, scope)));
}

absl::StatusOr<WatchPosition> ReadResumeToken(std::string_view token, std::string_view scope) {
  std::string text;
  WatchPosition position;
  if (absl::WebSafeBase64Unescape(absl::string_view(token.data(), token.size()), &text)) {
    const std::vector<std::string> parts = absl::StrSplit(text, '.');
    if (parts.size() == 3 && absl::SimpleAtoi(parts[0], &position.seq) && position.seq >= 0) {
      position.uid = parts[1];
      // Written anew, because base64 has several texts for the same bytes.
      if (ResumeToken(position, scope) == token) {
        return position;
      }
    }
  }
  return net::WithReason(
      absl::InvalidArgumentError("resume_token: this is none, or one of another parent or filter: "
                                 "give the parent and filter that it came with, or no token"),
      "BAD_RESUME_TOKEN");
}

}  // namespace g2ll::api
