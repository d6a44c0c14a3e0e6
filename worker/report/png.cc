#include "worker/report/png.h"

#include <png.h>

#include "absl/strings/str_cat.h"

namespace g2ll::report {

absl::StatusOr<std::string> EncodePng(const data::Image& image) {
  const size_t expected = 3 * static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
  if (expected == 0 || image.pixels.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("a picture of ", image.width, " x ",
                                                   image.height, " pixels with ",
                                                   image.pixels.size(), " bytes"));
  }
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0,
                                nullptr) == 0) {
    return absl::InternalError(absl::StrCat("PNG encoder: ", header.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace g2ll::report
