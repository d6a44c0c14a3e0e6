#include "worker/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"

namespace g2ll::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

struct TypeRow {
  ElementType type;
  std::string_view name;
  size_t size;
};

constexpr std::array<TypeRow, 10> kTypes = {{{ElementType::kBool, "BOOL", 1},
                                             {ElementType::kU8, "U8", 1},
                                             {ElementType::kI8, "I8", 1},
                                             {ElementType::kI16, "I16", 2},
                                             {ElementType::kI32, "I32", 4},
                                             {ElementType::kI64, "I64", 8},
                                             {ElementType::kF16, "F16", 2},
                                             {ElementType::kBF16, "BF16", 2},
                                             {ElementType::kF32, "F32", 4},
                                             {ElementType::kF64, "F64", 8}}};

const TypeRow& RowOf(ElementType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [type](const TypeRow& row) { return row.type == type; });
}

// Text from a file, fit for one line of a message.
std::string Printable(std::string_view text) {
  constexpr size_t kMaxShown = 100;
  return absl::CHexEscape(std::string(text.substr(0, kMaxShown)));
}

absl::Status Damaged(std::string_view file, std::string_view fault) {
  return absl::DataLossError(absl::StrCat(std::string(file), ": ", std::string(fault)));
}

absl::Status DamagedTensor(std::string_view file, std::string_view tensor, std::string_view fault) {
  return Damaged(file, absl::StrCat("tensor ", Printable(tensor), ": ", std::string(fault)));
}

// Bytes of a tensor; nothing when the product does not fit into 64 bits.
std::optional<uint64_t> ByteSize(const std::vector<int64_t>& shape, ElementType type) {
  uint64_t bytes = ElementSize(type);
  for (int64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) return std::nullopt;
  }
  return bytes;
}

// A non-negative whole number that fits into int64.
std::optional<int64_t> AsCount(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(number);
}

// Parses without exceptions. A key twice is refused: readers would disagree on
// which of the two counts.
absl::StatusOr<Json> ParseJson(std::string_view text, std::string_view file) {
  std::vector<std::set<std::string>> keys;
  std::optional<std::string> repeated;
  // The depth limit keeps a hostile header from nesting millions of arrays.
  constexpr int kMaxDepth = 4;
  bool too_deep = false;
  const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) too_deep = true;
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      if (!keys.empty()) keys.pop_back();
    } else if (event == Json::parse_event_t::key && !keys.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) repeated = key;
    }
    return !too_deep;
  };
  Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (too_deep) return Damaged(file, "header is nested too deeply");
  if (repeated) return Damaged(file, absl::StrCat("header has ", Printable(*repeated), " twice"));
  if (!json.is_object()) return Damaged(file, "header is not a JSON object");
  return json;
}

absl::Status ParseMetadata(const Json& json, std::string_view file,
                           std::map<std::string, std::string>* metadata) {
  if (!json.is_object()) return Damaged(file, "__metadata__ is not an object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return Damaged(file, absl::StrCat("__metadata__ ", Printable(key), " is not a string"));
    }
    (*metadata)[key] = value.get<std::string>();
  }
  return absl::OkStatus();
}

absl::StatusOr<ElementType> ParseType(const Json& json, std::string_view file,
                                      const std::string& tensor) {
  const auto it = json.find("dtype");
  if (it == json.end() || !it->is_string()) return DamagedTensor(file, tensor, "has no dtype");
  const auto& name = it->get_ref<const std::string&>();
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
  }
  return DamagedTensor(file, tensor, absl::StrCat("unknown dtype ", Printable(name)));
}

absl::StatusOr<std::vector<int64_t>> ParseCounts(const Json& json, const char* key,
                                                 std::string_view file, const std::string& tensor) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) {
    return DamagedTensor(file, tensor, absl::StrCat("has no ", key));
  }
  std::vector<int64_t> counts;
  for (const Json& value : *it) {
    const std::optional<int64_t> count = AsCount(value);
    if (!count) {
      return DamagedTensor(file, tensor, absl::StrCat(key, " holds something other than a count"));
    }
    counts.push_back(*count);
  }
  return counts;
}

absl::StatusOr<TensorEntry> ParseEntry(const std::string& name, const Json& json,
                                       uint64_t data_size, std::string_view file) {
  if (!json.is_object()) return DamagedTensor(file, name, "entry is not an object");
  TensorEntry entry;
  entry.name = name;
  G2LL_ASSIGN_OR_RETURN(entry.type, ParseType(json, file, name));
  G2LL_ASSIGN_OR_RETURN(entry.shape, ParseCounts(json, "shape", file, name));
  G2LL_ASSIGN_OR_RETURN(const auto offsets, ParseCounts(json, "data_offsets", file, name));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return DamagedTensor(file, name, "data_offsets are not a begin and an end");
  }
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  if (entry.end > data_size) {
    return DamagedTensor(file, name,
                         absl::StrCat("ends at byte ", entry.end, " of the data, which has ",
                                      data_size, " (is the file cut short?)"));
  }
  const std::optional<uint64_t> bytes = ByteSize(entry.shape, entry.type);
  if (!bytes || *bytes != entry.end - entry.begin) {
    return DamagedTensor(file, name, "shape and dtype do not fit the number of bytes");
  }
  return entry;
}

