#include "worker/data/image_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
// clang-format off
// jpeglib.h needs size_t and FILE first.
#include <cstdio>
#include <jpeglib.h>
// clang-format on
#include <png.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/resize.h"

namespace g2ll::data {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A PNG of any color type and bit depth; `rows` are packed as libpng wants them.
void WriteAnyPng(const std::string& path, int width, int height, int depth, int color_type,
                 std::vector<std::vector<uint8_t>> rows, bool interlaced = false) {
  FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth,
               color_type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  const png_color palette[] = {{10, 20, 30}, {200, 150, 100}};
  if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
  std::vector<png_bytep> pointers;
  for (auto& row : rows) pointers.push_back(row.data());
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
}

void WriteCmykJpeg(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr error{};
  jpeg.err = jpeg_std_error(&error);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file);
  jpeg.image_width = 8;
  jpeg.image_height = 8;
  jpeg.input_components = 4;
  jpeg.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<uint8_t> row(32, 90);
  JSAMPROW pointer = row.data();
  for (int y = 0; y < 8; ++y) jpeg_write_scanlines(&jpeg, &pointer, 1);
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::fclose(file);
}

// Changes the size that a JPEG's header claims.
std::string WithClaimedSize(std::string jpeg, int height, int width) {
  const size_t frame = jpeg.find("\xFF\xC0");
  EXPECT_NE(frame, std::string::npos);
  jpeg[frame + 5] = static_cast<char>(height >> 8);
  jpeg[frame + 6] = static_cast<char>(height & 0xFF);
  jpeg[frame + 7] = static_cast<char>(width >> 8);
  jpeg[frame + 8] = static_cast<char>(width & 0xFF);
  return jpeg;
}

