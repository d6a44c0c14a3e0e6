#include "worker/tool/mask_preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/data/test_files.h"
#include "tests/data/tool_outcome.h"
#include "worker/data/image_codec.h"

namespace g2ll::tool {
namespace {

using data::test::TemporaryFolder;
using test::Outcome;
using ::testing::HasSubstr;

Outcome Preview(std::vector<std::string> words) {
  words.insert(words.begin(), {"mask", "preview"});
  return test::Tool(std::move(words));
}

// Pixels of the even grey of masked patches in the panel with this number; outlines may
// cover some.
int GrayIn(const data::Image& figure, int panel) {
  int gray = 0;
  for (int y = 0; y < 256; ++y) {
    for (int x = panel * 264; x < panel * 264 + 256; ++x) {
      const uint8_t* pixel =
          &figure.pixels[(static_cast<size_t>(y) * static_cast<size_t>(figure.width) +
                          static_cast<size_t>(x)) *
                         3];
      gray += pixel[0] == 128 && pixel[1] == 128 && pixel[2] == 128 ? 1 : 0;
    }
  }
  return gray;
}

class MaskPreviewTest : public testing::Test {
 protected:
  MaskPreviewTest() {
    data::test::WriteJpeg(folder_ / "in/lesion.jpg", data::test::TwoToneDisc(256, 60));
  }

  TemporaryFolder folder_;
};

TEST_F(MaskPreviewTest, ShowsImageRegionsAndTheThreeStrategiesInOneRow) {
  const Outcome outcome = Preview({folder_ / "in/lesion.jpg", "--to", folder_ / "out"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(outcome.out, (folder_ / "out/lesion_mask.png") + "\n");
  const auto figure = data::ReadImage(folder_ / "out/lesion_mask.png");
  ASSERT_TRUE(figure.ok());
  EXPECT_EQ(figure->width, 5 * 256 + 4 * 8);
  EXPECT_GT(figure->height, 256);  // labels stand below
  EXPECT_EQ(GrayIn(*figure, 0), 0);
  EXPECT_EQ(GrayIn(*figure, 1), 0);
  EXPECT_EQ(GrayIn(*figure, 2), 64 * 256);
  for (const int panel : {3, 4}) {
    EXPECT_GT(GrayIn(*figure, panel), 45 * 256);
    EXPECT_LT(GrayIn(*figure, panel), 64 * 256);
  }
}

TEST_F(MaskPreviewTest, OneStrategyAloneHasOnePanel) {
  const Outcome outcome = Preview({folder_ / "in/lesion.jpg", "--to", folder_ / "out", "--strategy",
                                   "block", "--gamma", "0.5"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  const auto figure = data::ReadImage(folder_ / "out/lesion_mask.png");
  ASSERT_TRUE(figure.ok());
  EXPECT_EQ(figure->width, 3 * 256 + 2 * 8);
  EXPECT_EQ(GrayIn(*figure, 2), 128 * 256);
}

TEST_F(MaskPreviewTest, TheSeedDecidesTheDraw) {
  const auto drawn = [&](const std::string& seed, const std::string& name) {
    Preview({folder_ / "in/lesion.jpg", "--to", folder_ / name, "--seed", seed});
    return data::test::ReadBytes(folder_ / (name + "/lesion_mask.png"));
  };
  EXPECT_EQ(drawn("1", "a"), drawn("1", "b"));
  EXPECT_NE(drawn("1", "a"), drawn("2", "c"));
}

TEST_F(MaskPreviewTest, ABadPictureIsNamedAndSkippedAndTheExitCodeSaysSo) {
  data::test::WriteBytes(folder_ / "in/broken.jpg", "no picture");
  const Outcome outcome = Preview({folder_ / "in", folder_ / "no.jpg", "--to", folder_ / "out"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error, HasSubstr("skipped " + (folder_ / "in/broken.jpg")));
  EXPECT_THAT(outcome.error, HasSubstr("skipped " + (folder_ / "no.jpg")));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/lesion_mask.png"));
  EXPECT_EQ(Preview({folder_ / "no.jpg", "--to", folder_ / "out"}).exit_code, 2);
}

TEST_F(MaskPreviewTest, FiguresDrawnEarlierAreNotDrawnAgain) {
  EXPECT_EQ(Preview({folder_ / "in", "--to", folder_ / "in/first"}).exit_code, 0);
  EXPECT_EQ(Preview({folder_ / "in", "--to", folder_ / "out"}).out,
            (folder_ / "out/lesion_mask.png") + "\n");
}

TEST_F(MaskPreviewTest, ANameThatATerminalObeysIsOneHarmlessLine) {
  std::filesystem::rename(folder_ / "in/lesion.jpg", folder_ / "in/a\x1b[31m\nb.jpg");
  data::test::WriteBytes(folder_ / "in/c\x1b.jpg", "no picture");
  const Outcome outcome = Preview({folder_ / "in", "--to", folder_ / "out"});
  EXPECT_EQ(outcome.out, (folder_ / R"(out/a\x1b[31m\nb_mask.png)") + "\n");
  EXPECT_THAT(outcome.error, HasSubstr(R"(in/c\x1b.jpg)"));
}

TEST_F(MaskPreviewTest, RefusesSettingsThatDoNotFit) {
  const std::string image = folder_ / "in/lesion.jpg";
  const std::string to = folder_ / "out";
  EXPECT_EQ(Preview({image, "--to", to, "--gamma", "1.5"}).exit_code, 2);
  EXPECT_EQ(Preview({image, "--to", to, "--strategy", "attmask"}).exit_code, 2);
  EXPECT_EQ(Preview({image}).exit_code, 2);
  const Outcome outcome = Preview({image, "--to", to, "--central", "top_k", "--top-k", "9"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("mask.topK is 9: it must lie in [1, 8]"));
  EXPECT_FALSE(std::filesystem::exists(to));
}

}  // namespace
}  // namespace g2ll::tool
