#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/data/test_files.h"
#include "tests/data/tool_outcome.h"
#include "worker/data/dataset.h"
#include "worker/data/image_codec.h"
#include "worker/tool/picture_list.h"

namespace g2ll::tool {
namespace {

using data::test::TemporaryFolder;
using test::Outcome;
using test::Tool;
using ::testing::HasSubstr;

class ToolTest : public testing::Test {
 protected:
  Outcome Generate(const std::string& folder, const std::string& seed = "1") {
    return Tool(
        {"data", "generate", "--to", folder, "--count", "4", "--seed", seed, "--size", "48"});
  }

  TemporaryFolder folder_;
};

TEST_F(ToolTest, GeneratesASetThatOpensAndThatCheckFindsClean) {
  const Outcome generated = Generate(folder_ / "set");
  EXPECT_EQ(generated.exit_code, 0) << generated.error;
  for (const auto& [split, count] :
       {std::pair{data::Split::kTrain, 4}, std::pair{data::Split::kValidation, 8},
        std::pair{data::Split::kTest, 8}}) {
    data::DatasetOptions options;
    options.source = folder_ / "set";
    options.split = split;
    options.needs_masks = true;
    const auto set = data::Dataset::Open(options);
    ASSERT_TRUE(set.ok()) << set.status();
    EXPECT_EQ((*set)->size(), count);
    EXPECT_EQ((*set)->LoadMask(0)->width, 48);
  }
  const Outcome checked = Tool({"data", "check", folder_ / "set"});
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
  EXPECT_THAT(checked.out, HasSubstr("20 images, 20 masks"));
  EXPECT_THAT(checked.out, HasSubstr("0 findings"));
}

TEST_F(ToolTest, WillNotGenerateIntoAFolderWithSomethingInIt) {
  data::test::WriteBytes(folder_ / "set/thesis.txt", "years of work");
  const Outcome outcome = Generate(folder_ / "set");
  EXPECT_EQ(outcome.exit_code, 6);
  EXPECT_THAT(outcome.error, HasSubstr(folder_ / "set"));
  EXPECT_EQ(data::test::ReadBytes(folder_ / "set/thesis.txt"), "years of work");
}

TEST_F(ToolTest, CheckNamesEveryFault) {
  ASSERT_EQ(Generate(folder_ / "set").exit_code, 0);
  const std::string images = folder_ / "set/ISIC-2017_Training_Data/synthetic_train_000000";
  const std::string masks =
      folder_ / "set/ISIC-2017_Training_Part1_GroundTruth/synthetic_train_000000";
  const std::string bytes = data::test::ReadBytes(images + "0.jpg");
  data::test::WriteBytes(images + "0.jpg", bytes.substr(0, bytes.size() / 2));
  std::filesystem::remove(masks + "1_segmentation.png");
  data::test::WriteMaskPng(masks + "2_segmentation.png", data::test::PlainMask(48, 48, 7));
  data::test::WriteMaskPng(masks + "3_segmentation.png", data::test::PlainMask(24, 48, 255));
  data::test::WriteMaskPng(masks + "9_segmentation.png", data::test::PlainMask(48, 48, 255));
  std::filesystem::copy_file(images + "1.jpg", images + "8.jpg");

  const Outcome outcome = Tool({"data", "check", folder_ / "set", "-o", "json"});

  EXPECT_EQ(outcome.exit_code, 1);
  const auto answer = nlohmann::json::parse(outcome.out);
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& finding : answer["findings"]) {
    const std::string file = finding["file"];
    found.emplace_back(finding["kind"], file.substr(file.rfind("train_") + 11));
  }
  EXPECT_THAT(found, testing::UnorderedElementsAre(std::pair{"unreadable_image", "00.jpg"},
                                                   std::pair{"missing_mask", "01.jpg"},
                                                   std::pair{"missing_mask", "08.jpg"},
                                                   std::pair{"mask_values", "02_segmentation.png"},
                                                   std::pair{"mask_size", "03_segmentation.png"},
                                                   std::pair{"mask_full", "03_segmentation.png"},
                                                   std::pair{"orphan_mask", "09_segmentation.png"},
                                                   std::pair{"duplicate_content", "08.jpg"}));
}

TEST_F(ToolTest, CheckPrintsNamesThatATerminalObeysHarmlessly) {
  // An escape, a line end, the one-character form of `ESC [` and a byte that is no UTF-8.
  data::test::WriteBytes(folder_ / "set/a\x1b[31m\n\xc2\x9b\xff.jpg", "no picture");
  const Outcome outcome = Tool({"data", "check", folder_ / "set"});
  EXPECT_THAT(outcome.out, HasSubstr(R"(set/a\x1b[31m\n\xc2\x9b\xff.jpg: is neither)"));
}

TEST_F(ToolTest, CheckOfTwoFoldersNamesWhatBothHold) {
  ASSERT_EQ(Generate(folder_ / "a", "1").exit_code, 0);
  data::test::WriteJpeg(folder_ / "b/other.jpg", data::test::VariedImage(16, 1));
  EXPECT_EQ(Tool({"data", "check", folder_ / "a", folder_ / "b"}).exit_code, 0);
  const std::string shared = folder_ / "a/ISIC-2017_Test_v2_Data/synthetic_test_0000003.jpg";
  std::filesystem::copy_file(shared, folder_ / "b/renamed.jpg");
  data::test::WriteJpeg(folder_ / "b/synthetic_test_0000004.jpg", data::test::VariedImage(16, 2));

  const Outcome outcome = Tool({"data", "check", folder_ / "a", folder_ / "b"});

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("b/renamed.jpg: has the same bytes as " + shared));
  EXPECT_THAT(outcome.out, HasSubstr("b/synthetic_test_0000004.jpg: has the same name as"));
}

