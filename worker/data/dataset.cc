#include "worker/data/dataset.h"

#include "absl/strings/str_cat.h"
#include "worker/data/dataset_factories.h"

namespace g2ll::data {

std::vector<int64_t> ClassLabels::Counts() const {
  std::vector<int64_t> counts(names.size(), 0);
  for (const int64_t number : of_image) ++counts[static_cast<size_t>(number)];
  return counts;
}

absl::StatusOr<std::unique_ptr<Dataset>> Dataset::Open(const DatasetOptions& options) {
  // Written so that NaN fails too.
  if (!(options.fraction > 0.0 && options.fraction <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.fraction is ", options.fraction, ": it must lie in (0, 1]"));
  }
  if (options.max_images < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.maxImages is ", options.max_images, ": it must be 0 (all) or more"));
  }
  if (options.needs_masks && options.needs_classes) {
    return absl::InvalidArgumentError("a data set is opened for masks or for classes, not both");
  }
  if (options.source.starts_with(internal::kSyntheticPrefix)) {
    return internal::OpenSynthetic(options);
  }
  if (!options.source.starts_with('/') || options.source.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.source '", options.source.substr(0, 200).c_str(),
                     "': give an absolute folder or synthetic:dermoscopy?count=256&seed=1"));
  }
  return internal::OpenFolder(options);
}

}  // namespace g2ll::data
