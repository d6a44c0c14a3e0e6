#ifndef WORKER_DATA_IMAGE_CODEC_H_
#define WORKER_DATA_IMAGE_CODEC_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/image.h"

namespace g2ll::data {

// What a picture file may cost, checked before anything is allocated for it.
inline constexpr int64_t kMaxImagePixels = 100'000'000;
inline constexpr int64_t kMaxImageFileBytes = int64_t{64} << 20;

enum class ImageFormat { kJpeg, kPng };

// What the header of a picture file says.
struct ImageInfo {
  ImageFormat format = ImageFormat::kJpeg;
  int height = 0;
  int width = 0;
};

// One 8-bit channel, row-major.
struct GrayImage {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width]
};

// All functions that take a path return DataLoss in one line `PATH: what is wrong
// with it` for a file that is absent, not a regular file, too large, damaged or of
// another format; all are safe to call from many threads.

// Reads the header only.
absl::StatusOr<ImageInfo> ReadImageInfo(const std::string& path);

// Decodes a JPEG or PNG to RGB: grey, palette, 1- and 16-bit pictures are
// converted, alpha and EXIF orientation are ignored, CMYK is refused. A JPEG whose
// sides are both at least twice `min_side` is reduced while it is decoded (by 2, 4
// or 8), never below `min_side`; 0 keeps its own size.
absl::StatusOr<Image> ReadImage(const std::string& path, int min_side = 0);

// Decodes to grey without any threshold, for checks.
absl::StatusOr<GrayImage> ReadGray(const std::string& path);

// Decodes a mask: lesion where a value exceeds 127, as the ISIC scorer does. A mask
// whose largest value is between 1 and 127 is an error, for it would read as empty.
absl::StatusOr<LesionMask> ReadMask(const std::string& path);

// Encoders, and writers that replace the file as a whole or not at all.
// Errors: Internal (the encoder), Unavailable (the disk), naming the file.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality = 95);
absl::StatusOr<std::string> EncodePng(const Image& image);
absl::StatusOr<std::string> EncodeMaskPng(const LesionMask& mask);
absl::Status WriteFileAtomically(const std::string& path, const std::string& bytes);

}  // namespace g2ll::data

#endif  // WORKER_DATA_IMAGE_CODEC_H_
