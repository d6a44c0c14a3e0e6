#include "worker/tool/data_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/dataset.h"
#include "worker/data/image_codec.h"
#include "worker/data/resize.h"
#include "worker/tool/data_generate.h"
#include "worker/tool/folder_overlap.h"
#include "worker/tool/near_duplicates.h"

namespace g2ll::tool {
namespace {

using data::test::TemporaryFolder;
using ::testing::HasSubstr;

CheckOptions CheckOf(std::vector<std::string> folders) {
  CheckOptions options;
  options.folders = std::move(folders);
  return options;
}

// `all` holds a copy of some of `isic`'s pictures, each changed in another way.
class LeakReportTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Generate("isic", 1));
    ASSERT_TRUE(Generate("other", 2));
    std::filesystem::create_directories(folder_ / "all");
    for (const auto& entry : std::filesystem::directory_iterator(Images("other", "Training"))) {
      std::filesystem::copy(entry.path(), folder_ / "all/skin_" + entry.path().filename().string());
    }
  }

  bool Generate(const std::string& name, int64_t seed) {
    std::ostringstream ignored;
    return GenerateData({.folder = folder_ / name, .count = 8, .seed = seed, .size = 96}, ignored)
        .ok();
  }

  std::string Images(const std::string& set, const std::string& split) const {
    return folder_ / (set + "/ISIC-2017_" + split + "_Data");
  }
  std::string TestImage(int number) const {
    return Images("isic", "Test_v2") + "/synthetic_test_000000" + std::to_string(number) + ".jpg";
  }

  // Another id, size and compression; the same picture.
  void PlantLookAlike(const std::string& of, const std::string& name) const {
    const data::Image image = *data::ReadImage(of);
    data::test::WriteBytes(folder_ / ("all/" + name),
                           *data::EncodeJpeg(data::ResizeImage(image, 70, 90), 75));
  }

  // What a job that trains on `all` without the images of `leak.txt` sees.
  absl::StatusOr<std::unique_ptr<data::Dataset>> OpenWithoutLeak() const {
    data::DatasetOptions training;
    training.source = folder_ / "all";
    training.split = data::Split::kAll;
    training.exclude_ids = {folder_ / "leak.txt"};
    return data::Dataset::Open(training);
  }

  struct Outcome {
    int64_t findings = -1;
    std::string text;
    nlohmann::json json;
  };
  Outcome Check(CheckOptions options) const {
    Outcome outcome;
    std::ostringstream text;
    outcome.findings = *CheckData(options, text);
    outcome.text = text.str();
    options.output = "json";
    std::ostringstream json;
    EXPECT_EQ(*CheckData(options, json), outcome.findings);
    outcome.json = nlohmann::json::parse(json.str());
    return outcome;
  }

  TemporaryFolder folder_;
};

TEST_F(LeakReportTest, SetsWithoutACommonImageAreClean) {
  const Outcome outcome = Check(CheckOf({folder_ / "all", folder_ / "isic"}));
  EXPECT_EQ(outcome.findings, 0) << outcome.text;
  EXPECT_EQ(outcome.json["ok"], true);
  EXPECT_THAT(outcome.text, HasSubstr("0 of the 24 images of " + folder_ / "isic" + " are in "));
}

TEST_F(LeakReportTest, FindsImagesByNameByBytesAndByLooksAndCountsThemBySplit) {
  std::filesystem::copy(TestImage(1), folder_ / "all/synthetic_test_0000001_downsampled.jpg");
  std::filesystem::copy(TestImage(2), folder_ / "all/renamed.jpg");
  PlantLookAlike(TestImage(3), "photograph.jpg");
  PlantLookAlike(Images("isic", "Training") + "/synthetic_train_0000004.jpg", "again.jpg");

  const Outcome outcome = Check(CheckOf({folder_ / "all", folder_ / "isic"}));

  EXPECT_EQ(outcome.findings, 4) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr(TestImage(1) + ": has the same name as " +
                                      folder_ / "all/synthetic_test_0000001_downsampled.jpg"));
  EXPECT_THAT(outcome.text,
              HasSubstr(TestImage(2) + ": has the same bytes as " +
                        folder_ / "all/renamed.jpg (hash distance 0, correlation 1.000)"));
  EXPECT_THAT(outcome.text, HasSubstr(TestImage(3) + ": looks like " +
                                      folder_ / "all/photograph.jpg (hash distance "));
  EXPECT_THAT(outcome.text, HasSubstr("4 of the 24 images"));
  EXPECT_THAT(outcome.text, HasSubstr("test 3 of 8, train 1 of 8, validation 0 of 8"));
  const auto& overlap = outcome.json["overlap"];
  EXPECT_EQ(overlap["bySplit"]["test"]["shared"], 3);
  EXPECT_EQ(overlap["bySplit"]["validation"]["images"], 8);
  ASSERT_EQ(overlap["pairs"].size(), 4U);
  std::multiset<std::string> reasons;
  for (const auto& pair : overlap["pairs"]) reasons.insert(pair["by"].get<std::string>());
  EXPECT_EQ(reasons, (std::multiset<std::string>{"id", "content", "looks", "looks"}));
}

