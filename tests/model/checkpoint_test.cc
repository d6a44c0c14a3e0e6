#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "tests/model/temporary_directory.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/model/initialization.h"
#include "worker/model/segmentation_network.h"

namespace g2ll::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::ReadBytes;
using test::TemporaryDirectory;
using test::WriteBytes;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Manifest Fields() {
  return {.job = "derma",
          .job_uid = "0b5a",
          .kind = "PretrainJob",
          .epoch = 3,
          .step = 120,
          .train_epoch = 1.5,
          .config_digest = "abc",
          .files = {}};
}

// Writes a checkpoint `s120` of two files below `parent`.
CheckpointSummary WriteCheckpoint(const fs::path& parent) {
  auto writer = CheckpointWriter::Create(parent, "s120");
  EXPECT_TRUE(writer.ok()) << writer.status();
  EXPECT_TRUE(writer->WriteFile("state.json", "{}").ok());
  EXPECT_TRUE(
      SaveTensors(writer->directory() / "encoder.safetensors", {{"w", torch::ones({8})}}).ok());
  auto summary = writer->Finish(Fields());
  EXPECT_TRUE(summary.ok()) << summary.status();
  return *summary;
}

size_t EntriesOf(const fs::path& directory) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(CheckpointWriter, FinishedDirectoryVerifiesAndKeepsItsFields) {
  const TemporaryDirectory root;
  const fs::path parent = root.path() / "checkpoints" / "uid" / "e3";
  const CheckpointSummary summary = WriteCheckpoint(parent);
  EXPECT_EQ(summary.directory, parent / "s120");
  EXPECT_TRUE(VerifyCheckpoint(summary.directory).ok());
  EXPECT_EQ(summary.manifest_sha256, *Sha256OfFile(summary.directory / "manifest.json"));
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(summary.directory)) bytes += entry.file_size();
  EXPECT_EQ(summary.total_bytes, bytes);

  const auto manifest = ReadManifest(summary.directory);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->job, "derma");
  EXPECT_EQ(manifest->job_uid, "0b5a");
  EXPECT_EQ(manifest->kind, "PretrainJob");
  EXPECT_EQ(manifest->epoch, 3);
  EXPECT_EQ(manifest->step, 120);
  EXPECT_EQ(manifest->train_epoch, 1.5);
  EXPECT_EQ(manifest->config_digest, "abc");
  EXPECT_EQ(manifest->files.at("state.json").size, 2u);
  EXPECT_EQ(manifest->files.at("state.json").sha256,
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  EXPECT_EQ(EntriesOf(parent), 1u);  // nothing temporary stays
}

TEST(CheckpointWriter, UnfinishedCheckpointLeavesNothing) {
  const TemporaryDirectory root;
  {
    auto writer = CheckpointWriter::Create(root.path(), "s1");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->WriteFile("state.json", "{}").ok());
    EXPECT_THAT(writer->directory().filename().string(), testing::StartsWith(".s1.tmp-"));
    EXPECT_FALSE(fs::exists(root.path() / "s1"));
  }
  EXPECT_EQ(EntriesOf(root.path()), 0u);
}

TEST(CheckpointWriter, NeverReplacesAnExistingCheckpoint) {
  const TemporaryDirectory root;
  const CheckpointSummary first = WriteCheckpoint(root.path());
  {
    auto writer = CheckpointWriter::Create(root.path(), "s120");
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ(writer->Finish(Fields()).status().code(), absl::StatusCode::kAlreadyExists);
  }
  EXPECT_TRUE(VerifyCheckpoint(first.directory).ok());
  EXPECT_EQ(EntriesOf(root.path()), 1u);
}

