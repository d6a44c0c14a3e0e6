#include "worker/report/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/image_codec.h"
#include "worker/data/resize.h"
#include "worker/report/overlay_picture.h"
#include "worker/report/page.h"
#include "worker/report/report_json.h"

namespace g2ll::report {
namespace {

// Longer sides, in pixels, of the files in overlays/ and of the pictures in the page.
constexpr int kOverlayMinSide = 256;
constexpr int kOverlayMaxSide = 1024;
constexpr int kThumbnailSide = 256;

// A file name for any id: what could mean something to a shell or a file system
// becomes `_`, and a name already taken gets a number.
std::string OverlayName(const std::string& id, std::set<std::string>* taken) {
  std::string stem;
  for (const char c : id) {
    const bool plain =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
    stem += plain ? c : '_';
  }
  stem.resize(std::min<size_t>(stem.size(), 200));
  std::string name = absl::StrCat(stem, "_overlay.png");
  for (int number = 2; !taken->insert(name).second; ++number) {
    name = absl::StrCat(stem, "_", number, "_overlay.png");
  }
  return name;
}

absl::StatusOr<std::string> OverlayPng(const Overlay& overlay, int min_side, int max_side) {
  absl::StatusOr<std::string> png = data::EncodePng(
      DrawOverlay(overlay.image, overlay.truth, overlay.prediction, min_side, max_side));
  if (!png.ok()) {
    return absl::Status(png.status().code(),
                        absl::StrCat("image ", overlay.score.id, ": ", png.status().message()));
  }
  return png;
}

}  // namespace

void ReduceToReport(Overlay& overlay) {
  const int side = std::max(overlay.image.height, overlay.image.width);
  if (side <= kOverlayMaxSide) return;
  const double scale = static_cast<double>(kOverlayMaxSide) / side;
  const int height = std::max(1, static_cast<int>(std::lround(overlay.image.height * scale)));
  const int width = std::max(1, static_cast<int>(std::lround(overlay.image.width * scale)));
  overlay.image = data::ResizeImage(overlay.image, height, width);
  for (data::LesionMask* mask : {&overlay.truth, &overlay.prediction}) {
    if (mask->height > 0) *mask = data::ResizeMask(*mask, height, width);
  }
}

absl::Status WriteReport(const ReportInput& input, const std::string& directory) {
  const std::filesystem::path root(directory);
  std::error_code error;
  std::filesystem::create_directory(root / "overlays", error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot make ", (root / "overlays").string(), ": ", error.message()));
  }
  std::vector<Thumbnail> thumbnails;
  std::set<std::string> taken;
  for (const Overlay& overlay : input.overlays) {
    G2LL_ASSIGN_OR_RETURN(std::string picture,
                          OverlayPng(overlay, kOverlayMinSide, kOverlayMaxSide));
    const std::filesystem::path file = root / "overlays" / OverlayName(overlay.score.id, &taken);
    G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(file.string(), picture));
    G2LL_ASSIGN_OR_RETURN(picture, OverlayPng(overlay, kThumbnailSide, kThumbnailSide));
    thumbnails.push_back({overlay.group, overlay.score, std::move(picture)});
  }
  G2LL_RETURN_IF_ERROR(
      data::WriteFileAtomically((root / "per_image.csv").string(), BuildPerImageCsv(input)));
  G2LL_RETURN_IF_ERROR(
      data::WriteFileAtomically((root / "report.html").string(), BuildPage(input, thumbnails)));
  return data::WriteFileAtomically((root / "report.json").string(), BuildReportJson(input));
}

}  // namespace g2ll::report