// Changes the size that a PNG's header claims, with a checksum that fits.
std::string WithClaimedPngSize(std::string png, uint32_t height, uint32_t width) {
  const auto write = [&](size_t at, uint32_t value) {
    for (const int shift : {24, 16, 8, 0}) png[at++] = static_cast<char>(value >> shift & 0xFF);
  };
  write(16, width);
  write(20, height);
  uint32_t crc = 0xFFFFFFFF;  // of the chunk's name and its 13 bytes
  for (size_t at = 12; at < 29; ++at) {
    crc ^= static_cast<unsigned char>(png[at]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  write(29, ~crc);
  return png;
}

class CodecTest : public testing::Test {
 protected:
  // A status about a file is one line that begins with its path.
  template <typename T>
  static void ExpectFault(const absl::StatusOr<T>& result, const std::string& path,
                          const std::string& what) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
    const std::string message(result.status().message());
    EXPECT_THAT(message, StartsWith(path + ": "));
    EXPECT_THAT(message, HasSubstr(what));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }

  test::TemporaryFolder folder_;
};

TEST_F(CodecTest, PngComesBackExactly) {
  const Image image = test::VariedImage(33, 5);
  test::WriteBytes(folder_ / "a.png", *EncodePng(image));
  EXPECT_EQ(ReadImage(folder_ / "a.png")->pixels, image.pixels);
}

TEST_F(CodecTest, JpegComesBackCloselyAndItsHeaderTellsItsSize) {
  const Image image = test::PlainImage(40, 60, 200, 150, 120);
  test::WriteJpeg(folder_ / "a.jpg", image);
  const Image read = *ReadImage(folder_ / "a.jpg");
  ASSERT_EQ(read.pixels.size(), image.pixels.size());
  for (size_t i = 0; i < read.pixels.size(); ++i) EXPECT_NEAR(read.pixels[i], image.pixels[i], 3);
  const ImageInfo info = *ReadImageInfo(folder_ / "a.jpg");
  EXPECT_EQ(info.format, ImageFormat::kJpeg);
  EXPECT_EQ(info.height, 40);
  EXPECT_EQ(info.width, 60);
}

TEST_F(CodecTest, AJpegIsReducedWhileDecodedButNeverBelowTheTarget) {
  test::WriteJpeg(folder_ / "a.jpg", test::PlainImage(600, 900, 200, 150, 120));
  EXPECT_EQ(ReadImage(folder_ / "a.jpg", 0)->height, 600);
  EXPECT_EQ(ReadImage(folder_ / "a.jpg", 301)->height, 600);
  EXPECT_EQ(ReadImage(folder_ / "a.jpg", 300)->height, 300);
  EXPECT_EQ(ReadImage(folder_ / "a.jpg", 300)->width, 450);
  EXPECT_EQ(ReadImage(folder_ / "a.jpg", 64)->height, 75);
}

TEST_F(CodecTest, AMaskOfOneBitOrOfEightIsZeroOr255) {
  WriteAnyPng(folder_ / "bit.png", 8, 1, 1, PNG_COLOR_TYPE_GRAY, {{0b10110000}});
  EXPECT_THAT(ReadMask(folder_ / "bit.png")->pixels,
              testing::ElementsAre(255, 0, 255, 255, 0, 0, 0, 0));
  WriteAnyPng(folder_ / "byte.png", 4, 1, 8, PNG_COLOR_TYPE_GRAY, {{0, 127, 128, 255}});
  EXPECT_THAT(ReadMask(folder_ / "byte.png")->pixels, testing::ElementsAre(0, 0, 255, 255));
}

TEST_F(CodecTest, AMaskThatWouldReadAsEmptyIsAnError) {
  test::WriteMaskPng(folder_ / "ones.png", test::PlainMask(4, 4, 1));
  ExpectFault(ReadMask(folder_ / "ones.png"), folder_ / "ones.png", "largest value is 1");
  test::WriteMaskPng(folder_ / "zeros.png", test::PlainMask(4, 4, 0));
  EXPECT_TRUE(ReadMask(folder_ / "zeros.png").ok());
}

TEST_F(CodecTest, GrayPaletteAlphaAnd16BitPicturesBecomeRgb) {
  WriteAnyPng(folder_ / "gray.png", 2, 1, 8, PNG_COLOR_TYPE_GRAY, {{7, 250}});
  EXPECT_THAT(ReadImage(folder_ / "gray.png")->pixels,
              testing::ElementsAre(7, 7, 7, 250, 250, 250));
  WriteAnyPng(folder_ / "palette.png", 2, 1, 8, PNG_COLOR_TYPE_PALETTE, {{1, 0}});
  EXPECT_THAT(ReadImage(folder_ / "palette.png")->pixels,
              testing::ElementsAre(200, 150, 100, 10, 20, 30));
  WriteAnyPng(folder_ / "alpha.png", 1, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, {{1, 2, 3, 0}});
  EXPECT_THAT(ReadImage(folder_ / "alpha.png")->pixels, testing::ElementsAre(1, 2, 3));
  WriteAnyPng(folder_ / "deep.png", 1, 1, 16, PNG_COLOR_TYPE_GRAY, {{0xFF, 0xFF}});
  EXPECT_THAT(ReadImage(folder_ / "deep.png")->pixels, testing::ElementsAre(255, 255, 255));
}

TEST_F(CodecTest, AnInterlacedPngIsWholeAfterItsLastPass) {
  std::vector<std::vector<uint8_t>> rows;
  std::vector<uint8_t> expected;
  for (int y = 0; y < 9; ++y) {
    rows.emplace_back();
    for (int x = 0; x < 9; ++x) rows.back().push_back(static_cast<uint8_t>(y * 20 + x));
    expected.insert(expected.end(), rows.back().begin(), rows.back().end());
  }
  WriteAnyPng(folder_ / "interlaced.png", 9, 9, 8, PNG_COLOR_TYPE_GRAY, rows, true);
  EXPECT_EQ(ReadGray(folder_ / "interlaced.png")->pixels, expected);
}

TEST_F(CodecTest, RefusesACmykJpegInWordsAUserCanActOn) {
  WriteCmykJpeg(folder_ / "print.jpg");
  ExpectFault(ReadImage(folder_ / "print.jpg"), folder_ / "print.jpg", "convert it to RGB");
}

TEST_F(CodecTest, NamesAJpegCutOffAnywhere) {
  test::WriteJpeg(folder_ / "a.jpg", test::VariedImage(64, 3));
  const std::string whole = test::ReadBytes(folder_ / "a.jpg");
  for (size_t size = 4; size + 2 < whole.size(); size += whole.size() / 23) {
    test::WriteBytes(folder_ / "cut.jpg", whole.substr(0, size));
    ExpectFault(ReadImage(folder_ / "cut.jpg"), folder_ / "cut.jpg", "JPEG");
  }
}

TEST_F(CodecTest, NamesAPngCutOffAnywhere) {
  const std::string whole = *EncodePng(test::VariedImage(64, 3));
  for (size_t size = 9; size + 16 < whole.size(); size += whole.size() / 23) {
    test::WriteBytes(folder_ / "cut.png", whole.substr(0, size));
    ExpectFault(ReadImage(folder_ / "cut.png"), folder_ / "cut.png", "PNG");
  }
}

TEST_F(CodecTest, FlippedBitsNeverCrashAndDimensionsStayBounded) {
  const std::string jpeg = *EncodeJpeg(test::VariedImage(32, 3));
  const std::string png = *EncodePng(test::VariedImage(32, 3));
  for (const std::string& whole : {jpeg, png}) {
    for (size_t at = 0; at < whole.size(); at += 7) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
      test::WriteBytes(folder_ / "damaged", damaged);
      const auto image = ReadImage(folder_ / "damaged");
      if (image.ok()) {
        EXPECT_EQ(image->pixels.size(), static_cast<size_t>(image->height) * image->width * 3);
      }
    }
  }
}