TEST_F(LeakReportTest, ASplitCanBeComparedAlone) {
  PlantLookAlike(TestImage(3), "photograph.jpg");
  PlantLookAlike(Images("isic", "Training") + "/synthetic_train_0000004.jpg", "again.jpg");
  const Outcome outcome = Check(CheckOf({folder_ / "all", folder_ / "isic#test"}));
  EXPECT_EQ(outcome.findings, 1);
  EXPECT_THAT(outcome.text, HasSubstr("1 of the 8 images"));

  std::ostringstream ignored;
  EXPECT_EQ(CheckData(CheckOf({folder_ / "isic#half"}), ignored).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckData(CheckOf({folder_ / "all#test"}), ignored).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LeakReportTest, OnlyASplitBehindTheLastSignOfNumberIsNoPartOfAName) {
  std::filesystem::rename(folder_ / "isic", folder_ / "isic#1");
  EXPECT_THAT(Check(CheckOf({folder_ / "isic#1"})).text, HasSubstr("isic#1: 24 images, "));
  EXPECT_THAT(Check(CheckOf({folder_ / "isic#1#test"})).text, HasSubstr("#test: 8 images, "));
  EXPECT_THAT(Check(CheckOf({folder_ / "isic#1#all"})).text, HasSubstr("#all: 24 images, "));
}

TEST_F(LeakReportTest, TheWrittenListMakesTheFirstSetDisjoint) {
  std::filesystem::copy(TestImage(2), folder_ / "all/renamed.jpg");
  PlantLookAlike(TestImage(3), "photograph.jpg");
  CheckOptions options = CheckOf({folder_ / "all", folder_ / "isic"});
  options.overlap_file = folder_ / "leak.txt";
  EXPECT_EQ(Check(options).findings, 2);
  EXPECT_EQ(data::test::ReadBytes(folder_ / "leak.txt"), "photograph\nrenamed\n");

  const auto set = OpenWithoutLeak();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->size(), 8);
  for (int64_t i = 0; i < (*set)->size(); ++i) EXPECT_NE((*set)->id(i), "renamed");
}

// What a file system allows in a name.
TEST_F(LeakReportTest, TheWrittenListIsReadAgainWhateverTheImagesAreCalled) {
  std::filesystem::copy(TestImage(2), folder_ / "all/photo (1).jpg");
  std::filesystem::copy(TestImage(3), folder_ / "all/left arm, 2; \xc3\xa9.jpg");
  CheckOptions options = CheckOf({folder_ / "all", folder_ / "isic"});
  options.overlap_file = folder_ / "leak.txt";
  EXPECT_EQ(Check(options).findings, 2);

  const auto set = OpenWithoutLeak();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->size(), 8);
}

TEST_F(LeakReportTest, AnImageThatNoListCanNameIsAnError) {
  std::filesystem::copy(TestImage(2), folder_ / "all/two\nlines.jpg");
  CheckOptions options = CheckOf({folder_ / "all", folder_ / "isic"});
  options.overlap_file = folder_ / "leak.txt";
  std::ostringstream out;
  const absl::Status status = CheckData(options, out).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("leak.txt: is not written: the name 'two"));
}

