#include "worker/tool/mask_preview.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/clean_image.h"
#include "worker/data/image_codec.h"
#include "worker/data/region_contrast.h"
#include "worker/data/resize.h"
#include "worker/data/slic.h"
#include "worker/mask/attention_mask.h"
#include "worker/random/rng.h"
#include "worker/tool/counted.h"
#include "worker/tool/mask_figure.h"
#include "worker/tool/picture_list.h"

namespace g2ll::tool {
namespace {

using Strategies = std::vector<std::unique_ptr<mask::MaskStrategy>>;

constexpr int kThin = 1;
constexpr int kThick = 3;

// An image and what its masks are drawn from.
struct Source {
  data::Image image;
  data::LabelMap pixels;
  mask::RegionMap regions;
};

std::string TitleOf(mask::MaskKind kind) {
  switch (kind) {
    case mask::MaskKind::kRandom:
      return "random";
    case mask::MaskKind::kSemantic:
      return "semantic";
    case mask::MaskKind::kSemanticFocal:
      return "semantic focal";
    case mask::MaskKind::kBlock:
      return "block";
    case mask::MaskKind::kAttention:
      break;
  }
  return "attmask";
}

std::string NoteOf(const mask::PatchMask& mask, const mask::MaskPlan& plan) {
  const size_t num_masked = mask.MaskedIds().size();
  if (plan.unstructured) {
    return absl::StrCat(num_masked, " of ", mask.masked.size(), " patches masked");
  }
  if (plan.central.empty()) {
    const auto [least, most] = std::minmax_element(plan.quotas.begin(), plan.quotas.end());
    return *least == *most ? absl::StrCat(*least, " in each region")
                           : absl::StrCat(*least, " to ", *most, " in each region");
  }
  int central = 0;
  for (const int region : plan.central) central += plan.quotas[static_cast<size_t>(region)];
  return absl::StrCat(central, " of ", num_masked, " in ",
                      Counted(std::ssize(plan.central), "central region"));
}

absl::StatusOr<Source> Read(const PreviewOptions& options, const std::string& path) {
  const int side = options.image_size;
  Source source;
  G2LL_ASSIGN_OR_RETURN(const data::Image read, data::ReadImage(path, side));
  source.image = data::ResizeImage(read, side, side);
  data::SlicOptions slic;
  slic.regions = options.mask.regions;
  source.pixels = data::SlicRegions(source.image, slic);
  G2LL_ASSIGN_OR_RETURN(source.regions, data::RegionsOfPatches(source.pixels, options.patch));
  data::MeasureContrast(source.image, source.pixels, options.patch, source.regions);
  return source;
}

Panel MaskedPanel(const PreviewOptions& options, const Source& source,
                  const mask::MaskStrategy& strategy, const random::Key& key) {
  const size_t num_patches = source.regions.patches.labels.size();
  const mask::MaskPlan plan = strategy.Plan(source.regions);
  const mask::PatchMask mask =
      strategy.Draw(source.regions, mask::MaskNoise(key, strategy.NoiseSize(num_patches)));
  Panel panel{source.image, TitleOf(strategy.options().kind), NoteOf(mask, plan)};
  PaintMasked(mask, options.patch, panel.picture);
  if (!plan.unstructured) OutlineRegions(source.pixels, kThin, nullptr, panel.picture);
  OutlineRegions(source.pixels, kThick, &plan.central, panel.picture);
  return panel;
}

data::Image Figure(const PreviewOptions& options, const Strategies& strategies,
                   const Source& source, const std::string& name) {
  const int num_regions = static_cast<int>(source.regions.traits.size());
  std::vector<Panel> panels = {
      {source.image, "image", ""},
      {source.image, Counted(num_regions, "region"), "superpixels of the image"}};
  OutlineRegions(source.pixels, kThin, nullptr, panels[1].picture);
  const random::Key key{.seed = static_cast<uint64_t>(options.seed),
                        .sample = random::HashId(name)};
  for (const auto& strategy : strategies) {
    panels.push_back(MaskedPanel(options, source, *strategy, key));
  }
  return JoinPanels(panels);
}

absl::StatusOr<Strategies> MakeStrategies(const PreviewOptions& options) {
  const int grid = options.image_size / options.patch;
  Strategies strategies;
  for (const mask::MaskKind kind : options.strategies) {
    mask::MaskOptions settings = options.mask;
    settings.kind = kind;
    G2LL_ASSIGN_OR_RETURN(auto strategy, mask::MakeMaskStrategy(settings, grid * grid));
    strategies.push_back(std::move(strategy));
  }
  return strategies;
}

}  // namespace

absl::StatusOr<PreviewOutcome> PreviewMasks(const PreviewOptions& options, std::ostream& out,
                                            std::ostream& talk) {
  G2LL_ASSIGN_OR_RETURN(const Strategies strategies, MakeStrategies(options));
  const PictureList list = FindPictures(options.images, options.folder);
  PreviewOutcome outcome;
  const auto skip = [&](const std::string& message) {
    talk << "skipped " << log::EscapeControl(message) << "\n";
    ++outcome.skipped;
  };
  for (const Skipped& skipped : list.skipped) skip(skipped.message);
  if (list.pictures.empty()) return outcome;
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat(options.folder, ": cannot be made: ", error.message()));
  }
  for (const Picture& picture : list.pictures) {
    const absl::StatusOr<Source> source = Read(options, picture.path);
    if (!source.ok()) {
      skip(std::string(source.status().message()));
      continue;
    }
    G2LL_ASSIGN_OR_RETURN(const std::string png,
                          data::EncodePng(Figure(options, strategies, *source, picture.name)));
    const std::string target = absl::StrCat(options.folder, "/", picture.name, "_mask.png");
    G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(target, png));
    out << log::EscapeControl(target) << "\n";
    ++outcome.drawn;
  }
  return outcome;
}

}  // namespace g2ll::tool
