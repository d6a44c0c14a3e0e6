#include "worker/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "tests/model/temporary_directory.h"
#include "worker/checkpoint/tensor_file.h"

namespace g2ll::checkpoint {
namespace {

using test::ReadBytes;
using test::TemporaryDirectory;
using test::WriteBytes;
using testing::AllOf;
using testing::HasSubstr;

// A file with this header and `data_size` bytes of data.
std::string FileBytes(const std::string& header, size_t data_size) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + std::string(data_size, 'x');
}

absl::Status Parse(const std::string& bytes) {
  return ParseSafetensorsHeader(bytes, bytes.size(), "some.safetensors").status();
}

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, RoundTripKeepsValuesTypesAndMetadata) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "all.safetensors";
  torch::manual_seed(1);
  const NamedTensors tensors = {
      {"z.half", torch::randn({3}).to(torch::kFloat16)},
      {"a.matrix", torch::randn({2, 3}).transpose(0, 1)},  // not contiguous
      {"scalar", torch::tensor(2.5, torch::kFloat64)},
      {"empty", torch::zeros({0, 4})},
      {"flags", torch::tensor({true, false})},
      {"ids", torch::tensor({int64_t{1} << 40, int64_t{-1}})},
      {"bytes", torch::arange(5, torch::kUInt8)},
      {"brain", torch::randn({4}).to(torch::kBFloat16)}};
  ASSERT_TRUE(SaveTensors(path, tensors, {{"format", "pt"}}).ok());
  const auto loaded = LoadTensors(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(loaded->at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(loaded->at(name), tensor)) << name;
  }
  const auto header = ReadSafetensorsHeader(path);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->metadata.at("format"), "pt");
  EXPECT_EQ(header->tensors.front().name, "z.half");  // the order of the call
  EXPECT_EQ(header->data_offset % 8, 0u);
}

TEST(Safetensors, EqualTensorsGiveEqualBytes) {
  const TemporaryDirectory directory;
  const NamedTensors tensors = {{"b", torch::ones({2})}, {"a", torch::zeros({3})}};
  ASSERT_TRUE(SaveTensors(directory.path() / "1", tensors).ok());
  ASSERT_TRUE(SaveTensors(directory.path() / "2", tensors).ok());
  EXPECT_EQ(ReadBytes(directory.path() / "1"), ReadBytes(directory.path() / "2"));
}

TEST(Safetensors, WriterRefusesWhatAReaderWouldReject) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "bad";
  EXPECT_EQ(SaveTensors(path, {{"a", torch::ones({1})}, {"a", torch::ones({1})}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SaveTensors(path, {{"__metadata__", torch::ones({1})}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SaveTensors(path, {{"c", torch::ones({1}, torch::kComplexFloat)}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafetensors(path, {{"short", ElementType::kF32, {2}, "1234"}}, {}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Safetensors, FullDiskIsAnError) {
  EXPECT_EQ(SaveTensors("/dev/full", {{"a", torch::ones({1 << 16})}}).code(),
            absl::StatusCode::kUnavailable);
}

TEST(Safetensors, MissingFileIsNamed) {
  const auto loaded = LoadTensors("/nonexistent/encoder.safetensors");
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(loaded.status().message()),
              HasSubstr("/nonexistent/encoder.safetensors"));
}

struct Damage {
  std::string bytes;
  std::string fault;
};

TEST(Safetensors, DamageIsOneLineThatNamesTheFault) {
  const std::string good = Entry("w", "F32", "[2,3]", "[0,24]");
  std::string negative_length = FileBytes("{}", 0);
  negative_length[7] = '\xff';
  const std::vector<Damage> damages = {
      {"", "too few for a header"},
      {"1234567", "too few for a header"},
      {negative_length, "above the limit"},
      {FileBytes("{}", 0).substr(0, 9), "above what the file holds"},
      {FileBytes("nonsense", 0), "not a JSON object"},
      {FileBytes("[1,2]", 0), "not a JSON object"},
      {FileBytes("{\"w\":", 0), "not a JSON object"},
      {FileBytes("{\"w\":3}", 0), "tensor w: entry is not an object"},
      {FileBytes("{\"w\":{}}", 0), "tensor w: has no dtype"},
      {FileBytes("{" + Entry("w", "F33", "[1]", "[0,4]") + "}", 4), "tensor w: unknown dtype F33"},
      {FileBytes("{" + Entry("w", "F32", "[-1]", "[0,4]") + "}", 4), "tensor w: shape"},
      {FileBytes("{" + Entry("w", "F32", "[1.5]", "[0,4]") + "}", 4), "tensor w: shape"},
      {FileBytes("{" + Entry("w", "F32", "7", "[0,4]") + "}", 4), "tensor w: has no shape"},
      {FileBytes("{" + Entry("w", "F32", "[1]", "[4,0]") + "}", 4), "tensor w: data_offsets"},
      {FileBytes("{" + Entry("w", "F32", "[1]", "[0]") + "}", 4), "tensor w: data_offsets"},
      {FileBytes("{" + Entry("w", "F32", "[2]", "[0,4]") + "}", 4), "tensor w: shape and dtype"},
      {FileBytes("{" + Entry("w", "F32", "[4294967296,4294967296]", "[0,4]") + "}", 4),
       "tensor w: shape and dtype"},
      {FileBytes("{" + good + "}", 23), "tensor w: ends at byte 24 of the data, which has 23"},
      {FileBytes("{" + good + "}", 25), "1 bytes after the last tensor"},
      {FileBytes("{" + good + "," + good + "}", 24), "w twice"},
      {FileBytes("{" + good + "," + Entry("v", "F32", "[1]", "[20,24]") + "}", 24),
       "tensor v: overlaps"},
      {FileBytes("{" + good + "," + Entry("v", "F32", "[1]", "[28,32]") + "}", 32),
       "tensor v: leaves a gap"},
      {FileBytes("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__ a is not a string"},
      {FileBytes("{\"w\":" + std::string(100000, '['), 0), "nested too deeply"},
      {FileBytes("{\"\\n\\u0007w\":3}", 0), "tensor \\n\\x07w"}};
  for (const Damage& damage : damages) {
    const absl::Status status = Parse(damage.bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << damage.fault;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("some.safetensors: "), HasSubstr(damage.fault)));
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

// No prefix of a file and no flipped byte of its header may do more than fail.
TEST(Safetensors, CutAndFlippedFilesNeverCrash) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "x.safetensors";
  ASSERT_TRUE(SaveTensors(path, {{"a", torch::ones({3})}, {"b", torch::ones({2, 2})}}).ok());
  const std::string bytes = ReadBytes(path);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Parse(bytes.substr(0, size)).ok()) << size;
  }
  for (size_t i = 0; i < bytes.size() - 28; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      Parse(flipped).IgnoreError();
    }
  }
  WriteBytes(path, bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(LoadTensors(path).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace g2ll::checkpoint
