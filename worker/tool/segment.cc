#include "worker/tool/segment.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/image_codec.h"
#include "worker/data/parallel_for.h"
#include "worker/report/csv.h"
#include "worker/report/overlay_picture.h"
#include "worker/tool/picture_list.h"

namespace g2ll::tool {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Longer side of an overlay, as in a report.
constexpr int kOverlayMinSide = 256;
constexpr int kOverlayMaxSide = 1024;

// The truth of one picture: absent, usable or neither.
struct Truth {
  std::optional<data::LesionMask> mask;
  absl::Status status;  // NotFound: there is none
};

// One picture when it is done.
struct Result {
  absl::Status status;   // why it was skipped
  absl::Status truth;    // why it has no score
  absl::Status written;  // an error of the disk
  int width = 0;
  int height = 0;
  double area = 0;
  double confidence = 0;
  std::optional<evaluate::MaskScore> score;
};

Truth ReadTruth(const std::string& folder, const std::string& name, int width, int height) {
  Truth truth;
  std::error_code ignored;  // what cannot be looked at is not there
  std::string path = absl::StrCat(folder, "/", name, ".png");
  if (!fs::exists(path, ignored)) path = absl::StrCat(folder, "/", name, "_segmentation.png");
  if (!fs::exists(path, ignored)) {
    truth.status = absl::NotFoundError(absl::StrCat(name, ": has no mask in ", folder, " (", name,
                                                    ".png or ", name, "_segmentation.png)"));
    return truth;
  }
  absl::StatusOr<data::LesionMask> mask = data::ReadMask(path);
  if (!mask.ok()) {
    truth.status = mask.status();
  } else if (mask->width != width || mask->height != height) {
    truth.status = absl::DataLossError(absl::StrCat(path, ": is ", mask->width, "x", mask->height,
                                                    ", its picture is ", width, "x", height));
  } else {
    truth.mask = *std::move(mask);
  }
  return truth;
}

class SegmentRun {
 public:
  SegmentRun(const SegmentOptions& options, const SegmentStreams& streams)
      : options_(options), streams_(streams) {}

  absl::StatusOr<SegmentOutcome> Run();

 private:
  absl::Status Prepare();
  absl::Status PrepareFolder() const;
  absl::Status RunBatch(std::span<const Picture> batch);
  Result Finish(const Picture& picture,
                const absl::StatusOr<evaluate::SegmentedPicture>& segmented) const;
  absl::Status Write(const Picture& picture, const data::LesionMask& mask,
                     const data::LesionMask& truth) const;
  absl::Status Tell(const Picture& picture, const Result& result);
  void TellSkipped(const std::string& file, const std::string& message);
  void TellProgress(const Picture& picture, const Result& result);
  void AddJson(const Picture& picture, const Result& result);
  void ClearBar();
  void TellEnd();

  std::string File(const Picture& picture, const char* ending) const {
    return (fs::path(options_.folder) / (picture.name + ending)).string();
  }
  bool has_masks() const { return !options_.masks.empty(); }

