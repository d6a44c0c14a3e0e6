#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "tests/data/dermoscopy_folder.h"
#include "tests/data/test_files.h"
#include "worker/data/folder_scan.h"
#include "worker/data/image_codec.h"
#include "worker/data/sampler.h"

namespace g2ll::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using SetOrError = absl::StatusOr<std::unique_ptr<Dataset>>;

SetOrError Open(const std::string& source, Split split, bool needs_masks = true) {
  DatasetOptions options;
  options.source = source;
  options.split = split;
  options.needs_masks = needs_masks;
  return Dataset::Open(options);
}

std::vector<std::string> Ids(const SetOrError& set) {
  std::vector<std::string> ids;
  EXPECT_TRUE(set.ok()) << set.status();
  for (int64_t i = 0; set.ok() && i < (*set)->size(); ++i) ids.push_back((*set)->id(i));
  return ids;
}

void ExpectFault(const SetOrError& set, absl::StatusCode code,
                 const std::vector<std::string>& words) {
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.status().code(), code) << set.status();
  const std::string message(set.status().message());
  EXPECT_EQ(message.find('\n'), std::string::npos);
  for (const std::string& word : words) EXPECT_THAT(message, HasSubstr(word));
}

TEST(SyntheticDatasetTest, SplitsHaveTheirSizesAndShareNoPicture) {
  const std::string source = "synthetic:dermoscopy?count=10&seed=4&size=32";
  std::set<std::vector<uint8_t>> pictures;
  std::set<std::string> ids;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto set = Open(source, split);
    ASSERT_TRUE(set.ok());
    EXPECT_EQ((*set)->size(), split == Split::kTrain ? 10 : 8);
    for (int64_t i = 0; i < (*set)->size(); ++i) {
      pictures.insert((*set)->LoadImage(i)->pixels);
      ids.insert((*set)->id(i));
    }
  }
  EXPECT_EQ(pictures.size(), 26U);
  EXPECT_EQ(ids.size(), 26U);
  EXPECT_EQ((*Open(source, Split::kAll))->size(), 26);
  EXPECT_EQ((*Open("synthetic:dermoscopy?count=100", Split::kTest))->size(), 25);
}

TEST(SyntheticDatasetTest, LesionsAreVisibleAndOfTheStatedSizes) {
  const auto set = Open("synthetic:dermoscopy?count=40&seed=2&size=128", Split::kTrain);
  ASSERT_TRUE(set.ok());
  int darker = 0;
  for (int64_t i = 0; i < (*set)->size(); ++i) {
    const Image image = *(*set)->LoadImage(i);
    const LesionMask mask = *(*set)->LoadMask(i);
    double inside = 0, outside = 0;
    int64_t lesion = 0;
    for (size_t pixel = 0; pixel < mask.pixels.size(); ++pixel) {
      ASSERT_TRUE(mask.pixels[pixel] == 0 || mask.pixels[pixel] == 255);
      (mask.pixels[pixel] != 0 ? inside : outside) += image.pixels[3 * pixel + 1];
      lesion += mask.pixels[pixel] != 0 ? 1 : 0;
    }
    const double share = static_cast<double>(lesion) / static_cast<double>(mask.pixels.size());
    EXPECT_GT(share, 0.01) << i;
    EXPECT_LT(share, 0.7) << i;
    const auto skin = static_cast<double>(mask.pixels.size()) - static_cast<double>(lesion);
    darker += inside / static_cast<double>(lesion) < outside / skin ? 1 : 0;
  }
  EXPECT_GE(darker, 34);
}

TEST(SyntheticDatasetTest, TheDigestNamesTheSettings) {
  const std::string digest =
      (*Open("synthetic:dermoscopy?count=9&seed=1", Split::kTrain))->digest();
  EXPECT_EQ(digest.size(), 64U);
  EXPECT_EQ(digest, (*Open("synthetic:dermoscopy?seed=1&count=9", Split::kTrain))->digest());
  EXPECT_NE(digest, (*Open("synthetic:dermoscopy?count=9&seed=2", Split::kTrain))->digest());
  EXPECT_NE(digest, (*Open("synthetic:dermoscopy?count=9&seed=1", Split::kTest))->digest());
}

