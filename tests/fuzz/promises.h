#ifndef TESTS_FUZZ_PROMISES_H_
#define TESTS_FUZZ_PROMISES_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

// What must hold whatever came in. A broken promise ends the process, which the
// fuzzer reports together with the input.
namespace g2ll::fuzz {

void Expect(bool holds, std::string_view promise);

// Valid UTF-8 without control characters, at most `most` bytes.
void ExpectPlainText(std::string_view text, size_t most);

// A refusal has a code and a reason that scripts can rely on, is one plain line, and
// fits into the headers in which gRPC sends it.
void ExpectCleanRefusal(const absl::Status& status);

// What the server answers with can be read by the other side.
void ExpectSendable(const google::protobuf::Message& message);

}  // namespace g2ll::fuzz

#endif  // TESTS_FUZZ_PROMISES_H_
