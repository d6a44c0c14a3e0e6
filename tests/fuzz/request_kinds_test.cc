// The fuzzers know every request that a service of ours takes.
#include "tests/fuzz/request_kinds.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/fuzz/field_mutator.h"

namespace g2ll::fuzz {
namespace {

using google::protobuf::DescriptorPool;

// Full names of what the methods of all services in proto/ take.
std::set<std::string> RequestsOfServices() {
  std::set<std::string> names;
  const std::filesystem::path protos = G2LL_PROTO_DIR;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(protos / "g2ll")) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = entry.path().lexically_relative(protos).string();
    const auto* file = DescriptorPool::generated_pool()->FindFileByName(name);
    if (file == nullptr) {
      std::ifstream text(entry.path());
      for (std::string line; std::getline(text, line);) {
        EXPECT_FALSE(line.starts_with("service ")) << name << " is not linked into this test";
      }
    }
    for (int i = 0; file != nullptr && i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        names.insert(std::string(file->service(i)->method(j)->input_type()->full_name()));
      }
    }
  }
  return names;
}

TEST(RequestKindsTest, HoldEveryRequestOfEveryServiceOnce) {
  std::multiset<std::string> known;
  for (const RequestKind& kind : RequestKinds()) {
    known.insert(std::string(kind.prototype->GetDescriptor()->full_name()));
  }

  const std::set<std::string> wanted = RequestsOfServices();

  EXPECT_FALSE(wanted.empty());
  EXPECT_THAT(known, ::testing::UnorderedElementsAreArray(wanted));
}

// Stands for the fuzzer's own way to change bytes.
size_t FlipFirst(uint8_t* data, size_t size, size_t max_size) {
  if (size == 0) size = max_size > 0 ? 1 : 0;
  if (size > 0) data[0] ^= 1;
  return size;
}

TEST(FieldMutatorTest, ReachesEveryFieldOfAMessage) {
  for (const RequestKind& kind : RequestKinds()) {
    const auto* type = kind.prototype->GetDescriptor();
    std::set<int> reached;
    for (unsigned int seed = 0; seed < 2000; ++seed) {
      const std::unique_ptr<google::protobuf::Message> message(kind.prototype->New());
      MutateOneField(message.get(), seed, FlipFirst);
      std::vector<const google::protobuf::FieldDescriptor*> set;
      message->GetReflection()->ListFields(*message, &set);
      for (const auto* field : set) reached.insert(field->index());
    }
    EXPECT_EQ(reached.size(), static_cast<size_t>(type->field_count())) << type->full_name();
  }
}

}  // namespace
}  // namespace g2ll::fuzz
