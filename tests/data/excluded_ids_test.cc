#include "worker/data/excluded_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/test_files.h"
#include "worker/data/dataset.h"

namespace g2ll::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Three training, two validation and two test pairs in ISIC's layout, and a text file.
class ExcludedIdsTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteIsicPairs(folder_ / "set", "Training", 0, 3);
    test::WriteIsicPairs(folder_ / "set", "Validation", 10, 2);
    test::WriteIsicPairs(folder_ / "set", "Test_v2", 20, 2);
  }

  // Another data set that shares the images 1 and 10 with `set`.
  std::string WriteOther(const std::string& name) const {
    test::WriteIsicPairs(folder_ / name, "Training", 1, 1);
    test::WriteIsicPairs(folder_ / name, "Validation", 10, 1);
    return folder_ / name;
  }

  absl::StatusOr<std::unique_ptr<Dataset>> Open(const std::vector<std::string>& exclude,
                                                Split split = Split::kAll,
                                                bool needs_masks = true) {
    DatasetOptions options;
    options.source = folder_ / "set";
    options.split = split;
    options.needs_masks = needs_masks;
    options.exclude_ids = exclude;
    return Dataset::Open(options);
  }

  std::vector<std::string> Kept(const std::vector<std::string>& exclude,
                                Split split = Split::kAll) {
    const auto set = Open(exclude, split);
    EXPECT_TRUE(set.ok()) << set.status();
    std::vector<std::string> ids;
    for (int64_t i = 0; set.ok() && i < (*set)->size(); ++i) ids.push_back((*set)->id(i).substr(9));
    return ids;
  }

  void ExpectFault(const std::vector<std::string>& exclude, const std::vector<std::string>& words,
                   Split split = Split::kAll) {
    const auto set = Open(exclude, split);
    ASSERT_FALSE(set.ok());
    const std::string message(set.status().message());
    EXPECT_THAT(message, HasSubstr("data.excludeIds"));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    for (const std::string& word : words) EXPECT_THAT(message, HasSubstr(word));
  }

  test::TemporaryFolder folder_;
};

TEST_F(ExcludedIdsTest, HeldLeavesOutTheValidationAndTestSplitsOfTheSource) {
  EXPECT_THAT(Kept({"held"}), ElementsAre("000", "001", "002"));
  EXPECT_THAT(Kept({"none"}), testing::SizeIs(7));
  ExpectFault({"held"}, {"none of the 2 images of the test split"}, Split::kTest);
}

TEST_F(ExcludedIdsTest, AFolderLeavesOutAllItsImagesOrThoseOfASplit) {
  const std::string other = WriteOther("other");
  EXPECT_THAT(Kept({other}), ElementsAre("000", "002", "011", "020", "021"));
  EXPECT_THAT(Kept({other + "#validation"}), ElementsAre("000", "001", "002", "011", "020", "021"));
  ExpectFault({other + "#test"}, {other, "no images of the test split"});
  ExpectFault({other + "#half"}, {"#half", "must be train, validation, test or all"});
}

TEST_F(ExcludedIdsTest, OnlyASplitBehindTheLastSignOfNumberIsNoPartOfAName) {
  const std::string other = WriteOther("other#2");
  EXPECT_THAT(Kept({other}), ElementsAre("000", "002", "011", "020", "021"));
  EXPECT_THAT(Kept({other + "#train"}), ElementsAre("000", "002", "010", "011", "020", "021"));
  ExpectFault({other + "#tests"}, {"other#2#tests", "no such file or folder", "or all"});
  const std::string list = folder_ / "ids#1.txt";
  test::WriteBytes(list, "ISIC_0000001\n");
  EXPECT_THAT(Kept({list}, Split::kTrain), ElementsAre("000", "002"));
}

TEST_F(ExcludedIdsTest, ATextFileLeavesOutItsLinesAndEntriesAdd) {
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001\r\n\n  ISIC_0000020\nISIC_9999999\n");
  EXPECT_THAT(Kept({list}), ElementsAre("000", "002", "010", "011", "021"));
  EXPECT_THAT(Kept({list, "held"}), ElementsAre("000", "002"));
}