// The tensors must fill the data exactly.
absl::Status CheckLayout(std::vector<TensorEntry>* tensors, uint64_t data_size,
                         std::string_view file) {
  std::sort(tensors->begin(), tensors->end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t expected = 0;
  for (const TensorEntry& entry : *tensors) {
    if (entry.begin < expected) {
      return DamagedTensor(file, entry.name, "overlaps the tensor before it");
    }
    if (entry.begin > expected) {
      return DamagedTensor(file, entry.name, "leaves a gap after the tensor before it");
    }
    expected = entry.end;
  }
  if (expected != data_size) {
    return Damaged(file,
                   absl::StrCat("has ", data_size - expected, " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ParseHeaderSize(std::string_view prefix, uint64_t file_size,
                                         std::string_view file) {
  if (file_size < kLengthBytes || prefix.size() < kLengthBytes) {
    return Damaged(file, absl::StrCat("has ", file_size, " bytes, too few for a header"));
  }
  uint64_t size = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    size |= uint64_t{static_cast<unsigned char>(prefix[i])} << (8 * i);
  }
  if (size > kMaxHeaderBytes) {
    return Damaged(file, absl::StrCat("header size ", size, " is above the limit of ",
                                      kMaxHeaderBytes, " bytes"));
  }
  if (size > file_size - kLengthBytes) {
    return Damaged(file, absl::StrCat("header size ", size, " is above what the file holds"));
  }
  return size;
}

std::string ErrnoText() { return std::generic_category().message(errno); }

absl::Status CheckTensors(const std::vector<TensorBytes>& tensors, const std::string& file) {
  std::set<std::string_view> names;
  for (const TensorBytes& tensor : tensors) {
    const auto fault = [&](std::string_view text) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": tensor ", Printable(tensor.name), ": ", std::string(text)));
    };
    if (tensor.name.empty() || tensor.name == kMetadataKey) return fault("name is not allowed");
    if (!names.insert(tensor.name).second) return fault("is there twice");
    for (int64_t extent : tensor.shape) {
      if (extent < 0) return fault("shape has a negative extent");
    }
    const std::optional<uint64_t> bytes = ByteSize(tensor.shape, tensor.type);
    if (!bytes || *bytes != tensor.data.size()) return fault("data do not fit shape and dtype");
  }
  return absl::OkStatus();
}

// The header of `tensors` in their order, padded with spaces so that the data
// start at a multiple of 8 bytes.
std::string HeaderText(const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[std::string(kMetadataKey)] = metadata;
  uint64_t offset = 0;
  for (const TensorBytes& tensor : tensors) {
    nlohmann::ordered_json entry;
    entry["dtype"] = std::string(ElementTypeName(tensor.type));
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {offset, offset + tensor.data.size()};
    offset += tensor.data.size();
    json[tensor.name] = std::move(entry);
  }
  // Names that are not UTF-8 are replaced rather than thrown about.
  std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  return text;
}

}  // namespace

std::string_view ElementTypeName(ElementType type) { return RowOf(type).name; }

size_t ElementSize(ElementType type) { return RowOf(type).size; }

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view prefix,
                                                         uint64_t file_size,
                                                         std::string_view name) {
  G2LL_ASSIGN_OR_RETURN(const uint64_t size, ParseHeaderSize(prefix, file_size, name));
  if (prefix.size() < kLengthBytes + size) return Damaged(name, "header is cut short");
  G2LL_ASSIGN_OR_RETURN(const Json json, ParseJson(prefix.substr(kLengthBytes, size), name));
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + size;
  const uint64_t data_size = file_size - header.data_offset;
  for (const auto& [key, value] : json.items()) {
    if (key == kMetadataKey) {
      G2LL_RETURN_IF_ERROR(ParseMetadata(value, name, &header.metadata));
      continue;
    }
    G2LL_ASSIGN_OR_RETURN(TensorEntry entry, ParseEntry(key, value, data_size, name));
    header.tensors.push_back(std::move(entry));
  }
  G2LL_RETURN_IF_ERROR(CheckLayout(&header.tensors, data_size, name));
  return header;
}

absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(path.string(), ": no such file"));
  }
  const uint64_t file_size = std::filesystem::file_size(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path.string(), ": ", error.message()));
  std::ifstream stream(path, std::ios::binary);
  std::string prefix(std::min(file_size, kLengthBytes), '\0');
  stream.read(prefix.data(), static_cast<std::streamsize>(prefix.size()));
  if (!stream) return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be read"));
  G2LL_ASSIGN_OR_RETURN(const uint64_t size, ParseHeaderSize(prefix, file_size, path.string()));
  prefix.resize(kLengthBytes + size);
  stream.read(prefix.data() + kLengthBytes, static_cast<std::streamsize>(size));
  if (!stream) return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be read"));
  return ParseSafetensorsHeader(prefix, file_size, path.string());
}

absl::Status WriteSafetensors(const std::filesystem::path& path,
                              const std::vector<TensorBytes>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  G2LL_RETURN_IF_ERROR(CheckTensors(tensors, path.string()));
  const std::string header = HeaderText(tensors, metadata);
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<char>((uint64_t{header.size()} >> (8 * i)) & 0xff);
  }
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << length << header;
  for (const TensorBytes& tensor : tensors) {
    stream.write(tensor.data.data(), static_cast<std::streamsize>(tensor.data.size()));
  }
  stream.close();
  if (!stream) {
    return absl::UnavailableError(
        absl::StrCat(path.string(), ": cannot be written: ", ErrnoText()));
  }
  return absl::OkStatus();
}

}  // namespace g2ll::checkpoint
