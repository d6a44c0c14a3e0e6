#ifndef WORKER_DATA_CODEC_BACKENDS_H_
#define WORKER_DATA_CODEC_BACKENDS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/image_codec.h"

// The two libraries behind image_codec.h. Messages carry no path: the caller adds it.
namespace g2ll::data::internal {

// 8-bit pixels of `channels` (1 or 3) channels, channel fastest.
struct RawPixels {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> values;
};

absl::StatusOr<ImageInfo> JpegInfo(std::span<const uint8_t> bytes);
absl::StatusOr<ImageInfo> PngInfo(std::span<const uint8_t> bytes);
absl::StatusOr<RawPixels> DecodeJpeg(std::span<const uint8_t> bytes, int channels, int min_side);
absl::StatusOr<RawPixels> DecodePng(std::span<const uint8_t> bytes, int channels);
absl::StatusOr<std::string> EncodeJpegPixels(const RawPixels& pixels, int quality);
absl::StatusOr<std::string> EncodePngPixels(const RawPixels& pixels, int channels);

// Error: InvalidArgument if the picture is empty or larger than kMaxImagePixels.
absl::Status CheckDimensions(int64_t width, int64_t height);

}  // namespace g2ll::data::internal

#endif  // WORKER_DATA_CODEC_BACKENDS_H_
