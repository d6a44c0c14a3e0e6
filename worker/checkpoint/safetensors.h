#ifndef WORKER_CHECKPOINT_SAFETENSORS_H_
#define WORKER_CHECKPOINT_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::checkpoint {

// The safetensors file format, without LibTorch: 8 bytes little-endian header
// size, a JSON header, then the tensors' bytes, little-endian, row-major.

// Longest header that is read. Anything larger is a damaged or hostile file.
inline constexpr uint64_t kMaxHeaderBytes = uint64_t{64} << 20;

enum class ElementType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

// Name in the file (`F32`) and bytes of one element.
std::string_view ElementTypeName(ElementType type);
size_t ElementSize(ElementType type);

// Where one tensor lies. begin and end count from the start of the data.
struct TensorEntry {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;  // empty: a scalar
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of the data
  std::map<std::string, std::string> metadata;
  uint64_t data_offset = 0;  // of the data in the file
};

// Reads and checks a header. `prefix` holds the first bytes of the file, at least
// the whole header or the whole file; `file_size` is the file's size; `name` is
// what messages call the file. Accepts only what it understands completely: known
// types, sizes that agree with shapes, data without gaps or overlap up to the end
// of the file.
// Error: DataLoss, one line that names the file and, where there is one, the tensor.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view prefix,
                                                         uint64_t file_size, std::string_view name);

// The same for a file. Errors: NotFound, Unavailable (cannot be read), DataLoss.
absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const std::filesystem::path& path);

// Bytes to be written; `data` is borrowed for the call and holds
// product(shape) * ElementSize(type) bytes.
struct TensorBytes {
  std::string name;  // neither empty nor `__metadata__`, unique
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  std::string_view data;
};

// Writes a file, replacing an old one; the tensors keep their order, so equal
// input gives equal bytes. Does not sync. Errors: InvalidArgument (a name twice,
// data that do not fit the shape), Unavailable (cannot be written, disk full).
absl::Status WriteSafetensors(const std::filesystem::path& path,
                              const std::vector<TensorBytes>& tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace g2ll::checkpoint

#endif  // WORKER_CHECKPOINT_SAFETENSORS_H_
