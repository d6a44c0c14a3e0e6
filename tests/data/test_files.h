#ifndef TESTS_DATA_TEST_FILES_H_
#define TESTS_DATA_TEST_FILES_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "worker/data/image.h"
#include "worker/data/resize.h"

namespace g2ll::data::test {

// A folder of its own that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Make parent folders too.
void WriteBytes(const std::string& path, const std::string& bytes);
std::string ReadBytes(const std::string& path);
void WriteJpeg(const std::string& path, const Image& image);
void WriteMaskPng(const std::string& path, const LesionMask& mask);

// Every pixel of one color.
Image PlainImage(int height, int width, uint8_t red, uint8_t green, uint8_t blue);
LesionMask PlainMask(int height, int width, uint8_t value);

// A different picture for every `variant`.
Image VariedImage(int side, int variant);

// `images` pairs in the layout of ISIC-2017 as downloaded, `folder` being one of
// Training, Validation, Test_v2; ids ISIC_<first>...
void WriteIsicPairs(const std::string& root, const std::string& folder, int first, int count);

// A disc of another color in the middle of plain skin.
Image TwoToneDisc(int side, double radius);

}  // namespace g2ll::data::test

#endif  // TESTS_DATA_TEST_FILES_H_
