#include "worker/tool/mask_preview.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/clean_image.h"
#include "worker/data/image_codec.h"
#include "worker/data/resize.h"
#include "worker/data/slic.h"
#include "worker/random/rng.h"

namespace g2ll::tool {
namespace {

constexpr int kGap = 8;
constexpr uint8_t kMaskedGray = 128;

size_t At(const data::Image& image, int y, int x) {
  return (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) * 3;
}

// Borders between regions in yellow.
data::Image DrawRegions(data::Image image, const data::LabelMap& regions) {
  constexpr std::array<uint8_t, 3> kBorder = {255, 230, 0};
  const auto label = [&](int y, int x) {
    return regions.labels[static_cast<size_t>(y) * static_cast<size_t>(regions.width) +
                          static_cast<size_t>(x)];
  };
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const bool is_border = (x + 1 < image.width && label(y, x) != label(y, x + 1)) ||
                             (y + 1 < image.height && label(y, x) != label(y + 1, x));
      if (is_border) std::copy(kBorder.begin(), kBorder.end(), &image.pixels[At(image, y, x)]);
    }
  }
  return image;
}

data::Image DrawMask(data::Image image, const mask::PatchMask& mask, int patch) {
  const int cols = image.width / patch;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (!mask.masked[static_cast<size_t>(y / patch * cols + x / patch)]) continue;
      std::fill_n(&image.pixels[At(image, y, x)], 3, kMaskedGray);
    }
  }
  return image;
}

data::Image SideBySide(const std::array<data::Image, 3>& pictures) {
  data::Image joined;
  joined.height = pictures[0].height;
  joined.width = 3 * pictures[0].width + 2 * kGap;
  joined.pixels.assign(static_cast<size_t>(joined.height) * static_cast<size_t>(joined.width) * 3,
                       255);
  for (size_t i = 0; i < pictures.size(); ++i) {
    const data::Image& picture = pictures[i];
    const int left = static_cast<int>(i) * (picture.width + kGap);
    for (int y = 0; y < picture.height; ++y) {
      std::copy_n(&picture.pixels[At(picture, y, 0)], static_cast<size_t>(picture.width) * 3,
                  &joined.pixels[At(joined, y, left)]);
    }
  }
  return joined;
}

absl::StatusOr<data::Image> Preview(const PreviewOptions& options,
                                    const mask::MaskStrategy& strategy, const std::string& path) {
  const int side = options.image_size;
  G2LL_ASSIGN_OR_RETURN(const data::Image read, data::ReadImage(path, side));
  const data::Image image = data::ResizeImage(read, side, side);
  data::SlicOptions slic;
  slic.regions = options.mask.regions;
  const data::LabelMap pixels = data::SlicRegions(image, slic);
  G2LL_ASSIGN_OR_RETURN(const mask::RegionMap regions,
                        data::RegionsOfPatches(pixels, options.patch));
  random::Rng rng({.seed = static_cast<uint64_t>(options.seed),
                   .sample = random::HashId(std::filesystem::path(path).stem().string()),
                   .purpose = random::Purpose::kMask});
  std::vector<double> noise(regions.patches.labels.size());
  for (double& value : noise) value = rng.Uniform();
  return SideBySide({image, DrawRegions(image, pixels),
                     DrawMask(image, strategy.Draw(regions, noise), options.patch)});
}

}  // namespace

absl::Status PreviewMasks(const PreviewOptions& options, std::ostream& out) {
  const int grid = options.image_size / options.patch;
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<mask::MaskStrategy> strategy,
                        mask::MakeMaskStrategy(options.mask, grid * grid));
  std::set<std::string> stems;
  for (const std::string& path : options.images) {
    if (!stems.insert(std::filesystem::path(path).stem().string()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": another image has this name: preview them one after the other"));
    }
  }
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat(options.folder, ": cannot be made: ", error.message()));
  }
  for (const std::string& path : options.images) {
    G2LL_ASSIGN_OR_RETURN(const data::Image picture, Preview(options, *strategy, path));
    G2LL_ASSIGN_OR_RETURN(const std::string png, data::EncodePng(picture));
    const std::string target =
        absl::StrCat(options.folder, "/", std::filesystem::path(path).stem().string(), "_mask.png");
    G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(target, png));
    out << target << "\n";
  }
  return absl::OkStatus();
}

}  // namespace g2ll::tool