TEST_F(CodecTest, RefusesABombByItsHeaderAlone) {
  const std::string jpeg = *EncodeJpeg(test::VariedImage(32, 3));
  test::WriteBytes(folder_ / "bomb.jpg", WithClaimedSize(jpeg, 65'000, 65'000));
  ExpectFault(ReadImage(folder_ / "bomb.jpg"), folder_ / "bomb.jpg", "at most 100000000");
  ExpectFault(ReadImageInfo(folder_ / "bomb.jpg"), folder_ / "bomb.jpg", "at most 100000000");
}

TEST_F(CodecTest, RefusesAPngBombByItsHeaderAlone) {
  test::WriteBytes(folder_ / "bomb.png",
                   WithClaimedPngSize(*EncodePng(test::VariedImage(32, 3)), 40'000, 40'000));
  ExpectFault(ReadImage(folder_ / "bomb.png"), folder_ / "bomb.png", "at most 100000000");
  ExpectFault(ReadImageInfo(folder_ / "bomb.png"), folder_ / "bomb.png", "at most 100000000");
  ExpectFault(ReadMask(folder_ / "bomb.png"), folder_ / "bomb.png", "at most 100000000");
}

TEST_F(CodecTest, RefusesPicturesThatClaimToHaveNoPixels) {
  const std::string jpeg = *EncodeJpeg(test::VariedImage(32, 3));
  test::WriteBytes(folder_ / "flat.jpg", WithClaimedSize(jpeg, 0, 32));
  ExpectFault(ReadImage(folder_ / "flat.jpg"), folder_ / "flat.jpg", "");
  test::WriteBytes(folder_ / "flat.png",
                   WithClaimedPngSize(*EncodePng(test::VariedImage(32, 3)), 32, 0));
  ExpectFault(ReadImage(folder_ / "flat.png"), folder_ / "flat.png", "");
}

TEST_F(CodecTest, APictureOfOnePixelOrOneRowIsReadAndStretched) {
  test::WriteBytes(folder_ / "dot.png", *EncodePng(test::PlainImage(1, 1, 10, 20, 30)));
  EXPECT_THAT(ReadImage(folder_ / "dot.png", 64)->pixels, testing::ElementsAre(10, 20, 30));
  test::WriteJpeg(folder_ / "dot.jpg", test::PlainImage(1, 1, 100, 100, 100));
  EXPECT_EQ(ReadImage(folder_ / "dot.jpg", 64)->pixels.size(), 3U);
  const Image stretched = ResizeImage(*ReadImage(folder_ / "dot.png"), 16, 16);
  EXPECT_EQ(stretched.pixels, test::PlainImage(16, 16, 10, 20, 30).pixels);
  const Image row = ResizeImage(test::PlainImage(1, 900, 7, 8, 9), 16, 16);
  EXPECT_EQ(row.pixels, test::PlainImage(16, 16, 7, 8, 9).pixels);
  EXPECT_EQ(ResizeMask(test::PlainMask(1, 1, 255), 8, 8).pixels, test::PlainMask(8, 8, 255).pixels);
}

TEST_F(CodecTest, RefusesFilesThatAreTooLargeEmptyAbsentOrNoFiles) {
  test::WriteBytes(folder_ / "empty.jpg", "");
  ExpectFault(ReadImage(folder_ / "empty.jpg"), folder_ / "empty.jpg", "is empty");
  ExpectFault(ReadImage(folder_ / "absent.jpg"), folder_ / "absent.jpg", "cannot be opened");
  ExpectFault(ReadImage(folder_.path()), folder_.path(), "not a regular file");
  test::WriteBytes(folder_ / "text.png", "hello, world");
  ExpectFault(ReadImage(folder_ / "text.png"), folder_ / "text.png", "neither a JPEG nor a PNG");
  test::WriteBytes(folder_ / "large.jpg", "\xFF\xD8\xFF");
  std::filesystem::resize_file(folder_ / "large.jpg", kMaxImageFileBytes + 1);  // sparse
  ExpectFault(ReadImage(folder_ / "large.jpg"), folder_ / "large.jpg", "at most 67108864");
  ASSERT_EQ(mkfifo((folder_ / "pipe.jpg").c_str(), 0600), 0);
  ExpectFault(ReadImage(folder_ / "pipe.jpg"), folder_ / "pipe.jpg", "not a regular file");
}

TEST_F(CodecTest, AWriterThatFailsLeavesNothingBehind) {
  EXPECT_EQ(WriteFileAtomically(folder_ / "no/such/file", "x").code(),
            absl::StatusCode::kUnavailable);
  ASSERT_TRUE(WriteFileAtomically(folder_ / "file", "one").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "file", "two").ok());
  EXPECT_EQ(test::ReadBytes(folder_ / "file"), "two");
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    ++files;
  }
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace g2ll::data