TEST_F(LeakReportTest, AnOlderListIsReplacedWhereThereIsNothingToLeaveOut) {
  CheckOptions options = CheckOf({folder_ / "all", folder_ / "isic"});
  options.overlap_file = folder_ / "leak.txt";
  data::test::WriteBytes(folder_ / "leak.txt", "renamed\n");
  EXPECT_EQ(Check(options).findings, 0);
  ASSERT_TRUE(std::filesystem::exists(folder_ / "leak.txt"));
  EXPECT_EQ(data::test::ReadBytes(folder_ / "leak.txt"), "");
  options.folders.pop_back();
  std::ostringstream ignored;
  EXPECT_EQ(CheckData(options, ignored).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LeakReportTest, LookAlikesWithinOneFolderAreCountedAndAreNoFault) {
  const std::string train = Images("isic", "Training") + "/synthetic_train_0000001.jpg";
  PlantLookAlike(train, "one.jpg");
  PlantLookAlike(train, "two.jpg");
  data::test::WriteBytes(folder_ / "all/three.jpg", *data::EncodeJpeg(*data::ReadImage(train), 70));
  const Outcome outcome = Check(CheckOf({folder_ / "all"}));
  // `one` and `two` are equal to the byte: a fault, and one picture that `three` is like.
  EXPECT_EQ(outcome.findings, 1) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("1 pair of images looks alike, 0 of them in two splits"));
  EXPECT_EQ(outcome.json["folders"][0]["lookAlikes"]["pairs"], 1);
  EXPECT_FALSE(outcome.json.contains("overlap"));
}

TEST_F(LeakReportTest, ProgressIsToldInPlaceAndCleanedUp) {
  std::ostringstream progress;
  std::ostringstream out;
  CheckOptions options = CheckOf({folder_ / "all"});
  options.progress = &progress;
  ASSERT_TRUE(CheckData(options, out).ok());
  EXPECT_THAT(progress.str(), HasSubstr("\r\033[Kchecking "));
  EXPECT_THAT(progress.str(), HasSubstr(" of 8"));
  EXPECT_TRUE(progress.str().ends_with("\r\033[K"));
  EXPECT_EQ(out.str().find("checking"), std::string::npos);
}

TEST_F(LeakReportTest, FoldersThatATerminalWouldObeyAreToldHarmlessly) {
  const std::string folder = folder_ /
                             "all\xc2\x9b"
                             "31m";
  std::filesystem::rename(folder_ / "all", folder);
  std::ostringstream progress;
  std::ostringstream out;
  CheckOptions options = CheckOf({folder, folder});
  options.progress = &progress;
  ASSERT_TRUE(CheckData(options, out).ok());
  EXPECT_THAT(progress.str(), HasSubstr("all\\xc2\\x9b31m: "));
  EXPECT_THAT(out.str(), HasSubstr("all\\xc2\\x9b31m: 8 images"));
  EXPECT_THAT(progress.str() + out.str(), testing::Not(HasSubstr("\xc2\x9b")));
}

TEST(DataCheckTest, NamesOddMasksAndTinyImages) {
  const TemporaryFolder folder;
  const auto add = [&](const std::string& id, const data::Image& image, uint8_t value) {
    data::test::WriteJpeg(folder / ("images/" + id + ".jpg"), image);
    data::test::WriteMaskPng(folder / ("masks/" + id + ".png"),
                             data::test::PlainMask(image.height, image.width, value));
  };
  add("empty", data::test::VariedImage(32, 1), 0);
  add("full", data::test::VariedImage(32, 2), 255);
  add("dim", data::test::VariedImage(32, 3), 1);
  add("dot", data::test::VariedImage(1, 4), 1);
  std::ostringstream out;
  const auto count = CheckData(CheckOf({folder.path()}), out);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 5) << out.str();
  EXPECT_THAT(out.str(), HasSubstr("masks/empty.png: marks no lesion at all"));
  EXPECT_THAT(out.str(), HasSubstr("masks/full.png: marks the whole image as lesion"));
  EXPECT_THAT(out.str(), HasSubstr("masks/dim.png: holds the value 1"));
  EXPECT_THAT(out.str(), HasSubstr("images/dot.jpg: is 1x1: a side is shorter than a patch"));
}

