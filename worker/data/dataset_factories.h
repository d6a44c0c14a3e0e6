#ifndef WORKER_DATA_DATASET_FACTORIES_H_
#define WORKER_DATA_DATASET_FACTORIES_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

// The kinds of data set behind Dataset::Open.
namespace g2ll::data::internal {

inline constexpr std::string_view kSyntheticPrefix = "synthetic:";

// `synthetic:dermoscopy?count=N&seed=S&size=P`: N training images (default 256) and
// max(8, N / 4) of validation and of test, P pixels wide and high (default 256).
absl::StatusOr<std::unique_ptr<Dataset>> OpenSynthetic(const DatasetOptions& options);

// A folder in one of the layouts of folder_scan.h.
absl::StatusOr<std::unique_ptr<Dataset>> OpenFolder(const DatasetOptions& options);

}  // namespace g2ll::data::internal

#endif  // WORKER_DATA_DATASET_FACTORIES_H_
