#ifndef WORKER_TOOL_FOLDER_OVERLAP_H_
#define WORKER_TOOL_FOLDER_OVERLAP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/tool/folder_check.h"

namespace g2ll::tool {

// Pairs that are kept; all are counted. Two sets of ISIC's have a few thousand, but
// thousands of equal pictures would be millions of pairs.
inline constexpr size_t kMaxListedPairs = 100'000;

// Why an image of one folder counts as one of another: the strongest reason.
enum class SharedBy { kId, kContent, kLooks };

// An image that two folders hold, by its positions in them.
struct SharedImage {
  size_t first = 0;
  size_t second = 0;
  SharedBy by = SharedBy::kId;
  std::optional<data::Likeness> likeness;  // absent where one of the two cannot be read
};

// How many images of a split there are, and how many of them another folder holds.
struct SplitShare {
  size_t images = 0;
  size_t shared = 0;
};

// The leak report: which images of `second` are in `first` too, by photograph id, by
// bytes, or by looks.
struct Overlap {
  int64_t num_pairs = 0;
  // The first kMaxListedPairs by second, then first.
  std::vector<SharedImage> pairs;
  SplitShare all;
  std::map<std::string, SplitShare> by_split;  // of `second`; `none` where it names none
  // Ids of the images of `first` that are in `second`, ascending: what `data.excludeIds`
  // leaves out to make the sets disjoint. All of them, however many pairs there are.
  std::vector<std::string> ids_of_first;
};
Overlap OverlapOf(const CheckedFolder& first, const CheckedFolder& second);

// Images of one folder that look alike; of images that are equal to the byte the first
// stands for all.
struct LookAlikes {
  static constexpr size_t kMaxListed = 5;

  int64_t num_pairs = 0;
  int64_t num_between_splits = 0;
  // The first kMaxListed by second, then first.
  std::vector<NearPair> pairs;
};
LookAlikes LookAlikesOf(const CheckedFolder& checked);

// The image's split by name, or `none`.
std::string SplitOf(const CheckedFolder& checked, size_t image);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_FOLDER_OVERLAP_H_