TEST_F(ToolTest, CheckDataAnswersInOneJsonLine) {
  const Outcome good = Tool(
      {"check-data", "--source", "synthetic:dermoscopy?count=12", "--split", "train", "--masks"});
  EXPECT_EQ(good.exit_code, 0);
  const auto answer = nlohmann::json::parse(good.out);
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["images"], 12);
  EXPECT_EQ(answer["digest"].get<std::string>().size(), 64U);
  EXPECT_EQ(std::count(good.out.begin(), good.out.end(), '\n'), 1);

  const Outcome bad = Tool({"check-data", "--source", folder_ / "nowhere", "--split", "all"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(bad.out)["ok"], false);
  EXPECT_THAT(bad.out, HasSubstr("nowhere: no such folder"));
}

TEST_F(ToolTest, CheckDataLooksAtClassesExclusionsAndSubsetsAsAJobDoes) {
  const std::string source = "synthetic:dermoscopy?count=12";
  const auto images = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"check-data", "--source", source, "--split", "train"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(Tool(arguments).out);
  };
  data::test::WriteBytes(folder_ / "ids.txt", "synthetic_train_0000001\n");
  EXPECT_EQ(images({"--exclude", folder_ / "ids.txt", "--exclude", "held"})["images"], 11);
  EXPECT_EQ(images({"--fraction", "0.5", "--subset-seed", "-1"})["images"], 6);
  EXPECT_EQ(images({"--max-images", "3"})["images"], 3);
  EXPECT_NE(images({"--classes"})["digest"], images({})["digest"]);

  EXPECT_THAT(images({"--fraction", "0.001"})["message"].get<std::string>(),
              HasSubstr("data.fraction 0.001 leaves none"));
  EXPECT_THAT(images({"--exclude", "/no/such.txt"})["message"].get<std::string>(),
              HasSubstr("/no/such.txt: no such file"));
  EXPECT_THAT(
      images({"--classes", "--class-file", folder_ / "ids.txt"})["message"].get<std::string>(),
      HasSubstr("data.classFile"));
}

TEST_F(ToolTest, CheckDataNoticesAFileThatIsNoPicture) {
  data::test::WriteJpeg(folder_ / "a.jpg", data::test::VariedImage(16, 1));
  data::test::WriteBytes(folder_ / "b.jpg", "hello");
  const Outcome outcome = Tool({"check-data", "--source", folder_.path(), "--split", "train"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("b.jpg: is neither a JPEG nor a PNG"));
}

TEST(PictureListTest, AFolderThatCannotBeListedIsNamedAndTheOthersAreRead) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  for (const char* name : {"in/a/1.jpg", "in/closed/2.jpg", "in/open/3.jpg", "in/4.jpg"}) {
    data::test::WriteJpeg(folder / name, data::test::VariedImage(16, 1));
  }
  fs::permissions(folder.path(), fs::perms(0755));
  fs::permissions(folder / "in/closed", fs::perms::none);
  // Root may read every folder, so another user looks.
  const bool is_root = geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(seteuid(65534), 0) << "root cannot become user 65534";
  }
  const PictureList list = FindPictures({folder / "in"}, folder / "out");
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  fs::permissions(folder / "in/closed", fs::perms::owner_all);

  ASSERT_EQ(list.pictures.size(), 3U);
  EXPECT_EQ(list.pictures[0].path, folder / "in/4.jpg");
  EXPECT_EQ(list.pictures[2].path, folder / "in/open/3.jpg");
  ASSERT_EQ(list.skipped.size(), 1U);
  EXPECT_THAT(list.skipped[0].message, HasSubstr(folder / "in/closed: cannot be listed: "));
}

TEST_F(ToolTest, WrongUsageIsExitCodeTwo) {
  EXPECT_EQ(Tool({}).exit_code, 2);
  EXPECT_EQ(Tool({"data", "check"}).exit_code, 2);
  EXPECT_EQ(Tool({"data", "check", folder_ / "nowhere"}).exit_code, 2);
  EXPECT_EQ(Tool({"data", "generate", "--to", folder_ / "x", "--count", "-1"}).exit_code, 2);
  EXPECT_EQ(Tool({"check-data", "--source", "x", "--split", "half"}).exit_code, 2);
  EXPECT_EQ(Tool({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace g2ll::tool
