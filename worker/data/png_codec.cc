#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "absl/status/status.h"
#include "worker/data/codec_backends.h"

// libpng reports errors by longjmp, as libjpeg does: the functions that call
// setjmp hold no object with a destructor.
namespace g2ll::data::internal {
namespace {

constexpr png_uint_32 kMaxSide = 1'000'000;
constexpr png_alloc_size_t kMaxChunkBytes = 8U << 20;

struct PngState {
  png_structp png = nullptr;
  png_infop info = nullptr;
  bool writing = false;
  std::span<const uint8_t> input;
  size_t position = 0;
  std::string* output = nullptr;
  char message[160] = "";

  PngState() = default;
  ~PngState() {
    if (writing) {
      png_destroy_write_struct(&png, &info);
    } else {
      png_destroy_read_struct(&png, &info, nullptr);
    }
  }
  PngState(const PngState&) = delete;
  PngState& operator=(const PngState&) = delete;
};

void OnError(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

void ReadBytes(png_structp png, png_bytep out, size_t length) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (length > state->input.size() - state->position) png_error(png, "the file ends too early");
  std::memcpy(out, state->input.data() + state->position, length);
  state->position += length;
}

void WriteBytes(png_structp png, png_bytep bytes, size_t length) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  state->output->append(reinterpret_cast<const char*>(bytes), length);
}

void FlushBytes(png_structp) {}

bool ReadHeader(PngState& state) {
  state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, OnError, OnWarning);
  if (state.png == nullptr) return false;
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  state.info = png_create_info_struct(state.png);
  if (state.info == nullptr) return false;
  png_set_user_limits(state.png, kMaxSide, kMaxSide);
  png_set_chunk_malloc_max(state.png, kMaxChunkBytes);
  png_set_read_fn(state.png, &state, ReadBytes);
  png_read_info(state.png, state.info);
  return true;
}

// Asks for 8 bits, `channels` channels and no alpha. Returns the number of passes,
// 0 on error.
int Configure(PngState& state, int channels) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return 0;
  png_set_expand(state.png);
  png_set_scale_16(state.png);
  png_set_strip_alpha(state.png);
  const bool is_color = (png_get_color_type(state.png, state.info) & PNG_COLOR_MASK_COLOR) != 0;
  if (channels == 3 && !is_color) png_set_gray_to_rgb(state.png);
  // -1, -1: the usual luma weights.
  if (channels == 1 && is_color)
    png_set_rgb_to_gray_fixed(state.png, PNG_ERROR_ACTION_NONE, -1, -1);
  const int passes = png_set_interlace_handling(state.png);
  png_read_update_info(state.png, state.info);
  return passes;
}

bool ReadRows(PngState& state, int passes, uint8_t* out, size_t stride, size_t rows) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  for (int pass = 0; pass < passes; ++pass) {
    for (size_t row = 0; row < rows; ++row) {
      png_read_row(state.png, out + row * stride, nullptr);
    }
  }
  return true;
}

bool Compress(PngState& state, const uint8_t* pixels, int width, int height, int channels) {
  state.writing = true;
  state.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, OnError, OnWarning);
  if (state.png == nullptr) return false;
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  state.info = png_create_info_struct(state.png);
  if (state.info == nullptr) return false;
  png_set_write_fn(state.png, &state, WriteBytes, FlushBytes);
  png_set_IHDR(state.png, state.info, static_cast<png_uint_32>(width),
               static_cast<png_uint_32>(height), 8,
               channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(state.png, state.info);
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(channels);
  for (size_t row = 0; row < static_cast<size_t>(height); ++row) {
    png_write_row(state.png, pixels + row * stride);
  }
  png_write_end(state.png, state.info);
  return true;
}

absl::Status Damaged(const PngState& state) {
  return absl::DataLossError(std::string("damaged PNG: ") + state.message);
}

absl::Status OpenHeader(PngState& state, std::span<const uint8_t> bytes) {
  state.input = bytes;
  if (!ReadHeader(state)) return Damaged(state);
  return CheckDimensions(png_get_image_width(state.png, state.info),
                         png_get_image_height(state.png, state.info));
}

}  // namespace

absl::StatusOr<ImageInfo> PngInfo(std::span<const uint8_t> bytes) {
  PngState state;
  if (absl::Status status = OpenHeader(state, bytes); !status.ok()) return status;
  return ImageInfo{ImageFormat::kPng, static_cast<int>(png_get_image_height(state.png, state.info)),
                   static_cast<int>(png_get_image_width(state.png, state.info))};
}

absl::StatusOr<RawPixels> DecodePng(std::span<const uint8_t> bytes, int channels) {
  PngState state;
  if (absl::Status status = OpenHeader(state, bytes); !status.ok()) return status;
  const int passes = Configure(state, channels);
  if (passes == 0) return Damaged(state);
  RawPixels pixels;
  pixels.height = static_cast<int>(png_get_image_height(state.png, state.info));
  pixels.width = static_cast<int>(png_get_image_width(state.png, state.info));
  const size_t stride = static_cast<size_t>(pixels.width) * static_cast<size_t>(channels);
  if (png_get_rowbytes(state.png, state.info) != stride) {
    return absl::DataLossError("damaged PNG: unexpected row size");
  }
  pixels.values.resize(stride * static_cast<size_t>(pixels.height));
  if (!ReadRows(state, passes, pixels.values.data(), stride, static_cast<size_t>(pixels.height))) {
    return Damaged(state);
  }
  return pixels;
}

absl::StatusOr<std::string> EncodePngPixels(const RawPixels& pixels, int channels) {
  std::string encoded;
  PngState state;
  state.output = &encoded;
  if (!Compress(state, pixels.values.data(), pixels.width, pixels.height, channels)) {
    return absl::InternalError(std::string("PNG encoder: ") + state.message);
  }
  return encoded;
}

}  // namespace g2ll::data::internal