TEST(SyntheticDatasetTest, RefusesASourceItDoesNotUnderstand) {
  for (const char* source :
       {"synthetic:cats", "synthetic:dermoscopy?count=0", "synthetic:dermoscopy?count=ten",
        "synthetic:dermoscopy?colour=red", "synthetic:dermoscopy?count", "relative/folder", ""}) {
    ExpectFault(Open(source, Split::kTrain), absl::StatusCode::kInvalidArgument, {"data.source"});
  }
}

class FolderDatasetTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(FolderDatasetTest, ReadsIsicFoldersAsDownloaded) {
  test::WriteIsicPairs(folder_.path(), "Training", 0, 3);
  test::WriteIsicPairs(folder_.path(), "Validation", 10, 2);
  // Unpacked twice: a folder of the same name inside.
  test::WriteIsicPairs(folder_ / "ISIC-2017_Test_v2/ISIC-2017_Test_v2", "Test_v2", 20, 2);
  const std::string train = folder_ / "ISIC-2017_Training_Data/";
  test::WriteBytes(train + "ISIC_0000000_superpixels.png", "not a picture");
  test::WriteBytes(train + "._ISIC_0000000.jpg", "resource fork");
  test::WriteBytes(train + "ISIC-2017_Training_Data_metadata.csv", "a,b\n");
  test::WriteBytes(folder_ / "__MACOSX/ISIC-2017_Training_Data/ISIC_0000077.jpg", "x");

  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTrain)),
              ElementsAre("ISIC_0000000", "ISIC_0000001", "ISIC_0000002"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kValidation)),
              ElementsAre("ISIC_0000010", "ISIC_0000011"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTest)), ElementsAre("ISIC_0000020", "ISIC_0000021"));
  EXPECT_EQ(Ids(Open(folder_.path(), Split::kAll)).size(), 7U);
  const auto set = Open(folder_.path(), Split::kTrain);
  EXPECT_EQ((*set)->LoadMask(1)->pixels[0], 255);
  EXPECT_EQ((*set)->LoadImage(1)->height, 32);
  EXPECT_TRUE((*set)->CheckFiles(2).ok());
}

TEST_F(FolderDatasetTest, MatchesMasksInAnyCaseAndOtherYearsByTheirOwnFolders) {
  test::WriteJpeg(folder_ / "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.jpg",
                  test::VariedImage(16, 1));
  test::WriteMaskPng(
      folder_ / "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000001_Segmentation.png",
      test::PlainMask(16, 16, 255));
  // The release of 2019 has no masks, and must not borrow that of 2016.
  for (int i : {1, 2}) {
    test::WriteJpeg(folder_ / ("ISIC_2019_Training_Input/ISIC_000000" + std::to_string(i) + ".jpg"),
                    test::VariedImage(16, 5 + i));
  }

  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTrain, true)), ElementsAre("ISIC_0000001"));
  const auto unlabelled = Open(folder_.path(), Split::kTrain, false);
  EXPECT_THAT(Ids(unlabelled), ElementsAre("ISIC_0000001", "ISIC_0000002"));
  EXPECT_THAT((*unlabelled)->path(0), HasSubstr("ISIC_2019"));
}

TEST_F(FolderDatasetTest, SplitsLabelledPairsWithoutSplitFoldersByTheirIds) {
  for (int i = 0; i < 60; ++i) {
    const std::string id = "case" + std::to_string(i);
    test::WriteJpeg(folder_ / ("images/" + id + ".jpg"), test::VariedImage(16, i));
    test::WriteMaskPng(folder_ / ("masks/" + id + ".png"), test::PlainMask(16, 16, 255));
  }
  std::set<std::string> all;
  size_t total = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const std::vector<std::string> ids = Ids(Open(folder_.path(), split));
    EXPECT_GE(ids.size(), 1U);
    total += ids.size();
    all.insert(ids.begin(), ids.end());
  }
  EXPECT_EQ(total, 60U);
  EXPECT_EQ(all.size(), 60U);
  EXPECT_GE(Ids(Open(folder_.path(), Split::kTrain)).size(), 40U);
  // Masks may be ignored; the split stays the same, so test images stay unseen.
  EXPECT_EQ(Ids(Open(folder_.path(), Split::kTrain, false)),
            Ids(Open(folder_.path(), Split::kTrain, true)));
}

