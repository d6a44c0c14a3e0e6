#ifndef WORKER_DATA_FOLDER_SCAN_H_
#define WORKER_DATA_FOLDER_SCAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace g2ll::data {

// One picture of a folder of images, with its mask where it has one.
struct FolderImage {
  std::string id;    // file stem
  std::string path;  // absolute
  std::string relative_path;
  std::string mask_path;  // empty: no mask
  std::string relative_mask_path;
  std::optional<Split> split;  // absent: the folder names none
  // The image comes from a folder none of whose images has a mask.
  bool is_unlabelled = false;
  // Name of its class, one of FolderContents::class_names; empty: not known.
  std::string diagnosis;
};

// What lies in a data folder, before anything is chosen from it.
struct FolderContents {
  std::vector<FolderImage> images;  // by relative path
  // Masks, relative paths, that belong to no image.
  std::vector<std::string> orphan_masks;
  // Classes that the manifest's column `label_isic2019` tells apart; empty without one.
  std::vector<std::string> class_names;
};

// Understands three layouts:
//  - `manifest.csv` with the columns id, image, mask, official_split (a word of
//    SplitOfWord, also behind `isic2017_`, none or nothing; or the training set of
//    another release of ISIC, which is in no split) and, where diagnoses are known,
//    label_isic2019;
//  - ISIC folders as downloaded (2016 to 2019), nested up to four deep: masks end in
//    `_segmentation` in any case, `_superpixels`, `__MACOSX` and `._*` are ignored,
//    splits come from whole words of folder names (SplitOfWord);
//  - `images/` and `masks/` with equal stems, or a plain folder of pictures.
// Errors: NotFound (no such folder), FailedPrecondition (no picture in it, a broken
// manifest), each with what to do.
absl::StatusOr<FolderContents> ScanFolder(const std::string& folder);

// Gives every labelled image a split where the folder names none at all.
void AssignSplits(std::vector<FolderImage>& images);

// Whether an image belongs to the split. Unlabelled images belong to training unless
// their folder says otherwise.
bool IsInSplit(const FolderImage& image, Split wanted);

// Length of a file in bytes; -1 where it cannot be read.
int64_t FileSize(const std::string& path);

// Reads `manifest.csv` of `folder`, the first of the layouts above.
absl::StatusOr<FolderContents> ReadManifestFolder(const std::string& folder);

}  // namespace g2ll::data

#endif  // WORKER_DATA_FOLDER_SCAN_H_
