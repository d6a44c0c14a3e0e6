#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/data/superpixel_cache.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

constexpr std::string_view kMagic = "G2LLSPX1";
constexpr size_t kHeaderBytes = 16;   // magic, height, width
constexpr size_t kChecksumBytes = 8;  // FNV-1a of everything before
constexpr size_t kRunBytes = 4;       // label, length
constexpr int kMaxSide = 16384;

void Append(std::string& bytes, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
}

uint64_t Read(std::string_view bytes, size_t position, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i > 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[position + i - 1]);
  }
  return value;
}

}  // namespace

std::string EncodeLabelMap(const LabelMap& map) {
  std::string bytes(kMagic);
  Append(bytes, static_cast<uint64_t>(map.height), 4);
  Append(bytes, static_cast<uint64_t>(map.width), 4);
  for (size_t begin = 0; begin < map.labels.size();) {
    size_t end = begin + 1;
    while (end < map.labels.size() && map.labels[end] == map.labels[begin] &&
           end - begin < UINT16_MAX) {
      ++end;
    }
    Append(bytes, map.labels[begin], 2);
    Append(bytes, end - begin, 2);
    begin = end;
  }
  Append(bytes, random::HashId(bytes), 8);
  return bytes;
}

std::optional<LabelMap> DecodeLabelMap(const std::string& bytes) {
  if (bytes.size() < kHeaderBytes + kChecksumBytes || !bytes.starts_with(kMagic)) {
    return std::nullopt;
  }
  const std::string_view body(bytes.data(), bytes.size() - kChecksumBytes);
  if (random::HashId(body) != Read(bytes, body.size(), 8)) return std::nullopt;
  LabelMap map;
  const uint64_t height = Read(body, 8, 4);
  const uint64_t width = Read(body, 12, 4);
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide ||
      (body.size() - kHeaderBytes) % kRunBytes != 0) {
    return std::nullopt;
  }
  map.height = static_cast<int>(height);
  map.width = static_cast<int>(width);
  const size_t num_pixels = height * width;
  for (size_t at = kHeaderBytes; at < body.size(); at += kRunBytes) {
    const auto label = static_cast<uint16_t>(Read(body, at, 2));
    const auto length = static_cast<size_t>(Read(body, at + 2, 2));
    if (length > num_pixels - map.labels.size()) return std::nullopt;
    map.labels.insert(map.labels.end(), length, label);
  }
  if (map.labels.size() != num_pixels) return std::nullopt;
  return map;
}

}  // namespace g2ll::data
