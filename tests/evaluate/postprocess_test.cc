#include "worker/evaluate/postprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace g2ll::evaluate {
namespace {

using ::testing::ElementsAreArray;
using Rows = std::vector<std::string>;

// `#` is lesion, `.` skin.
Rows Kept(const Rows& rows) {
  data::LesionMask mask{static_cast<int>(rows.size()), static_cast<int>(rows[0].size()), {}};
  for (const std::string& row : rows) {
    for (const char c : row) mask.pixels.push_back(c == '#' ? 255 : 0);
  }
  KeepLargestComponent(mask);
  Rows kept;
  for (size_t y = 0; y < rows.size(); ++y) {
    std::string row;
    for (size_t x = 0; x < rows[0].size(); ++x) {
      const uint8_t value = mask.pixels[y * rows[0].size() + x];
      row += value == 255 ? '#' : value == 0 ? '.' : '?';
    }
    kept.push_back(row);
  }
  return kept;
}

TEST(PostprocessTest, KeepsTheLargestLesionAndFillsItsHoles) {
  EXPECT_THAT(Kept({"##......",  //
                    "#..####.",  //
                    "...#..#.",  //
                    "...####.",  //
                    "........"}),
              ElementsAreArray({"........",  //
                                "...####.",  //
                                "...####.",  //
                                "...####.",  //
                                "........"}));
}

TEST(PostprocessTest, LesionsThatTouchAtACornerAreOne) {
  EXPECT_THAT(Kept({"#....",  //
                    ".#...",  //
                    "..#.#",  //
                    "....#"}),
              ElementsAreArray({"#....",  //
                                ".#...",  //
                                "..#..",  //
                                "....."}));
}

// Through a corner no skin leads out.
TEST(PostprocessTest, SkinBehindADiagonalLineIsAHole) {
  EXPECT_THAT(Kept({".....",  //
                    "..#..",  //
                    ".#.#.",  //
                    "..#.."}),
              ElementsAreArray({".....",  //
                                "..#..",  //
                                ".###.",  //
                                "..#.."}));
}

TEST(PostprocessTest, SkinThatReachesTheBorderIsNoHole) {
  EXPECT_THAT(Kept({"#.#",  //
                    "#.#",  //
                    "###"}),
              ElementsAreArray({"#.#",  //
                                "#.#",  //
                                "###"}));
}

TEST(PostprocessTest, ASmallerLesionInsideAHoleIsFilledIn) {
  EXPECT_THAT(Kept({"#####",  //
                    "#...#",  //
                    "#.#.#",  //
                    "#...#",  //
                    "#####"}),
              ElementsAreArray({"#####", "#####", "#####", "#####", "#####"}));
}

TEST(PostprocessTest, OfTwoEqualLesionsTheFirstStays) {
  EXPECT_THAT(Kept({"#...#"}), ElementsAreArray({"#...."}));
}

TEST(PostprocessTest, AnEmptyMaskStaysEmptyAndAFullOneFull) {
  EXPECT_THAT(Kept({"...", "..."}), ElementsAreArray({"...", "..."}));
  EXPECT_THAT(Kept({"###", "###"}), ElementsAreArray({"###", "###"}));
}

}  // namespace
}  // namespace g2ll::evaluate
