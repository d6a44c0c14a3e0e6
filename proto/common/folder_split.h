#ifndef PROTO_COMMON_FOLDER_SPLIT_H_
#define PROTO_COMMON_FOLDER_SPLIT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace g2ll {

// The names of the splits of a data set, in the order of data::Split; `all` is every image.
inline constexpr std::array<std::string_view, 4> kSplitNames = {"train", "validation", "test",
                                                                "all"};

constexpr bool IsSplitName(std::string_view text) {
  return std::find(kSplitNames.begin(), kSplitNames.end(), text) != kSplitNames.end();
}

// What `FOLDER` or `FOLDER#SPLIT` names. Lives no longer than the text.
struct FolderSplit {
  std::string_view folder;
  std::string_view split;  // one of kSplitNames; empty: none is named
};

// What stands behind the last `#` is a split where it is the name of one; every other `#`
// belongs to the folder. So `/data/a#b` is a folder, and one called `/data/a#test` is
// named `/data/a#test#all`.
constexpr FolderSplit ParseFolderSplit(std::string_view text) {
  const size_t hash = text.rfind('#');
  if (hash == std::string_view::npos || !IsSplitName(text.substr(hash + 1))) return {text, {}};
  return {text.substr(0, hash), text.substr(hash + 1)};
}

// For messages about a folder that is not there: what else its `#` may have meant, or nothing.
constexpr std::string_view SplitHint(std::string_view folder) {
  return folder.find('#') == std::string_view::npos
             ? ""
             : "; after # the split must be train, validation, test or all";
}

}  // namespace g2ll

#endif  // PROTO_COMMON_FOLDER_SPLIT_H_