TEST_F(FolderDatasetTest, AFlatFolderOfImagesIsUnlabelledTrainingData) {
  for (int i = 0; i < 4; ++i) {
    test::WriteJpeg(folder_ / ("p" + std::to_string(i) + ".JPG"), test::VariedImage(16, i));
  }
  EXPECT_EQ(Ids(Open(folder_.path(), Split::kTrain, false)).size(), 4U);
  ExpectFault(Open(folder_.path(), Split::kTrain, true), absl::StatusCode::kFailedPrecondition,
              {folder_.path(), "no images with masks"});
}

TEST_F(FolderDatasetTest, ReadsTheLayoutWithAManifest) {
  for (const char* id : {"A1", "A2", "A3", "U1", "U2"}) {
    const bool is_labelled = id[0] == 'A';
    const std::string part = is_labelled ? "labelled" : "unlabelled";
    test::WriteJpeg(folder_ / (part + "/images/" + id + ".jpg"), test::VariedImage(16, id[1]));
    if (is_labelled) {
      test::WriteMaskPng(folder_ / ("labelled/masks/" + std::string(id) + "_segmentation.png"),
                         test::PlainMask(16, 16, 255));
    }
  }
  test::WriteBytes(folder_ / "manifest.csv",
                   "\xEF\xBB\xBFnote,id,image,mask,official_split\r\n"
                   "\"a, b\",A1,labelled/images/A1.jpg,labelled/masks/A1_segmentation.png,"
                   "isic2017_train\r\n"
                   ",A2,labelled/images/A2.jpg,labelled/masks/A2_segmentation.png,isic2017_val\r\n"
                   ",A3,labelled/images/A3.jpg,labelled/masks/A3_segmentation.png,none\r\n"
                   ",U1,unlabelled/images/U1.jpg,unlabelled/x.tar:U1.png,isic2019_train\r\n"
                   ",U2,unlabelled/images/U2.jpg,,isic2020_train\r\n"
                   ",U3,unlabelled/x.tar:U3.jpg,,isic2019_train\r\n");

  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTrain, true)), ElementsAre("A1"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kValidation, true)), ElementsAre("A2"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kAll, true)), ElementsAre("A1", "A2", "A3"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTrain, false)), ElementsAre("U1", "U2"));
  ExpectFault(Open(folder_.path(), Split::kTest, true), absl::StatusCode::kFailedPrecondition,
              {"test split"});
}

TEST_F(FolderDatasetTest, ReadsTheSplitsOfAManifestInAnyCaseAndShort) {
  std::string rows = "id,image,mask,official_split\n";
  for (const char* split : {"Train", "TRAINING", "val", "Validation", "Test", "ISIC2017_Test"}) {
    const std::string id = split;
    test::WriteJpeg(folder_ / (id + ".jpg"), test::VariedImage(16, 1));
    rows += id + "," + id + ".jpg,m.png," + split + "\n";
  }
  test::WriteMaskPng(folder_ / "m.png", test::PlainMask(16, 16, 255));
  test::WriteBytes(folder_ / "manifest.csv", rows);

  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTrain)), ElementsAre("TRAINING", "Train"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kValidation)), ElementsAre("Validation", "val"));
  EXPECT_THAT(Ids(Open(folder_.path(), Split::kTest)), ElementsAre("ISIC2017_Test", "Test"));
}

