#include "worker/tool/data_generate.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/dataset.h"
#include "worker/data/image_codec.h"

namespace g2ll::tool {
namespace {

namespace fs = std::filesystem;

struct SplitFolders {
  data::Split split;
  const char* images;
  const char* masks;
};

constexpr SplitFolders kSplits[] = {
    {data::Split::kTrain, "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"},
    {data::Split::kValidation, "ISIC-2017_Validation_Data",
     "ISIC-2017_Validation_Part1_GroundTruth"},
    {data::Split::kTest, "ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"},
};

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(folder.string(), ": cannot be made: ", error.message()));
}

absl::StatusOr<int64_t> WriteSplit(const GenerateOptions& options, const SplitFolders& folders,
                                   const fs::path& root) {
  data::DatasetOptions request;
  request.source = absl::StrCat("synthetic:dermoscopy?count=", options.count,
                                "&seed=", options.seed, "&size=", options.size);
  request.split = folders.split;
  request.needs_masks = true;
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<data::Dataset> set, data::Dataset::Open(request));
  G2LL_RETURN_IF_ERROR(MakeFolder(root / folders.images));
  G2LL_RETURN_IF_ERROR(MakeFolder(root / folders.masks));
  for (int64_t i = 0; i < set->size(); ++i) {
    G2LL_ASSIGN_OR_RETURN(const data::Image image, set->LoadImage(i));
    G2LL_ASSIGN_OR_RETURN(const data::LesionMask mask, set->LoadMask(i));
    G2LL_ASSIGN_OR_RETURN(const std::string jpeg, data::EncodeJpeg(image));
    G2LL_ASSIGN_OR_RETURN(const std::string png, data::EncodeMaskPng(mask));
    G2LL_RETURN_IF_ERROR(
        data::WriteFileAtomically((root / folders.images / (set->id(i) + ".jpg")).string(), jpeg));
    G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(
        (root / folders.masks / (set->id(i) + "_segmentation.png")).string(), png));
  }
  return set->size();
}

}  // namespace

absl::Status GenerateData(const GenerateOptions& options, std::ostream& out) {
  std::error_code error;
  const fs::path target = fs::absolute(options.folder, error).lexically_normal();
  if (fs::exists(target, error) &&
      (!fs::is_directory(target, error) || !fs::is_empty(target, error))) {
    return absl::AlreadyExistsError(
        absl::StrCat(options.folder, ": is not an empty folder: give --to a new one"));
  }
  const fs::path named = target.filename().empty() ? target.parent_path() : target;
  G2LL_RETURN_IF_ERROR(MakeFolder(named.parent_path()));
  const fs::path partial = absl::StrCat(named.string(), ".partial-", getpid());
  const absl::Cleanup remove_partial = [&partial] {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  };
  int64_t total = 0;
  for (const SplitFolders& folders : kSplits) {
    G2LL_ASSIGN_OR_RETURN(const int64_t count, WriteSplit(options, folders, partial));
    total += count;
  }
  // An empty folder may be in the way of the name.
  fs::remove(named, error);
  fs::rename(partial, named, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat(named.string(), ": cannot be written: ", error.message()));
  }
  out << "wrote " << total << " images with masks to " << log::EscapeControl(named.string())
      << "\n";
  return absl::OkStatus();
}

}  // namespace g2ll::tool
