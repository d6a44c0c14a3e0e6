#include "tests/data/test_files.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "worker/data/image_codec.h"

namespace g2ll::data::test {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "g2ll-data-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteJpeg(const std::string& path, const Image& image) {
  const auto bytes = EncodeJpeg(image);
  ASSERT_TRUE(bytes.ok());
  WriteBytes(path, *bytes);
}

void WriteMaskPng(const std::string& path, const LesionMask& mask) {
  const auto bytes = EncodeMaskPng(mask);
  ASSERT_TRUE(bytes.ok());
  WriteBytes(path, *bytes);
}

Image PlainImage(int height, int width, uint8_t red, uint8_t green, uint8_t blue) {
  Image image{height, width, {}};
  for (int i = 0; i < height * width; ++i) {
    image.pixels.insert(image.pixels.end(), {red, green, blue});
  }
  return image;
}

LesionMask PlainMask(int height, int width, uint8_t value) {
  return {height, width,
          std::vector<uint8_t>(static_cast<size_t>(height) * static_cast<size_t>(width), value)};
}

Image VariedImage(int side, int variant) {
  Image image = PlainImage(side, side, 200, 160, 140);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<uint8_t>(image.pixels[i] - (i / 3 + 7 * variant) % 64);
  }
  image.pixels[0] = static_cast<uint8_t>(variant);
  return image;
}

void WriteIsicPairs(const std::string& root, const std::string& folder, int first, int count) {
  for (int i = first; i < first + count; ++i) {
    char id[32];
    std::snprintf(id, sizeof(id), "ISIC_%07d", i);
    WriteJpeg(root + "/ISIC-2017_" + folder + "_Data/" + id + ".jpg", VariedImage(32, i));
    WriteMaskPng(root + "/ISIC-2017_" + folder + "_Part1_GroundTruth/" + id + "_segmentation.png",
                 PlainMask(32, 32, 255));
  }
}

Image TwoToneDisc(int side, double radius) {
  Image image = PlainImage(side, side, 224, 182, 160);
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double dy = y + 0.5 - side / 2.0;
      const double dx = x + 0.5 - side / 2.0;
      if (dy * dy + dx * dx > radius * radius) continue;
      uint8_t* pixel = &image.pixels[(static_cast<size_t>(y) * side + x) * 3];
      pixel[0] = 110;
      pixel[1] = 70;
      pixel[2] = 56;
    }
  }
  return image;
}

}  // namespace g2ll::data::test