// Else images of a test set could be shared out over all splits, unseen.
TEST_F(FolderDatasetTest, RefusesASplitOfAManifestThatItDoesNotKnow) {
  for (const char* split : {"holdout", "isic2018_test", "all"}) {
    test::WriteBytes(
        folder_ / "manifest.csv",
        "id,image,mask,official_split\nA,a.jpg,,none\nB,b.jpg,," + std::string(split) + "\n");
    ExpectFault(Open(folder_.path(), Split::kTrain, false), absl::StatusCode::kFailedPrecondition,
                {"manifest.csv: line 3: official_split is '" + std::string(split) + "'",
                 "give train, validation, test, none or nothing"});
  }
}

TEST_F(FolderDatasetTest, OnlyWholeWordsOfAFolderNameAreASplit) {
  const std::pair<const char*, std::optional<Split>> names[] = {
      {"latest", std::nullopt},
      {"contest", std::nullopt},
      {"invalid", std::nullopt},
      {"constraint", std::nullopt},
      {"d\xc3\xa9test", std::nullopt},
      {"ISIC-2017_Test_v2_Data", Split::kTest},
      {"ISBI2016_ISIC_Part1_Test_Data", Split::kTest},
      {"ISIC2018_Task1-2_Validation_Input", Split::kValidation},
      {"ISIC_2019_Training_Input", Split::kTrain},
      {"TestImages", Split::kTest},
      {"latestValImages", Split::kValidation},
      {"train2017", Split::kTrain},
      {"testset", Split::kTest},
      {"VAL", Split::kValidation},
  };
  for (const auto& [name, split] : names) {
    const test::TemporaryFolder folder;
    test::WriteJpeg(folder / (std::string(name) + "/a.jpg"), test::VariedImage(16, 1));
    const auto contents = ScanFolder(folder.path());
    ASSERT_TRUE(contents.ok()) << contents.status();
    EXPECT_EQ(contents->images.at(0).split, split) << name;
  }
}

TEST_F(FolderDatasetTest, RefusesAManifestThatLeavesTheFolderOrIsBroken) {
  const std::string header = "id,image,mask,official_split\n";
  test::WriteBytes(folder_ / "manifest.csv", header + "A,../secret.jpg,,none\n");
  ExpectFault(Open(folder_.path(), Split::kAll, false), absl::StatusCode::kFailedPrecondition,
              {"manifest.csv", "line 2"});
  test::WriteBytes(folder_ / "manifest.csv", header + "A,b.jpg\n");
  ExpectFault(Open(folder_.path(), Split::kAll, false), absl::StatusCode::kFailedPrecondition,
              {"line 2", "2 fields"});
  test::WriteBytes(folder_ / "manifest.csv", header + "A,\"b.jpg,,none\n");
  ExpectFault(Open(folder_.path(), Split::kAll, false), absl::StatusCode::kFailedPrecondition,
              {"manifest.csv: line 2: has a quote that is never closed"});
  test::WriteBytes(folder_ / "manifest.csv", "id,image\n");
  ExpectFault(Open(folder_.path(), Split::kAll, false), absl::StatusCode::kFailedPrecondition,
              {"no column 'mask'"});
}

TEST_F(FolderDatasetTest, NamesAMissingOrEmptyFolder) {
  ExpectFault(Open(folder_ / "nowhere", Split::kTrain), absl::StatusCode::kNotFound,
              {folder_ / "nowhere", "data.source"});
  ExpectFault(Open(folder_.path(), Split::kTrain), absl::StatusCode::kFailedPrecondition,
              {folder_.path(), "no JPEG or PNG"});
  test::WriteBytes(folder_ / "file.jpg", "x");
  ExpectFault(Open(folder_ / "file.jpg", Split::kTrain), absl::StatusCode::kFailedPrecondition,
              {"is not a folder"});
}

TEST_F(FolderDatasetTest, NamesAnImageWithoutMaskOnlyWhereMasksAreNeeded) {
  test::WriteIsicPairs(folder_.path(), "Training", 0, 3);
  std::filesystem::remove(folder_ /
                          "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000001_segmentation.png");
  ExpectFault(Open(folder_.path(), Split::kTrain, true), absl::StatusCode::kFailedPrecondition,
              {"ISIC_0000001.jpg", "has no mask"});
  EXPECT_EQ(Ids(Open(folder_.path(), Split::kTrain, false)).size(), 3U);
}

