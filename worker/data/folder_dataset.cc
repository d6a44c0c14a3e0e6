#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/class_table.h"
#include "worker/data/dataset_factories.h"
#include "worker/data/digest.h"
#include "worker/data/excluded_ids.h"
#include "worker/data/folder_scan.h"
#include "worker/data/image_codec.h"
#include "worker/data/subset.h"

namespace g2ll::data::internal {
namespace {

class FolderDataset final : public Dataset {
 public:
  FolderDataset(std::vector<FolderImage> images, ClassLabels classes, std::string digest)
      : images_(std::move(images)), classes_(std::move(classes)), digest_(std::move(digest)) {}

  int64_t size() const override { return static_cast<int64_t>(images_.size()); }
  const std::string& id(int64_t index) const override { return At(index).id; }
  const std::string& path(int64_t index) const override { return At(index).path; }
  absl::StatusOr<Image> LoadImage(int64_t index) const override {
    return ReadImage(At(index).path);
  }
  absl::StatusOr<Image> LoadImageFor(int64_t index, int side) const override {
    return ReadImage(At(index).path, side);
  }
  absl::StatusOr<LesionMask> LoadMask(int64_t index) const override {
    const FolderImage& image = At(index);
    G2LL_ASSIGN_OR_RETURN(LesionMask mask, ReadMask(image.mask_path));
    G2LL_RETURN_IF_ERROR(CheckSizes(image, mask.width, mask.height));
    return mask;
  }
  const ClassLabels& classes() const override { return classes_; }
  absl::Status CheckFiles(int64_t index) const override {
    const FolderImage& image = At(index);
    if (image.mask_path.empty()) return ReadImageInfo(image.path).status();
    G2LL_ASSIGN_OR_RETURN(const ImageInfo mask, ReadImageInfo(image.mask_path));
    return CheckSizes(image, mask.width, mask.height);
  }
  const std::string& digest() const override { return digest_; }

 private:
  static absl::Status CheckSizes(const FolderImage& image, int mask_width, int mask_height) {
    G2LL_ASSIGN_OR_RETURN(const ImageInfo info, ReadImageInfo(image.path));
    if (mask_width == info.width && mask_height == info.height) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(image.mask_path, ": is ", mask_width, "x", mask_height,
                                            " but its image is ", info.width, "x", info.height,
                                            ": a mask must have its image's size"));
  }
  const FolderImage& At(int64_t index) const { return images_[static_cast<size_t>(index)]; }

  std::vector<FolderImage> images_;
  ClassLabels classes_;
  std::string digest_;
};

std::vector<std::string> IdsOf(const std::vector<FolderImage>& images) {
  std::vector<std::string> ids;
  ids.reserve(images.size());
  for (const FolderImage& image : images) ids.push_back(image.id);
  return ids;
}

// Images with masks, or the name of the first fault.
absl::StatusOr<std::vector<FolderImage>> SelectLabelled(const FolderContents& contents,
                                                        const DatasetOptions& options,
                                                        const ExcludedIds& excluded) {
  if (!contents.orphan_masks.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        options.source, "/", contents.orphan_masks.front(),
        ": is a mask without an image: add the image beside the others or remove the mask"));
  }
  std::vector<FolderImage> selected;
  for (const FolderImage& image : contents.images) {
    if (image.is_unlabelled || !IsInSplit(image, options.split)) continue;
    if (image.mask_path.empty() && !excluded.Contains(image.id)) {
      return absl::FailedPreconditionError(
          absl::StrCat(image.path, ": has no mask: add ", image.id,
                       "_segmentation.png beside the other masks or remove the image"));
    }
    selected.push_back(image);
  }
  return selected;
}

// Unlabelled images where there are any, else all: masks are not looked at.
std::vector<FolderImage> SelectAny(const FolderContents& contents, const DatasetOptions& options) {
  std::vector<FolderImage> selected, without_class;
  for (const FolderImage& image : contents.images) {
    if (!IsInSplit(image, options.split)) continue;
    const bool is_known = !options.needs_classes || !image.diagnosis.empty();
    (is_known ? selected : without_class).push_back(image);
  }
  const auto is_labelled = [](const FolderImage& image) { return !image.is_unlabelled; };
  if (!std::all_of(selected.begin(), selected.end(), is_labelled)) {
    std::erase_if(selected, is_labelled);
    std::erase_if(without_class, is_labelled);
  }
  if (!without_class.empty()) {
    log::Info("images left out without a diagnosis",
              {{"source", options.source},
               {"split", SplitName(options.split)},
               {"left_out", static_cast<int64_t>(without_class.size())},
               {"kept", static_cast<int64_t>(selected.size())}});
  }
  return selected;
}

