#include "worker/data/image_codec.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/codec_backends.h"

namespace g2ll::data {
namespace internal {

absl::Status CheckDimensions(int64_t width, int64_t height) {
  if (width < 1 || height < 1) return absl::InvalidArgumentError("has no pixels");
  if (width > kMaxImagePixels / height) {
    return absl::InvalidArgumentError(absl::StrCat("has ", width, "x", height, " pixels: at most ",
                                                   kMaxImagePixels, " are read, reduce it"));
  }
  return absl::OkStatus();
}

}  // namespace internal

namespace {

using Bytes = std::vector<uint8_t>;

// The path comes first so that a list of findings sorts by file.
absl::Status AtPath(const std::string& path, const absl::Status& status) {
  return absl::DataLossError(absl::StrCat(path, ": ", status.message()));
}

absl::Status LastError(const std::string& path, const char* doing) {
  return absl::DataLossError(absl::StrCat(path, ": ", doing, ": ", std::strerror(errno)));
}

// At most `limit` bytes from the start of a regular file.
absl::StatusOr<Bytes> ReadStart(const std::string& path, int64_t limit) {
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return LastError(path, "cannot be opened");
  const absl::Cleanup close_file = [fd] { close(fd); };
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return LastError(path, "cannot be read");
  if (!S_ISREG(facts.st_mode)) {
    return absl::DataLossError(absl::StrCat(path, ": is not a regular file"));
  }
  if (facts.st_size == 0) return absl::DataLossError(absl::StrCat(path, ": is empty"));
  if (facts.st_size > kMaxImageFileBytes) {
    return absl::DataLossError(absl::StrCat(path, ": has ", facts.st_size, " bytes: at most ",
                                            kMaxImageFileBytes, " are read"));
  }
  Bytes bytes(static_cast<size_t>(std::min<int64_t>(facts.st_size, limit)));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = read(fd, bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return LastError(path, "cannot be read");
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

absl::StatusOr<ImageFormat> FormatOf(const Bytes& bytes) {
  constexpr uint8_t kPngStart[] = {0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A};
  constexpr uint8_t kJpegStart[] = {0xFF, 0xD8, 0xFF};
  const auto starts_with = [&](std::span<const uint8_t> prefix) {
    return bytes.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), bytes.begin());
  };
  if (starts_with(kPngStart)) return ImageFormat::kPng;
  if (starts_with(kJpegStart)) return ImageFormat::kJpeg;
  return absl::InvalidArgumentError("is neither a JPEG nor a PNG picture");
}

absl::StatusOr<internal::RawPixels> Decode(const std::string& path, int channels, int min_side) {
  G2LL_ASSIGN_OR_RETURN(const Bytes bytes, ReadStart(path, kMaxImageFileBytes));
  const absl::StatusOr<ImageFormat> format = FormatOf(bytes);
  if (!format.ok()) return AtPath(path, format.status());
  absl::StatusOr<internal::RawPixels> pixels =
      *format == ImageFormat::kPng ? internal::DecodePng(bytes, channels)
                                   : internal::DecodeJpeg(bytes, channels, min_side);
  if (!pixels.ok()) return AtPath(path, pixels.status());
  return pixels;
}

}  // namespace

absl::StatusOr<ImageInfo> ReadImageInfo(const std::string& path) {
  // A JPEG's size may stand behind a long EXIF or colour profile, so a short look
  // comes first and the whole file only where that was not enough.
  constexpr int64_t kFirstLook = 64 << 10;
  absl::StatusOr<ImageInfo> info = absl::DataLossError("");
  for (const int64_t limit : {kFirstLook, kMaxImageFileBytes}) {
    G2LL_ASSIGN_OR_RETURN(const Bytes bytes, ReadStart(path, limit));
    const absl::StatusOr<ImageFormat> format = FormatOf(bytes);
    if (!format.ok()) return AtPath(path, format.status());
    info = *format == ImageFormat::kPng ? internal::PngInfo(bytes) : internal::JpegInfo(bytes);
    if (info.ok()) return info;
    if (static_cast<int64_t>(bytes.size()) < limit) break;
  }
  return AtPath(path, info.status());
}

absl::StatusOr<Image> ReadImage(const std::string& path, int min_side) {
  G2LL_ASSIGN_OR_RETURN(internal::RawPixels pixels, Decode(path, 3, min_side));
  return Image{pixels.height, pixels.width, std::move(pixels.values)};
}

absl::StatusOr<GrayImage> ReadGray(const std::string& path) {
  G2LL_ASSIGN_OR_RETURN(internal::RawPixels pixels, Decode(path, 1, 0));
  return GrayImage{pixels.height, pixels.width, std::move(pixels.values)};
}

absl::StatusOr<LesionMask> ReadMask(const std::string& path) {
  G2LL_ASSIGN_OR_RETURN(GrayImage gray, ReadGray(path));
  const int largest = *std::max_element(gray.pixels.begin(), gray.pixels.end());
  if (largest > 0 && largest <= 127) {
    return absl::DataLossError(absl::StrCat(path, ": is a mask whose largest value is ", largest,
                                            ": write 0 for skin and 255 for lesion"));
  }
  for (uint8_t& value : gray.pixels) value = value > 127 ? 255 : 0;
  return LesionMask{gray.height, gray.width, std::move(gray.pixels)};
}

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  return internal::EncodeJpegPixels({image.height, image.width, image.pixels}, quality);
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  return internal::EncodePngPixels({image.height, image.width, image.pixels}, 3);
}

absl::StatusOr<std::string> EncodeMaskPng(const LesionMask& mask) {
  return internal::EncodePngPixels({mask.height, mask.width, mask.pixels}, 1);
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& bytes) {
  const auto failed = [&](const char* doing) {
    return absl::UnavailableError(absl::StrCat(path, ": ", doing, ": ", std::strerror(errno)));
  };
  std::string temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return failed("cannot be created");
  absl::Cleanup remove_temporary = [&] { unlink(temporary.c_str()); };
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t put = write(fd, bytes.data() + written, bytes.size() - written);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const absl::Status status = failed("cannot be written");
      close(fd);
      return status;
    }
    written += static_cast<size_t>(put);
  }
  fchmod(fd, 0644);
  if (close(fd) != 0) return failed("cannot be written");
  if (rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot be renamed");
  std::move(remove_temporary).Cancel();
  return absl::OkStatus();
}

}  // namespace g2ll::data