TEST_F(ExcludedIdsTest, AListMayBeginWithAByteOrderMarkAndHoldNothing) {
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "\xEF\xBB\xBFISIC_0000001\n");
  EXPECT_THAT(Kept({list}, Split::kTrain), ElementsAre("000", "002"));
  for (const char* nothing : {"", "\n", "\xEF\xBB\xBF\r\n"}) {
    test::WriteBytes(list, nothing);
    EXPECT_THAT(Kept({list}), testing::SizeIs(7));
  }
}

// ISIC-2019 calls 2,025 images of ISIC-2017 so.
TEST_F(ExcludedIdsTest, ReducedCopiesAreTheSamePhotographAndCaseCounts) {
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001_downsampled\nisic_0000002\n");
  EXPECT_THAT(Kept({list}, Split::kTrain), ElementsAre("000", "002"));
}

TEST_F(ExcludedIdsTest, NamesWhatIsMissingAndWhatIsNoId) {
  ExpectFault({folder_ / "nowhere.txt"}, {"nowhere.txt: no such file or folder"});
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001\nimage,MEL\n");
  ExpectFault({list}, {"ids.txt: line 2: is no id"});
  test::WriteBytes(list, "ISIC_0000001\nISIC_0000002;nevus\n");
  ExpectFault({list}, {"ids.txt: line 2: is no id"});
  test::WriteBytes(list, "\"ISIC_0000001\"\n");
  ExpectFault({list}, {"ids.txt: line 1: is no id"});
  test::WriteBytes(list, "set/ISIC_0000001.jpg\n");
  ExpectFault({list}, {"ids.txt: line 1: is no id"});
  test::WriteBytes(list, std::string(256, 'x') + "\n");
  ExpectFault({list}, {"ids.txt: line 1: is no id"});
  ExpectFault({list + "#train"}, {"a text file has no splits"});
  ExpectFault({"relative"}, {"'relative'"});
}

TEST_F(ExcludedIdsTest, AListLargerThanAnyListOfIdsIsNotRead) {
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001\n");
  std::filesystem::resize_file(list, (64 << 20) + 1);
  ExpectFault({list}, {"ids.txt: is larger than 64 MiB"});
}

TEST_F(ExcludedIdsTest, AnExclusionThatLeavesNoImageIsAnError) {
  ExpectFault({folder_ / "set"}, {"leaves none of the 3 images of the train split", "set"},
              Split::kTrain);
}

TEST_F(ExcludedIdsTest, TheRestIsWhatSubsetsAndDigestsAreMadeOf) {
  DatasetOptions options;
  options.source = folder_ / "set";
  options.split = Split::kTrain;
  options.needs_masks = true;
  const std::string digest = (*Dataset::Open(options))->digest();
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001\n");
  options.exclude_ids = {list};
  EXPECT_NE((*Dataset::Open(options))->digest(), digest);
  options.max_images = 2;
  EXPECT_EQ((*Dataset::Open(options))->size(), 2);
}

TEST_F(ExcludedIdsTest, AFaultyImageThatIsLeftOutIsNoFault) {
  std::filesystem::remove(folder_ /
                          "set/ISIC-2017_Training_Part1_GroundTruth/ISIC_0000001_segmentation.png");
  EXPECT_FALSE(Open({}).ok());
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "ISIC_0000001\n");
  EXPECT_THAT(Kept({list}, Split::kTrain), ElementsAre("000", "002"));
}

// Unlabelled images are preferred before ids are excluded: what an exclusion empties
// does not silently become another set.
TEST_F(ExcludedIdsTest, ExcludingAllUnlabelledImagesDoesNotTurnToLabelledOnes) {
  test::WriteJpeg(folder_ / "set/more/U1.jpg", test::VariedImage(16, 1));
  ASSERT_EQ((*Open({}, Split::kTrain, false))->size(), 1);
  const std::string list = folder_ / "ids.txt";
  test::WriteBytes(list, "U1\n");
  const auto set = Open({list}, Split::kTrain, false);
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(std::string(set.status().message()), HasSubstr("leaves none of the 1 images"));
}

TEST(SyntheticExclusionTest, GeneratedImagesAreLeftOutById) {
  test::TemporaryFolder folder;
  test::WriteBytes(folder / "ids.txt", "synthetic_train_0000001\n");
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=9";
  options.exclude_ids = {folder / "ids.txt", "held"};
  const auto set = Dataset::Open(options);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->size(), 8);
  options.split = Split::kAll;
  EXPECT_EQ((*Dataset::Open(options))->size(), 8);
}

}  // namespace
}  // namespace g2ll::data