TEST_F(FolderDatasetTest, NamesAMaskWithoutImage) {
  test::WriteIsicPairs(folder_.path(), "Training", 0, 3);
  std::filesystem::remove(folder_ / "ISIC-2017_Training_Data/ISIC_0000001.jpg");
  ExpectFault(Open(folder_.path(), Split::kTrain, true), absl::StatusCode::kFailedPrecondition,
              {"ISIC_0000001_segmentation.png", "mask without an image"});
}

TEST_F(FolderDatasetTest, NamesAnIdThatOccursTwice) {
  test::WriteJpeg(folder_ / "a/one.jpg", test::VariedImage(16, 1));
  test::WriteJpeg(folder_ / "b/one.jpg", test::VariedImage(16, 2));
  ExpectFault(Open(folder_.path(), Split::kTrain, false), absl::StatusCode::kFailedPrecondition,
              {"a/one.jpg", "b/one.jpg"});
}

TEST_F(FolderDatasetTest, NamesAMaskOfAnotherSizeWhenItIsRead) {
  test::WriteIsicPairs(folder_.path(), "Training", 0, 1);
  const std::string mask =
      folder_ / "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png";
  test::WriteMaskPng(mask, test::PlainMask(16, 32, 255));
  const auto set = Open(folder_.path(), Split::kTrain);
  ASSERT_TRUE(set.ok());
  for (const absl::Status& status : {(*set)->LoadMask(0).status(), (*set)->CheckFiles(0)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(mask + ": is 32x16"));
  }
}

TEST_F(FolderDatasetTest, TheDigestChangesWithNamesAndSizesAndNotWithThePlace) {
  test::WriteIsicPairs(folder_ / "x", "Training", 0, 3);
  test::WriteIsicPairs(folder_ / "y", "Training", 0, 3);
  const std::string digest = (*Open(folder_ / "x", Split::kTrain))->digest();
  EXPECT_EQ((*Open(folder_ / "y", Split::kTrain))->digest(), digest);
  test::WriteJpeg(folder_ / "y/ISIC-2017_Training_Data/ISIC_0000000.jpg",
                  test::PlainImage(32, 32, 1, 2, 3));
  EXPECT_NE((*Open(folder_ / "y", Split::kTrain))->digest(), digest);
}

// Method section 7, "subsets".
TEST(SubsetTest, SmallerSubsetsLieWithinLargerOnesAndFollowTheSeed) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=2000";
  const auto ids_at = [&](double fraction, int64_t limit, int64_t seed) {
    options.fraction = fraction;
    options.max_images = limit;
    options.subset_seed = seed;
    return Ids(Dataset::Open(options));
  };
  std::vector<std::string> smaller = ids_at(0.01, 0, 0);
  EXPECT_EQ(smaller.size(), 20U);
  for (const double fraction : {0.1, 0.5, 1.0}) {
    const std::vector<std::string> larger = ids_at(fraction, 0, 0);
    EXPECT_EQ(larger.size(), static_cast<size_t>(std::lround(2000 * fraction)));
    EXPECT_TRUE(std::includes(larger.begin(), larger.end(), smaller.begin(), smaller.end()));
    smaller = larger;
  }
  EXPECT_EQ(ids_at(0.01, 0, 0), ids_at(1.0, 20, 0));
  EXPECT_NE(ids_at(0.01, 0, 0), ids_at(0.01, 0, 1));
}

TEST(SubsetTest, AFractionThatLeavesNoImageIsAnError) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=2000";
  options.fraction = 0.0002;
  ExpectFault(Dataset::Open(options), absl::StatusCode::kInvalidArgument,
              {"data.fraction 0.0002 leaves none of the 2000 images of the train split", "0.0005"});
  options.fraction = 0.0004;
  EXPECT_EQ(Ids(Dataset::Open(options)).size(), 1U);
}

