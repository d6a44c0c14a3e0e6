#include "client/api/safetensors_merge.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMaxHeaderBytes = uint64_t{64} << 20;
constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr char kMetadataKey[] = "__metadata__";

// A file whose header is read: 8 bytes of little-endian length, a JSON object of
// tensors by name, then their bytes.
struct Source {
  std::filesystem::path path;
  ordered_json header;
  uint64_t data_offset = 0;
  uint64_t data_size = 0;
};

absl::Status Damaged(const std::filesystem::path& path, const std::string& why) {
  return absl::DataLossError(absl::StrCat(path.filename().string(), ": ", why));
}

uint64_t ReadLittleEndian(const char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

absl::StatusOr<Source> Open(const std::filesystem::path& path) {
  Source source;
  source.path = path;
  std::error_code error;
  const uint64_t file_size = std::filesystem::file_size(path, error);
  if (error) return Damaged(path, error.message());
  std::ifstream file(path, std::ios::binary);
  char size_bytes[8];
  if (!file.read(size_bytes, sizeof(size_bytes))) return Damaged(path, "is too short");
  const uint64_t header_size = ReadLittleEndian(size_bytes);
  if (header_size > kMaxHeaderBytes || header_size > file_size - sizeof(size_bytes)) {
    return Damaged(path, "is no safetensors file");
  }
  std::string text(header_size, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    return Damaged(path, "cannot be read");
  }
  source.header = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!source.header.is_object()) return Damaged(path, "has a header that is no JSON object");
  source.data_offset = sizeof(size_bytes) + header_size;
  source.data_size = file_size - source.data_offset;
  return source;
}

// Adds the tensors of `source`, whose data will begin at `base`.
absl::Status AddTensors(const Source& source, uint64_t base, ordered_json* merged) {
  for (const auto& [name, tensor] : source.header.items()) {
    if (name == kMetadataKey) {
      if (tensor.is_object()) (*merged)[kMetadataKey].update(tensor);
      continue;
    }
    if (merged->contains(name)) return Damaged(source.path, absl::StrCat("repeats ", name));
    const auto offsets = tensor.is_object() ? tensor.find("data_offsets") : tensor.end();
    const bool is_pair = offsets != tensor.end() && offsets->is_array() && offsets->size() == 2 &&
                         (*offsets)[0].is_number_unsigned() && (*offsets)[1].is_number_unsigned();
    if (!is_pair) return Damaged(source.path, absl::StrCat(name, " has no data_offsets"));
    const uint64_t begin = (*offsets)[0];
    const uint64_t end = (*offsets)[1];
    if (begin > end || end > source.data_size) {
      return Damaged(source.path, absl::StrCat(name, " lies outside the file"));
    }
    ordered_json moved = tensor;
    moved["data_offsets"] = {base + begin, base + end};
    (*merged)[name] = std::move(moved);
  }
  return absl::OkStatus();
}

absl::Status CopyData(const Source& source, std::ofstream* target) {
  std::ifstream file(source.path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(source.data_offset));
  std::string piece(kPieceBytes, '\0');
  for (uint64_t left = source.data_size; left > 0;) {
    const auto count = static_cast<std::streamsize>(std::min<uint64_t>(left, piece.size()));
    if (!file.read(piece.data(), count)) return Damaged(source.path, "cannot be read");
    target->write(piece.data(), count);
    left -= static_cast<uint64_t>(count);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MergeSafetensors(const std::vector<std::filesystem::path>& sources,
                              const std::filesystem::path& target) {
  std::vector<Source> opened;
  ordered_json header = ordered_json::object();
  header[kMetadataKey] = ordered_json::object();
  uint64_t size = 0;
  for (const std::filesystem::path& path : sources) {
    G2LL_ASSIGN_OR_RETURN(Source source, Open(path));
    G2LL_RETURN_IF_ERROR(AddTensors(source, size, &header));
    size += source.data_size;
    opened.push_back(std::move(source));
  }
  std::string text = header.dump();
  // Data begin at a multiple of 8, as the format's own writers do.
  text.append((8 - text.size() % 8) % 8, ' ');
  std::ofstream file(target, std::ios::binary);
  uint64_t header_size = text.size();
  for (int i = 0; i < 8; ++i, header_size >>= 8) file.put(static_cast<char>(header_size & 0xff));
  file << text;
  for (const Source& source : opened) G2LL_RETURN_IF_ERROR(CopyData(source, &file));
  file.close();
  if (!file) {
    return net::WithReason(absl::UnavailableError(absl::StrCat("cannot write ", target.string(),
                                                               ": ", std::strerror(errno))),
                           "LOCAL_WRITE_FAILED");
  }
  return absl::OkStatus();
}

}  // namespace g2ll::client