// Ids of the validation and test splits.
std::vector<std::string> HeldIds(const std::vector<FolderImage>& images) {
  std::vector<std::string> ids;
  for (const FolderImage& image : images) {
    if (image.split == Split::kValidation || image.split == Split::kTest) ids.push_back(image.id);
  }
  return ids;
}

// The classes of the images that are left.
ClassLabels LabelsOf(const std::vector<FolderImage>& images,
                     const std::vector<std::string>& class_names) {
  ClassLabels labels;
  labels.names = class_names;
  for (const FolderImage& image : images) {
    const auto name = std::find(class_names.begin(), class_names.end(), image.diagnosis);
    labels.of_image.push_back(name - class_names.begin());
  }
  return labels;
}

absl::Status NothingFound(const DatasetOptions& options) {
  const std::string split = options.split == Split::kAll
                                ? std::string()
                                : absl::StrCat(" of the ", SplitName(options.split), " split");
  const char* const what = options.needs_masks     ? " with masks"
                           : options.needs_classes ? " with a diagnosis"
                                                   : "";
  return absl::FailedPreconditionError(absl::StrCat(
      options.source, ": holds no images", what, split, ": ",
      options.needs_masks
          ? "put masks named as their images plus _segmentation.png in a *_GroundTruth or masks "
            "folder"
          : "name another split or folder"));
}

// Orders by id and refuses an id that stands for two files.
absl::Status SortById(std::vector<FolderImage>& images) {
  std::stable_sort(images.begin(), images.end(),
                   [](const FolderImage& a, const FolderImage& b) { return a.id < b.id; });
  const auto twin =
      std::adjacent_find(images.begin(), images.end(),
                         [](const FolderImage& a, const FolderImage& b) { return a.id == b.id; });
  if (twin == images.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(twin->path, ": has the same name as ", std::next(twin)->path,
                   ": keep one of them, or set data.source to one data set"));
}

absl::StatusOr<FolderContents> ScanSource(const std::string& source) {
  absl::StatusOr<FolderContents> contents = ScanFolder(source);
  if (!absl::IsNotFound(contents.status())) return contents;
  return absl::NotFoundError(absl::StrCat(std::string(contents.status().message()),
                                          " (data.source must exist on every worker)"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenFolder(const DatasetOptions& options) {
  G2LL_ASSIGN_OR_RETURN(FolderContents contents, ScanSource(options.source));
  AssignSplits(contents.images);
  if (options.needs_classes) {
    G2LL_RETURN_IF_ERROR(AssignClasses(options.source, options.class_file, contents));
  }
  G2LL_ASSIGN_OR_RETURN(const ExcludedIds excluded,
                        ExcludedIds::Read(options.exclude_ids, HeldIds(contents.images)));
  std::vector<FolderImage> selected;
  if (options.needs_masks) {
    G2LL_ASSIGN_OR_RETURN(selected, SelectLabelled(contents, options, excluded));
  } else {
    selected = SelectAny(contents, options);
  }
  if (selected.empty()) return NothingFound(options);
  G2LL_RETURN_IF_ERROR(RemoveExcluded(excluded, options, selected,
                                      [](const FolderImage& image) { return image.id; }));
  G2LL_RETURN_IF_ERROR(SortById(selected));

  Sha256 digest;
  std::vector<FolderImage> kept;
  G2LL_ASSIGN_OR_RETURN(const std::vector<size_t> positions,
                        SelectSubset(IdsOf(selected), options));
  for (const size_t position : positions) {
    FolderImage& image = selected[position];
    if (!options.needs_masks) {
      image.mask_path.clear();
      image.relative_mask_path.clear();
    }
    digest.AddField(image.id);
    digest.AddField(image.relative_path);
    digest.AddField(std::to_string(FileSize(image.path)));
    digest.AddField(image.relative_mask_path);
    if (options.needs_masks) digest.AddField(std::to_string(FileSize(image.mask_path)));
    if (options.needs_classes) digest.AddField(image.diagnosis);
    kept.push_back(std::move(image));
  }
  ClassLabels classes;
  if (options.needs_classes) classes = LabelsOf(kept, contents.class_names);
  return std::make_unique<FolderDataset>(std::move(kept), std::move(classes), digest.Finish());
}

}  // namespace g2ll::data::internal