// All pairs, against the definition.
TEST(NearDuplicatesTest, FindsExactlyThePairsWithinTheBounds) {
  LooksOfImages first;
  LooksOfImages second;
  for (int i = 0; i < 60; ++i) {
    data::Looks looks;
    for (size_t k = 0; k < looks.whole.thumbnail.size(); ++k) {
      looks.whole.thumbnail[k] = static_cast<uint8_t>((k * (i % 3 == 0 ? 7 : 3)) % 251);
    }
    looks.whole.hash = (uint64_t{1} << (i % 24)) - 1;
    looks.middle = looks.whole;
    looks.middle.hash = ~looks.whole.hash << (i % 5);
    first.push_back(i % 10 == 9 ? std::nullopt : std::optional(looks));
    second.push_back(i % 10 != 9 && i % 4 == 0 ? std::nullopt : std::optional(looks));
  }
  std::vector<std::pair<size_t, size_t>> expected;
  std::vector<std::pair<size_t, size_t>> expected_within;
  const auto alike = [](const auto& a, const auto& b) {
    const auto near = [](const data::Fingerprint& x, const data::Fingerprint& y, double min) {
      return data::HashDistance(x.hash, y.hash) <= 8 && data::Correlation(x, y) > min;
    };
    return a && b &&
           (near(a->whole, b->whole, 0.965) || near(a->whole, b->middle, 0.98) ||
            near(a->middle, b->whole, 0.98));
  };
  for (size_t j = 0; j < second.size(); ++j) {
    for (size_t i = 0; i < first.size(); ++i) {
      if (alike(first[i], second[j])) expected.emplace_back(i, j);
      if (i < j && alike(first[i], first[j])) expected_within.emplace_back(i, j);
    }
  }
  std::map<size_t, std::vector<std::pair<size_t, size_t>>> rows;
  const auto collect = [&](size_t j, const std::vector<NearPair>& near) {
    auto& row = rows[j];
    for (const NearPair& pair : near) row.emplace_back(pair.first, pair.second);
  };
  const auto positions = [&] {
    std::vector<std::pair<size_t, size_t>> list;
    for (const auto& [j, row] : rows) list.insert(list.end(), row.begin(), row.end());
    return list;
  };
  EXPECT_FALSE(expected.empty());
  EXPECT_FALSE(expected_within.empty());
  VisitNearDuplicates(first, second, collect);
  EXPECT_EQ(rows.size(), second.size());
  EXPECT_EQ(positions(), expected);
  rows.clear();
  VisitNearDuplicatesWithin(first, collect);
  EXPECT_EQ(positions(), expected_within);
}

// Folders whose pictures are all the same: every pair is counted, a part is listed.
TEST(FolderOverlapTest, AnyNumberOfPairsIsCountedAndTheFirstAreListed) {
  const auto folder_of = [](const std::string& name, size_t count) {
    CheckedFolder checked;
    for (size_t i = 0; i < count; ++i) {
      data::FolderImage image;
      image.id = name + std::to_string(i);
      image.split = i % 2 == 0 ? data::Split::kTrain : data::Split::kTest;
      checked.contents.images.push_back(std::move(image));
      checked.digests.push_back(name + std::to_string(i));
      checked.looks.emplace_back(data::Looks{});
    }
    return checked;
  };
  const CheckedFolder first = folder_of("a", 400);
  const CheckedFolder second = folder_of("b", 300);

  const Overlap overlap = OverlapOf(first, second);

  EXPECT_EQ(overlap.num_pairs, 400 * 300);
  ASSERT_EQ(overlap.pairs.size(), kMaxListedPairs);
  for (size_t i = 0; i < overlap.pairs.size(); ++i) {
    ASSERT_EQ(overlap.pairs[i].first, i % 400);
    ASSERT_EQ(overlap.pairs[i].second, i / 400);
  }
  EXPECT_EQ(overlap.ids_of_first.size(), 400U);
  EXPECT_EQ(overlap.all.shared, 300U);
  EXPECT_EQ(overlap.by_split.at("test").shared, 150U);

  const LookAlikes alike = LookAlikesOf(second);
  EXPECT_EQ(alike.num_pairs, 300 * 299 / 2);
  EXPECT_EQ(alike.num_between_splits, 150 * 150);
  ASSERT_EQ(alike.pairs.size(), LookAlikes::kMaxListed);
  EXPECT_EQ(alike.pairs[4].second, 3U);
  EXPECT_EQ(alike.pairs[4].first, 1U);
}

}  // namespace
}  // namespace g2ll::tool