  const SegmentOptions& options_;
  const SegmentStreams& streams_;
  PictureList list_;
  std::unique_ptr<evaluate::PictureSegmenter> segmenter_;
  std::ofstream csv_;
  SegmentOutcome outcome_;
  size_t done_ = 0;
  double dice_ = 0, iou_ = 0;  // sums over `scored_` pictures
  int scored_ = 0;
  Json pictures_ = Json::array();
  Json skipped_ = Json::array();
};

absl::Status SegmentRun::PrepareFolder() const {
  std::error_code error;
  const fs::path folder(options_.folder);
  if (fs::exists(folder, error) &&
      (!fs::is_directory(folder, error) || (!options_.is_forced && !fs::is_empty(folder, error)))) {
    return absl::AlreadyExistsError(absl::StrCat(
        options_.folder, ": is not an empty folder: give --to a new one, or --force to add to it"));
  }
  fs::create_directories(folder, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat(options_.folder, ": cannot be made: ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status SegmentRun::Prepare() {
  std::error_code ignored;
  if (has_masks() && !fs::is_directory(options_.masks, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(options_.masks, ": no such folder of masks"));
  }
  if (has_masks() && fs::equivalent(options_.masks, options_.folder, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(
        options_.folder, ": holds the true masks, which could be replaced: give --to another one"));
  }
  list_ = FindPictures(options_.pictures, options_.folder);
  for (const Skipped& skipped : list_.skipped) TellSkipped(skipped.file, skipped.message);
  if (list_.pictures.empty()) return absl::InvalidArgumentError("there is nothing to segment");
  G2LL_ASSIGN_OR_RETURN(segmenter_, evaluate::PictureSegmenter::Load(options_.model));
  G2LL_RETURN_IF_ERROR(PrepareFolder());
  const std::string csv = (fs::path(options_.folder) / "segment.csv").string();
  csv_.open(csv, std::ios::binary | std::ios::trunc);
  csv_ << "image,width,height,area,confidence" << (has_masks() ? ",dice,iou\n" : "\n");
  if (!csv_) return absl::UnavailableError(absl::StrCat(csv, ": cannot be written"));
  return absl::OkStatus();
}

absl::StatusOr<SegmentOutcome> SegmentRun::Run() {
  G2LL_RETURN_IF_ERROR(Prepare());
  const std::span<const Picture> pictures(list_.pictures);
  const size_t batch = static_cast<size_t>(std::max(1, options_.batch));
  for (size_t begin = 0; begin < pictures.size(); begin += batch) {
    const absl::Status status =
        RunBatch(pictures.subspan(begin, std::min(batch, pictures.size() - begin)));
    if (!status.ok()) {
      ClearBar();
      return status;
    }
  }
  TellEnd();
  return outcome_;
}

absl::Status SegmentRun::RunBatch(std::span<const Picture> batch) {
  std::vector<std::string> paths;
  for (const Picture& picture : batch) paths.push_back(picture.path);
  const std::vector<absl::StatusOr<evaluate::SegmentedPicture>> segmented =
      segmenter_->Segment(paths);
  std::vector<Result> results(batch.size());
  data::ParallelFor(batch.size(), options_.model.threads,
                    [&](size_t i) { results[i] = Finish(batch[i], segmented[i]); });
  for (size_t i = 0; i < batch.size(); ++i) {
    G2LL_RETURN_IF_ERROR(Tell(batch[i], results[i]));
  }
  csv_.flush();
  return csv_ ? absl::OkStatus()
              : absl::UnavailableError(
                    absl::StrCat(options_.folder, "/segment.csv: cannot be written"));
}

// From many threads at once.
Result SegmentRun::Finish(const Picture& picture,
                          const absl::StatusOr<evaluate::SegmentedPicture>& segmented) const {
  Result result;
  result.status = segmented.status();
  if (!segmented.ok()) return result;
  const data::LesionMask& mask = segmented->mask;
  result.width = mask.width;
  result.height = mask.height;
  result.area = segmented->area;
  result.confidence = segmented->confidence;
  Truth truth;
  if (has_masks()) truth = ReadTruth(options_.masks, picture.name, mask.width, mask.height);
  result.truth = truth.status;
  if (truth.mask) result.score = evaluate::ScoreMask(mask, *truth.mask);
  result.written = Write(picture, mask, truth.mask.value_or(data::LesionMask{}));
  return result;
}

absl::Status SegmentRun::Write(const Picture& picture, const data::LesionMask& mask,
                               const data::LesionMask& truth) const {
  G2LL_ASSIGN_OR_RETURN(const std::string mask_png, data::EncodeMaskPng(mask));
  G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(File(picture, "_segmentation.png"), mask_png));
  G2LL_ASSIGN_OR_RETURN(const data::Image image, data::ReadImage(picture.path, kOverlayMaxSide));
  G2LL_ASSIGN_OR_RETURN(
      const std::string overlay_png,
      data::EncodePng(report::DrawOverlay(image, truth, mask, kOverlayMinSide, kOverlayMaxSide)));
  return data::WriteFileAtomically(File(picture, "_overlay.png"), overlay_png);
}

absl::Status SegmentRun::Tell(const Picture& picture, const Result& result) {
  ++done_;
  if (!result.status.ok()) {
    TellSkipped(picture.path, std::string(result.status.message()));
    return absl::OkStatus();
  }
  G2LL_RETURN_IF_ERROR(result.written);
  ++outcome_.segmented;
  csv_ << report::CsvField(picture.name)
       << absl::StrFormat(",%d,%d,%.6f,%.6f", result.width, result.height, result.area,
                          result.confidence);
  if (result.score) {
    csv_ << absl::StrFormat(",%.6f,%.6f", result.score->dice, result.score->iou);
    dice_ += result.score->dice;
    iou_ += result.score->iou;
    ++scored_;
  } else if (has_masks()) {
    csv_ << ",,";
  }
  csv_ << "\n";
  if (!result.truth.ok()) {
    ClearBar();
    streams_.talk << (absl::IsNotFound(result.truth) ? "warning: " : "error: ")
                  << log::EscapeControl(std::string(result.truth.message())) << "\n";
    outcome_.failed += absl::IsNotFound(result.truth) ? 0 : 1;
  }
  TellProgress(picture, result);
  return absl::OkStatus();
}

void SegmentRun::TellSkipped(const std::string& file, const std::string& message) {
  ClearBar();
  streams_.talk << "error: " << log::EscapeControl(message) << "\n";
  ++outcome_.failed;
  skipped_.push_back({{"file", file}, {"message", message}});
}

void SegmentRun::TellProgress(const Picture& picture, const Result& result) {
  if (options_.output == "json") {
    AddJson(picture, result);
  } else if (!streams_.has_bar) {
    streams_.out << log::EscapeControl(picture.name)
                 << absl::StrFormat(" %dx%d area %.4f confidence %.4f", result.width, result.height,
                                    result.area, result.confidence);
    if (result.score) {
      streams_.out << absl::StrFormat(" dice %.4f iou %.4f", result.score->dice, result.score->iou);
    }
    streams_.out << std::endl;
  }
  if (streams_.has_bar) {
    constexpr size_t kCells = 24;
    const size_t full = kCells * done_ / list_.pictures.size();
    std::string line = absl::StrCat("[", std::string(full, '#'), std::string(kCells - full, '-'),
                                    "] ", done_, "/", list_.pictures.size(), " ");
    const size_t room = static_cast<size_t>(std::max(0, streams_.width - 1));
    line += log::EscapeControl(picture.name);
    line.resize(std::min(line.size(), room));
    streams_.talk << "\r\x1b[2K" << line << std::flush;
  }
}

void SegmentRun::AddJson(const Picture& picture, const Result& result) {
  Json json = {{"image", picture.name},
               {"file", picture.path},
               {"width", result.width},
               {"height", result.height},
               {"area", result.area},
               {"confidence", result.confidence},
               {"segmentation", File(picture, "_segmentation.png")},
               {"overlay", File(picture, "_overlay.png")}};
  if (has_masks()) {
    json["dice"] = result.score ? Json(result.score->dice) : Json(nullptr);
    json["iou"] = result.score ? Json(result.score->iou) : Json(nullptr);
  }
  pictures_.push_back(std::move(json));
}

void SegmentRun::ClearBar() {
  if (streams_.has_bar) streams_.talk << "\r\x1b[2K" << std::flush;
}

void SegmentRun::TellEnd() {
  ClearBar();
  const double dice = scored_ > 0 ? dice_ / scored_ : 0;
  const double iou = scored_ > 0 ? iou_ / scored_ : 0;
  if (options_.output == "json") {
    Json json = {{"to", options_.folder},
                 {"csv", (fs::path(options_.folder) / "segment.csv").string()},
                 {"segmented", outcome_.segmented},
                 {"skipped", skipped_},
                 {"pictures", pictures_}};
    if (scored_ > 0) {
      json["scored"] = scored_;
      json["dice"] = dice;
      json["iou"] = iou;
    }
    streams_.out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  streams_.out << outcome_.segmented << " of " << outcome_.segmented + skipped_.size()
               << " pictures segmented into " << log::EscapeControl(options_.folder);
  if (scored_ > 0) {
    streams_.out << absl::StrFormat("; mean Dice %.4f, IoU %.4f over %d with a mask", dice, iou,
                                    scored_);
  }
  streams_.out << "\n";
}

}  // namespace

absl::StatusOr<SegmentOutcome> SegmentPictures(const SegmentOptions& options,
                                               const SegmentStreams& streams) {
  return SegmentRun(options, streams).Run();
}

}  // namespace g2ll::tool
