// clang-format off
// jpeglib.h needs size_t and FILE first, jerror.h needs jpeglib.h.
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstdlib>

#include "absl/status/status.h"
#include "worker/data/codec_backends.h"

// libjpeg reports errors by longjmp. Every function that calls setjmp below holds
// no object with a destructor, so a jump skips nothing; owners live in their callers.
namespace g2ll::data::internal {
namespace {

// More scans than any encoder writes: a small file can ask for hours otherwise.
constexpr int kMaxScans = 100;

struct ErrorState {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool damaged;
};

ErrorState& StateOf(j_common_ptr common) { return *reinterpret_cast<ErrorState*>(common->err); }

void OnError(j_common_ptr common) {
  ErrorState& state = StateOf(common);
  common->err->format_message(common, state.message);
  std::longjmp(state.jump, 1);
}

// libjpeg goes on after lost data and fills the rest with grey; we must not.
void OnMessage(j_common_ptr common, int level) {
  if (level >= 0) return;
  switch (common->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_ARITH_BAD_CODE: {
      ErrorState& state = StateOf(common);
      if (!state.damaged) common->err->format_message(common, state.message);
      state.damaged = true;
      return;
    }
    default:
      return;  // harmless, such as bytes after the end
  }
}

void OnProgress(j_common_ptr common) {
  if (!common->is_decompressor) return;
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(common);
  if (decoder->input_scan_number > kMaxScans) {
    ErrorState& state = StateOf(common);
    std::snprintf(state.message, sizeof(state.message), "more than %d scans", kMaxScans);
    std::longjmp(state.jump, 1);
  }
}

struct Decoder {
  jpeg_decompress_struct jpeg{};
  jpeg_progress_mgr progress{};
  ErrorState error{};
  Decoder() {
    jpeg.err = jpeg_std_error(&error.manager);
    error.manager.error_exit = OnError;
    error.manager.emit_message = OnMessage;
    progress.progress_monitor = OnProgress;
  }
  ~Decoder() { jpeg_destroy_decompress(&jpeg); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool ReadHeader(Decoder& decoder, const uint8_t* bytes, unsigned long size) {
  if (setjmp(decoder.error.jump) != 0) return false;
  jpeg_create_decompress(&decoder.jpeg);
  decoder.jpeg.progress = &decoder.progress;
  jpeg_mem_src(&decoder.jpeg, bytes, size);
  jpeg_read_header(&decoder.jpeg, TRUE);
  return true;
}

bool StartDecoding(Decoder& decoder) {
  if (setjmp(decoder.error.jump) != 0) return false;
  jpeg_start_decompress(&decoder.jpeg);
  return true;
}

bool ReadRows(Decoder& decoder, uint8_t* out, size_t stride) {
  if (setjmp(decoder.error.jump) != 0) return false;
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    JSAMPROW row = out + decoder.jpeg.output_scanline * stride;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&decoder.jpeg);
  return true;
}

absl::Status Damaged(const Decoder& decoder) {
  return absl::DataLossError(std::string("damaged JPEG: ") + decoder.error.message);
}

absl::Status OpenHeader(Decoder& decoder, std::span<const uint8_t> bytes) {
  if (!ReadHeader(decoder, bytes.data(), bytes.size())) return Damaged(decoder);
  return CheckDimensions(decoder.jpeg.image_width, decoder.jpeg.image_height);
}

int ScaleDenominator(const jpeg_decompress_struct& jpeg, int min_side) {
  if (min_side <= 0) return 1;
  int denominator = 1;
  const auto fits = [&](int by) {
    return static_cast<int>(jpeg.image_width) / by >= min_side &&
           static_cast<int>(jpeg.image_height) / by >= min_side;
  };
  while (denominator < 8 && fits(denominator * 2)) denominator *= 2;
  return denominator;
}

struct Encoder {
  jpeg_compress_struct jpeg{};
  ErrorState error{};
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  Encoder() {
    jpeg.err = jpeg_std_error(&error.manager);
    error.manager.error_exit = OnError;
    error.manager.emit_message = OnMessage;
  }
  ~Encoder() {
    jpeg_destroy_compress(&jpeg);
    std::free(buffer);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

bool Compress(Encoder& encoder, const uint8_t* pixels, int width, int height, int quality) {
  if (setjmp(encoder.error.jump) != 0) return false;
  jpeg_compress_struct& jpeg = encoder.jpeg;
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &encoder.buffer, &encoder.size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    // libjpeg does not write to the rows, its type only says that it may.
    JSAMPROW row = const_cast<uint8_t*>(pixels) +
                   static_cast<size_t>(jpeg.next_scanline) * static_cast<size_t>(width) * 3;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

}  // namespace

absl::StatusOr<ImageInfo> JpegInfo(std::span<const uint8_t> bytes) {
  Decoder decoder;
  if (absl::Status status = OpenHeader(decoder, bytes); !status.ok()) return status;
  return ImageInfo{ImageFormat::kJpeg, static_cast<int>(decoder.jpeg.image_height),
                   static_cast<int>(decoder.jpeg.image_width)};
}

absl::StatusOr<RawPixels> DecodeJpeg(std::span<const uint8_t> bytes, int channels, int min_side) {
  Decoder decoder;
  if (absl::Status status = OpenHeader(decoder, bytes); !status.ok()) return status;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) {
    return absl::InvalidArgumentError("is a CMYK JPEG (for printing): convert it to RGB");
  }
  const bool is_rgb_to_gray = channels == 1 && jpeg.jpeg_color_space == JCS_RGB;
  if (is_rgb_to_gray) {
    return absl::InvalidArgumentError("is an RGB-coded JPEG where a grey picture is needed");
  }
  jpeg.out_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg.dct_method = JDCT_ISLOW;
  jpeg.scale_num = 1;
  jpeg.scale_denom = static_cast<unsigned>(ScaleDenominator(jpeg, min_side));
  if (!StartDecoding(decoder)) return Damaged(decoder);
  RawPixels pixels;
  pixels.height = static_cast<int>(jpeg.output_height);
  pixels.width = static_cast<int>(jpeg.output_width);
  const size_t stride = static_cast<size_t>(pixels.width) * static_cast<size_t>(channels);
  pixels.values.resize(stride * static_cast<size_t>(pixels.height));
  if (!ReadRows(decoder, pixels.values.data(), stride) || decoder.error.damaged) {
    return Damaged(decoder);
  }
  return pixels;
}

absl::StatusOr<std::string> EncodeJpegPixels(const RawPixels& pixels, int quality) {
  Encoder encoder;
  if (!Compress(encoder, pixels.values.data(), pixels.width, pixels.height, quality)) {
    return absl::InternalError(std::string("JPEG encoder: ") + encoder.error.message);
  }
  return std::string(reinterpret_cast<const char*>(encoder.buffer), encoder.size);
}

}  // namespace g2ll::data::internal
