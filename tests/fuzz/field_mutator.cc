#include "tests/fuzz/field_mutator.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace g2ll::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMostTextBytes = 256;

class Mutator {
 public:
  Mutator(unsigned int seed, MutateBytes mutate_bytes)
      : random_(seed), mutate_bytes_(mutate_bytes) {}

  void Run(Message* message) {
    const auto* type = message->GetDescriptor();
    if (type->field_count() == 0) return;
    const FieldDescriptor* field = type->field(Below(type->field_count()));
    if (Below(8) == 0) {
      message->GetReflection()->ClearField(message, field);
    } else if (field->is_repeated()) {
      ChangeElements(message, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Run(message->GetReflection()->MutableMessage(message, field));
    } else {
      SetScalar(message, field);
    }
  }

 private:
  int Below(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

  void ChangeElements(Message* message, const FieldDescriptor* field) {
    const auto* reflection = message->GetReflection();
    const int size = reflection->FieldSize(*message, field);
    if (size > 0 && Below(3) == 0) {
      reflection->SwapElements(message, field, Below(size), size - 1);
      reflection->RemoveLast(message, field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      AddScalar(message, field);
    } else if (size == 0 || Below(3) == 0) {
      Run(reflection->AddMessage(message, field));
    } else {
      Run(reflection->MutableRepeatedMessage(message, field, Below(size)));
    }
  }

  // Numbers at the edges, or with some bits changed.
  template <typename Number>
  Number Change(Number value) {
    static constexpr Number kEdges[] = {0,
                                        1,
                                        static_cast<Number>(-1),
                                        std::numeric_limits<Number>::max(),
                                        std::numeric_limits<Number>::lowest(),
                                        1000};
    if (Below(2) == 0) return kEdges[Below(std::size(kEdges))];
    mutate_bytes_(reinterpret_cast<uint8_t*>(&value), sizeof(value), sizeof(value));
    return value;
  }

  std::string Change(std::string text) {
    const size_t size = std::min(text.size(), kMostTextBytes);
    text.resize(kMostTextBytes);
    text.resize(mutate_bytes_(reinterpret_cast<uint8_t*>(text.data()), size, kMostTextBytes));
    return text;
  }

  // A value that the enum may not have, as the wire allows.
  int ChangeEnum(const FieldDescriptor* field) {
    const auto* type = field->enum_type();
    return Below(4) == 0 ? Change<int32_t>(0) : type->value(Below(type->value_count()))->number();
  }

  void SetScalar(Message* message, const FieldDescriptor* field) {
    const auto* reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->SetInt32(message, field, Change(reflection->GetInt32(*message, field)));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection->SetInt64(message, field, Change(reflection->GetInt64(*message, field)));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection->SetUInt32(message, field,
                                     Change(reflection->GetUInt32(*message, field)));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection->SetUInt64(message, field,
                                     Change(reflection->GetUInt64(*message, field)));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection->SetDouble(message, field,
                                     Change(reflection->GetDouble(*message, field)));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return reflection->SetFloat(message, field, Change(reflection->GetFloat(*message, field)));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->SetBool(message, field, Below(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection->SetEnumValue(message, field, ChangeEnum(field));
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection->SetString(message, field,
                                     Change(reflection->GetString(*message, field)));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return;
    }
  }

  void AddScalar(Message* message, const FieldDescriptor* field) {
    const auto* reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->AddInt32(message, field, Change<int32_t>(0));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection->AddInt64(message, field, Change<int64_t>(0));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection->AddUInt32(message, field, Change<uint32_t>(0));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection->AddUInt64(message, field, Change<uint64_t>(0));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection->AddDouble(message, field, Change<double>(0));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return reflection->AddFloat(message, field, Change<float>(0));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->AddBool(message, field, Below(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection->AddEnumValue(message, field, ChangeEnum(field));
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection->AddString(message, field, Change(std::string("a")));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return;
    }
  }

  std::mt19937 random_;
  MutateBytes mutate_bytes_;
};

}  // namespace

void MutateOneField(Message* message, unsigned int seed, MutateBytes mutate_bytes) {
  Mutator(seed, mutate_bytes).Run(message);
}

}  // namespace g2ll::fuzz
