#include "worker/checkpoint/tensor_file.h"

#include <torch/torch.h>

#include <fstream>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/safetensors.h"

namespace g2ll::checkpoint {
namespace {

std::optional<ElementType> ToElementType(torch::ScalarType type) {
  switch (type) {
    case torch::kBool:
      return ElementType::kBool;
    case torch::kUInt8:
      return ElementType::kU8;
    case torch::kInt8:
      return ElementType::kI8;
    case torch::kInt16:
      return ElementType::kI16;
    case torch::kInt32:
      return ElementType::kI32;
    case torch::kInt64:
      return ElementType::kI64;
    case torch::kFloat16:
      return ElementType::kF16;
    case torch::kBFloat16:
      return ElementType::kBF16;
    case torch::kFloat32:
      return ElementType::kF32;
    case torch::kFloat64:
      return ElementType::kF64;
    default:  // complex, quantised and 8-bit floating types are not in our files
      return std::nullopt;
  }
}

torch::ScalarType ToScalarType(ElementType type) {
  switch (type) {
    case ElementType::kBool:
      return torch::kBool;
    case ElementType::kU8:
      return torch::kUInt8;
    case ElementType::kI8:
      return torch::kInt8;
    case ElementType::kI16:
      return torch::kInt16;
    case ElementType::kI32:
      return torch::kInt32;
    case ElementType::kI64:
      return torch::kInt64;
    case ElementType::kF16:
      return torch::kFloat16;
    case ElementType::kBF16:
      return torch::kBFloat16;
    case ElementType::kF32:
      return torch::kFloat32;
    case ElementType::kF64:
      return torch::kFloat64;
  }
  TORCH_CHECK(false, "unknown element type");
}

}  // namespace

absl::Status SaveTensors(const std::filesystem::path& path, const NamedTensors& tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::vector<torch::Tensor> copies;  // keeps what TensorBytes points to
  std::vector<TensorBytes> bytes;
  copies.reserve(tensors.size());
  bytes.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const std::optional<ElementType> type = ToElementType(tensor.scalar_type());
    if (!type) {
      return absl::InvalidArgumentError(absl::StrCat(path.string(), ": tensor ", name,
                                                     ": a dtype that the format does not have"));
    }
    const torch::Tensor& copy = copies.emplace_back(tensor.detach().cpu().contiguous());
    bytes.push_back(
        {name, *type, copy.sizes().vec(),
         std::string_view(static_cast<const char*>(copy.const_data_ptr()), copy.nbytes())});
  }
  return WriteSafetensors(path, bytes, metadata);
}

absl::StatusOr<TensorMap> LoadTensors(const std::filesystem::path& path) {
  G2LL_ASSIGN_OR_RETURN(const SafetensorsHeader header, ReadSafetensorsHeader(path));
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(header.data_offset));
  TensorMap tensors;
  for (const TensorEntry& entry : header.tensors) {  // in the order of the data
    torch::Tensor tensor = torch::empty(entry.shape, ToScalarType(entry.type));
    stream.read(static_cast<char*>(tensor.data_ptr()),
                static_cast<std::streamsize>(entry.end - entry.begin));
    if (!stream) {
      return absl::UnavailableError(
          absl::StrCat(path.string(), ": tensor ", entry.name, ": cannot be read"));
    }
    tensors.emplace(entry.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace g2ll::checkpoint