TEST(CheckpointWriter, FinishesOnceAndRefusesPathsAsNames) {
  const TemporaryDirectory root;
  auto writer = CheckpointWriter::Create(root.path(), "s1");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Finish(Fields()).ok());
  EXPECT_EQ(writer->Finish(Fields()).status().code(), absl::StatusCode::kFailedPrecondition);
  for (const char* name : {"", ".", "..", "a/b"}) {
    EXPECT_EQ(CheckpointWriter::Create(root.path(), name).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(CheckpointWriter, CannotWriteBelowAFile) {
  const TemporaryDirectory root;
  WriteBytes(root.path() / "file", "x");
  EXPECT_EQ(CheckpointWriter::Create(root.path() / "file", "s1").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(VerifyCheckpoint, NamesTheFileThatDiffers) {
  const TemporaryDirectory root;
  const fs::path directory = WriteCheckpoint(root.path()).directory;
  const fs::path encoder = directory / "encoder.safetensors";
  const std::string bytes = ReadBytes(encoder);

  std::string flipped = bytes;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  WriteBytes(encoder, flipped);
  absl::Status status = VerifyCheckpoint(directory);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("encoder.safetensors"), HasSubstr("content")));

  WriteBytes(encoder, bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(MessageOf(VerifyCheckpoint(directory)),
              AllOf(HasSubstr("encoder.safetensors"), HasSubstr("the manifest says")));

  fs::remove(encoder);
  EXPECT_THAT(MessageOf(VerifyCheckpoint(directory)),
              AllOf(HasSubstr("encoder.safetensors"), HasSubstr("is missing")));

  WriteBytes(encoder, bytes);
  EXPECT_TRUE(VerifyCheckpoint(directory).ok());
  WriteBytes(directory / "stranger.bin", "x");
  EXPECT_THAT(MessageOf(VerifyCheckpoint(directory)),
              AllOf(HasSubstr("stranger.bin"), HasSubstr("not in the manifest")));
}

TEST(ReadManifest, TellsMissingFromDamaged) {
  const TemporaryDirectory root;
  EXPECT_EQ(ReadManifest(root.path() / "none").status().code(), absl::StatusCode::kNotFound);
  const fs::path directory = WriteCheckpoint(root.path()).directory;
  const fs::path path = directory / "manifest.json";
  const std::string text = ReadBytes(path);
  for (const std::string& damaged :
       {std::string(), text.substr(0, text.size() / 2), std::string("[]"), std::string("{}"),
        std::string("{\"format\": 2}")}) {
    WriteBytes(path, damaged);
    const absl::Status status = ReadManifest(directory).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << damaged;
    EXPECT_THAT(MessageOf(status), HasSubstr("manifest.json"));
  }
}

model::SegmentationNetwork TinyNetwork(uint64_t seed) {
  model::SegmentationNetwork network(model::SegmentationOptions{
      .vit = {.image_size = 16, .patch = 4, .dim = 8, .depth = 1, .heads = 2},
      .channels = {8, 6, 4}});
  model::InitializeSegmentation(network, model::MakeGenerator(seed));
  return network;
}

TEST(ModuleState, RoundTripOfBothHalvesGivesTheSameOutput) {
  const TemporaryDirectory root;
  model::SegmentationNetwork source = TinyNetwork(1);
  const torch::Tensor images = torch::ones({2, 3, 16, 16});
  source->forward(images);  // moves the running statistics
  source->eval();
  ASSERT_TRUE(SaveTensors(root.path() / "e", source->encoder_state()).ok());
  ASSERT_TRUE(SaveTensors(root.path() / "s", source->segmentation_state()).ok());

  model::SegmentationNetwork copy = TinyNetwork(2);
  copy->eval();
  EXPECT_FALSE(torch::equal(copy->forward(images), source->forward(images)));
  ASSERT_TRUE(
      LoadState(StateOf(*copy->encoder()), *LoadTensors(root.path() / "e"), "encoder").ok());
  ASSERT_TRUE(
      LoadState(StateOf(*copy->decoder(), "seg."), *LoadTensors(root.path() / "s"), "decoder")
          .ok());
  EXPECT_TRUE(torch::equal(copy->forward(images), source->forward(images)));
}

TEST(ModuleState, MismatchIsOneLineAndChangesNothing) {
  model::SegmentationNetwork network = TinyNetwork(1);
  TensorMap state;
  for (const auto& [name, tensor] : network->encoder_state())
    state[name] = torch::zeros_like(tensor);
  state.erase("norm.bias");
  state["classifier.weight"] = torch::zeros({8, 8});
  state["cls_token"] = torch::zeros({1, 1, 384});
  const torch::Tensor before = network->encoder()->named_parameters()["norm.weight"].clone();
  const absl::Status status = LoadState(StateOf(*network->encoder()), state, "encoder.safetensors");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status),
              AllOf(HasSubstr("encoder.safetensors: "), HasSubstr("1 missing: norm.bias [8]"),
                    HasSubstr("1 unexpected: classifier.weight [8,8]"),
                    HasSubstr("1 of another shape: cls_token [1,1,384] instead of [1,1,8]"),
                    Not(HasSubstr("\n"))));
  EXPECT_TRUE(torch::equal(before, network->encoder()->named_parameters()["norm.weight"]));
}

TEST(ModuleState, ListsOnlyTheFirstFewOfMany) {
  model::SegmentationNetwork network = TinyNetwork(1);
  const absl::Status status = LoadState(StateOf(*network), {}, "empty");
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("missing: "), HasSubstr(", ...")));
  EXPECT_LT(MessageOf(status).size(), 400u);
}

}  // namespace
}  // namespace g2ll::checkpoint