// Method section 7, "subsets": steps at batch 16 with drop_last.
TEST(SubsetTest, AHundredEpochsOfTheLabelFractionsHaveTheStatedSteps) {
  const std::pair<int64_t, int64_t> expected[] = {
      {20, 100}, {200, 1200}, {1000, 6200}, {2000, 12500}};
  for (const auto& [images, steps] : expected) {
    const ShardSampler sampler({.num_images = images, .global_batch = 16});
    EXPECT_EQ(100 * sampler.steps_per_epoch(), steps);
  }
}

TEST(SubsetTest, RefusesAFractionOutOfRange) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy";
  for (const double bad : {0.0, -1.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    options.fraction = bad;
    ExpectFault(Dataset::Open(options), absl::StatusCode::kInvalidArgument, {"data.fraction"});
  }
}

TEST(ShardSamplerTest, TheUnionOverRanksIsTheGlobalBatchForAnyWorldSize) {
  for (const int world : {1, 2, 3, 4}) {
    for (int64_t step = 0; step < 9; ++step) {
      std::vector<int64_t> together;
      for (int rank = 0; rank < world; ++rank) {
        const ShardSampler sampler({103, 12, 5, rank, world});
        const std::vector<int64_t> share = sampler.Indices(step);
        EXPECT_EQ(share.size(), 12U / static_cast<size_t>(world));
        together.insert(together.end(), share.begin(), share.end());
      }
      EXPECT_EQ(together, ShardSampler({103, 12, 5, 0, 1}).GlobalIndices(step));
    }
  }
}

TEST(ShardSamplerTest, AnEpochShowsEveryImageAtMostOnceInANewOrder) {
  const ShardSampler sampler({100, 12, 7, 0, 1});
  EXPECT_EQ(sampler.steps_per_epoch(), 8);
  std::vector<int64_t> first, second;
  for (int64_t step = 0; step < 8; ++step) {
    for (const int64_t index : sampler.Indices(step)) first.push_back(index);
    for (const int64_t index : sampler.Indices(step + 8)) second.push_back(index);
  }
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 96U);
  EXPECT_NE(first, second);
  EXPECT_EQ(sampler.epoch(7), 0);
  EXPECT_EQ(sampler.epoch(8), 1);
}

TEST(OrderedShareTest, DealsEveryImageToOneRankInBatches) {
  using Batches = std::vector<std::vector<int64_t>>;
  EXPECT_EQ(OrderedShare(7, 0, 2, 3), (Batches{{0, 2, 4}, {6}}));
  EXPECT_EQ(OrderedShare(7, 1, 2, 3), (Batches{{1, 3, 5}}));
  EXPECT_EQ(OrderedShare(2, 3, 4, 3), Batches{});
}

TEST(ShardSamplerTest, ASetSmallerThanABatchIsOneStepAnEpoch) {
  const ShardSampler sampler({5, 16, 0, 0, 1});
  EXPECT_EQ(sampler.steps_per_epoch(), 1);
  EXPECT_EQ(sampler.Indices(3).size(), 5U);
}

TEST(DermoscopyFolderTest, HoldsItsOfficialSplitsAndUnlabelledImages) {
  const std::string folder = test::DermoscopyFolder();
  if (!std::filesystem::exists(folder + "/manifest.csv")) {
    GTEST_SKIP() << folder << " is not here; set G2LL_DERMOSCOPY_DIR";
  }
  EXPECT_EQ((*Open(folder, Split::kTrain))->size(), 2000);
  EXPECT_EQ((*Open(folder, Split::kValidation))->size(), 150);
  const auto test = Open(folder, Split::kTest);
  ASSERT_EQ((*test)->size(), 100);
  const auto unlabelled = Open(folder, Split::kTrain, false);
  ASSERT_EQ((*unlabelled)->size(), 6784);
  EXPECT_TRUE((*unlabelled)->LoadImage(0).ok());
  for (int64_t i = 0; i < 100; i += 20) {
    EXPECT_TRUE((*test)->LoadMask(i).ok());
    EXPECT_EQ((*test)->LoadImage(i)->width, (*test)->LoadMask(i)->width);
  }
}

}  // namespace
}  // namespace g2ll::data
