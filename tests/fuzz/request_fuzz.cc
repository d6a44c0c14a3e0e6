// Every request of every service, as bytes, JSON or text, through the readers that
// the coordinator runs. Input: position in RequestKinds() as a letter from A, form
// (`j` JSON, `t` text, else bytes), then the message: `Bt page_size: 7`.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <cstdint>
#include <memory>
#include <string>

#include "tests/fuzz/field_mutator.h"
#include "tests/fuzz/request_kinds.h"

namespace g2ll::fuzz {
namespace {

using google::protobuf::Message;

constexpr size_t kHeadBytes = 2;

enum class Form { kBinary, kJson, kText };

struct Head {
  const RequestKind& kind;
  Form form;
};

Head ReadHead(const uint8_t* data) {
  const auto position = static_cast<uint8_t>(data[0] - 'A') % RequestKinds().size();
  const Form form = data[1] == 'j' ? Form::kJson : data[1] == 't' ? Form::kText : Form::kBinary;
  return {RequestKinds()[position], form};
}

class NoErrors final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

// Nothing if the bytes are no such message.
std::unique_ptr<Message> Parse(const Head& head, const uint8_t* data, size_t size) {
  std::unique_ptr<Message> message(head.kind.prototype->New());
  const std::string text(reinterpret_cast<const char*>(data), size);
  bool is_read = false;
  switch (head.form) {
    case Form::kBinary:
      is_read = message->ParseFromString(text);
      break;
    case Form::kJson:
      is_read = google::protobuf::util::JsonStringToMessage(text, message.get()).ok();
      break;
    case Form::kText: {
      NoErrors errors;
      google::protobuf::TextFormat::Parser parser;
      parser.RecordErrorsTo(&errors);
      parser.SetRecursionLimit(100);
      is_read = parser.ParseFromString(text, message.get());
      break;
    }
  }
  if (!is_read) return nullptr;
  // As it comes off the wire, which takes no text that is not UTF-8.
  const std::string bytes = message->SerializePartialAsString();
  return message->ParseFromString(bytes) ? std::move(message) : nullptr;
}

std::string Write(Form form, const Message& message) {
  std::string text;
  switch (form) {
    case Form::kBinary:
      return message.SerializePartialAsString();
    case Form::kJson:
      return google::protobuf::util::MessageToJsonString(message, &text).ok() ? text : "";
    case Form::kText:
      google::protobuf::TextFormat::PrintToString(message, &text);
      return text;
  }
  return text;
}

}  // namespace
}  // namespace g2ll::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  // Every bad input would be a line otherwise.
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace g2ll::fuzz;  // NOLINT(google-build-using-namespace): an entry point
  if (size < kHeadBytes) return 0;
  const Head head = ReadHead(data);
  const auto message = Parse(head, data + kHeadBytes, size - kHeadBytes);
  if (message != nullptr && head.kind.read != nullptr) head.kind.read(*message);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Half of the time one field of a message that can be read, else some bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  using namespace g2ll::fuzz;  // NOLINT(google-build-using-namespace): an entry point
  if (size < kHeadBytes || seed % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const Head head = ReadHead(data);
  const auto message = Parse(head, data + kHeadBytes, size - kHeadBytes);
  if (message == nullptr) return LLVMFuzzerMutate(data, size, max_size);
  MutateOneField(message.get(), seed, LLVMFuzzerMutate);
  const std::string text = Write(head.form, *message);
  if (text.size() > max_size - kHeadBytes) return LLVMFuzzerMutate(data, size, max_size);
  text.copy(reinterpret_cast<char*>(data) + kHeadBytes, text.size());
  return kHeadBytes + text.size();
}
