#include "worker/evaluate/evaluation.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/data/photograph_id.h"
#include "worker/data/resize.h"
#include "worker/data/subset.h"
#include "worker/evaluate/batch_reader.h"
#include "worker/evaluate/image_scorer.h"
#include "worker/evaluate/pending_directory.h"
#include "worker/evaluate/run_history.h"
#include "worker/evaluate/segmenter.h"
#include "worker/metric/baseline.h"
#include "worker/metric/overlap.h"
#include "worker/report/report.h"
#include "worker/train/failure.h"
#include "worker/train/history.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;
using train::FailureKind;
using train::WithFailure;

// Masks from which the baselines are chosen.
constexpr int64_t kMaxTrainingMasks = 200;
// Pictures of each kind in the report.
constexpr size_t kMaxPicturesPerGroup = 4;

// One image's mask out of a batch, as bytes of 0 or 1.
std::vector<uint8_t> MaskBytes(const torch::Tensor& mask) {
  const torch::Tensor bytes = (mask > 0.5).to(torch::kUInt8).contiguous();
  const uint8_t* first = bytes.const_data_ptr<uint8_t>();
  return {first, first + bytes.numel()};
}

// How the baselines came about; `opened` is why there are no training masks.
std::string BaselineNote(size_t num_masks, const absl::Status& opened) {
  if (num_masks > 0) {
    return absl::StrCat("Both were chosen by mean Dice on ", num_masks, " training masks.");
  }
  return absl::StrCat("There are no training masks to choose by (", std::string(opened.message()),
                      "), so both were fixed beforehand: a constant mask of every pixel and "
                      "semi-axes of 0.6 of the half side.");
}

// Positions in an order from best to worst that a report shows, with their group.
std::vector<std::pair<size_t, report::OverlayGroup>> ChoosePictures(size_t num_images) {
  const size_t per_group = std::min(kMaxPicturesPerGroup, (num_images + 2) / 3);
  const size_t worst_begin = std::max(per_group, num_images - std::min(num_images, per_group));
  std::vector<std::pair<size_t, report::OverlayGroup>> chosen;
  for (size_t i = 0; i < per_group; ++i) {
    chosen.emplace_back(i, report::OverlayGroup::kBest);
  }
  const size_t num_middle = std::min(per_group, worst_begin - per_group);
  const size_t middle_begin = per_group + (worst_begin - per_group - num_middle) / 2;
  for (size_t i = middle_begin; i < middle_begin + num_middle; ++i) {
    chosen.emplace_back(i, report::OverlayGroup::kMiddle);
  }
  for (size_t i = num_images; i > worst_begin; --i) {
    chosen.emplace_back(i - 1, report::OverlayGroup::kWorst);
  }
  return chosen;
}

// One evaluation from the checkpoint to the report.
class Evaluation {
 public:
  Evaluation(const EvaluationOptions& options, run::RunEvents& events, std::stop_token stop)
      : options_(options), events_(events), stop_(std::move(stop)) {}

  absl::Status Run();

 private:
  // The steps of Run, in order.
  absl::Status OpenModel();
  absl::Status OpenData();
  absl::Status ChooseBaselines();
  absl::Status ScoreImages();
  absl::Status AddPictures();
  void Summarize();
  void EmitMetrics() const;

  absl::Status LoadModel();
  absl::Status ReadHistory(const fs::path& file);
  absl::Status CheckStop() const;
  absl::Status AddMasks(const data::Dataset& dataset, metric::MaskSet& set) const;
  absl::Status ScoreBatch(const EvaluationBatch& batch);
  absl::Status AddPicture(int64_t index, report::OverlayGroup group);
  void ScoreBaselines(std::span<const uint8_t> truth);
  void EmitProgress() const;
  double Seconds() const;

  const EvaluationOptions& options_;
  run::RunEvents& events_;
  std::stop_token stop_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  std::optional<Segmenter> segmenter_;
  checkpoint::Manifest manifest_;
  train::History history_;
  std::unique_ptr<data::Dataset> dataset_;
  metric::BaselineMask constant_mask_, centered_ellipse_;
  ImageScorer scorer_{options_.protocol.postprocess};
  report::ReportInput report_;
};

absl::Status Evaluation::Run() {
  // First, so that a storage root that cannot be written fails before the work.
  absl::StatusOr<PendingDirectory> directory =
      PendingDirectory::Create(fs::path(options_.storage_root) / options_.report_path);
  if (!directory.ok()) {
    return WithFailure(directory.status(), FailureKind::kStorage);
  }
  G2LL_RETURN_IF_ERROR(OpenModel());
  G2LL_RETURN_IF_ERROR(WithFailure(OpenData(), FailureKind::kData));
  G2LL_RETURN_IF_ERROR(WithFailure(ChooseBaselines(), FailureKind::kData));
  G2LL_RETURN_IF_ERROR(WithFailure(ScoreImages(), FailureKind::kData));
  G2LL_RETURN_IF_ERROR(WithFailure(AddPictures(), FailureKind::kData));
  Summarize();
  G2LL_RETURN_IF_ERROR(
      WithFailure(report::WriteReport(report_, directory->path().string()), FailureKind::kStorage));
  G2LL_RETURN_IF_ERROR(WithFailure(directory->Commit(), FailureKind::kStorage));
  EmitMetrics();
  events_.OnReport(options_.report_path);
  return absl::OkStatus();
}

absl::Status Evaluation::OpenModel() {
  const absl::Status loaded = LoadModel();
  // What a user's own path lacks it lacks in the next attempt too; a job's checkpoint was
  // good when it was committed.
  const bool is_setting = options_.is_path_given && !absl::IsUnavailable(loaded);
  return WithFailure(loaded, is_setting ? FailureKind::kConfig : FailureKind::kStorage);
}

absl::Status Evaluation::LoadModel() {
  G2LL_ASSIGN_OR_RETURN(const fs::path directory, ModelDirectory(options_.checkpoint));
  std::error_code ignored;  // what cannot be looked at is not there
  // An exported model is one file and has neither manifest nor history.
  const bool is_exported = fs::exists(directory / "model.safetensors", ignored) &&
                           !fs::exists(directory / checkpoint::kManifestName, ignored);
  if (!is_exported) {
    G2LL_RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(directory));
  }
  absl::StatusOr<Segmenter> segmenter = Segmenter::Load(directory, options_.device);
  if (absl::IsFailedPrecondition(segmenter.status())) {
    return WithFailure(segmenter.status(), FailureKind::kConfig);  // another kind of model
  }
  if (!segmenter.ok()) {
    return segmenter.status();
  }
  segmenter_ = *std::move(segmenter);
  if (!is_exported) {
    G2LL_ASSIGN_OR_RETURN(manifest_, checkpoint::ReadManifest(directory));
    G2LL_RETURN_IF_ERROR(ReadHistory(directory / "history.json"));
  }
  G2LL_ASSIGN_OR_RETURN(
      report_.checkpoint_sha256,
      checkpoint::Sha256OfFile(directory / (is_exported ? std::string_view("model.safetensors")
                                                        : checkpoint::kManifestName)));
  return absl::OkStatus();
}

absl::Status Evaluation::ReadHistory(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(file.string(), ": cannot be read"));
  }
  G2LL_ASSIGN_OR_RETURN(history_,
                        train::ParseHistory(std::string(std::istreambuf_iterator<char>(in), {})));
  return absl::OkStatus();
}

absl::Status Evaluation::OpenData() {
  data::DatasetOptions options = options_.data;
  options.needs_masks = true;
  G2LL_ASSIGN_OR_RETURN(dataset_, data::Dataset::Open(options));
  report_.title = absl::StrCat("Lesion segmentation by ", options_.job);
  report_.data_source = options.source;
  report_.split = data::SplitName(options.split);
  report_.image_size = segmenter_->input().image_size;
  return absl::OkStatus();
}

absl::Status Evaluation::ChooseBaselines() {
  metric::MaskSet training{segmenter_->input().image_size, {}};
  data::DatasetOptions options;
  options.source = options_.data.source;
  options.split = data::Split::kTrain;
  options.needs_masks = true;
  options.max_images = kMaxTrainingMasks;
  options.subset_seed = options_.data.subset_seed;
  // A source whose training split cannot be opened, or that has none, is fine: the choice is
  // then made without masks, and the report says why.
  const auto dataset = data::Dataset::Open(options);
  if (dataset.ok()) {
    G2LL_RETURN_IF_ERROR(AddMasks(**dataset, training));
  }
  constant_mask_ = metric::ChooseConstantMask(training);
  centered_ellipse_ = metric::ChooseCenteredEllipse(training);
  report_.constant_mask.description = constant_mask_.description;
  report_.centered_ellipse.description = centered_ellipse_.description;
  report_.baseline_note = BaselineNote(training.masks.size(), dataset.status());
  return absl::OkStatus();
}

absl::Status Evaluation::AddMasks(const data::Dataset& dataset, metric::MaskSet& set) const {
  for (int64_t i = 0; i < dataset.size(); ++i) {
    G2LL_RETURN_IF_ERROR(CheckStop());
    G2LL_ASSIGN_OR_RETURN(const data::LesionMask mask, dataset.LoadMask(i));
    set.masks.push_back(data::ResizeMask(mask, set.size, set.size).pixels);
  }
  return absl::OkStatus();
}

absl::Status Evaluation::CheckStop() const {
  if (!stop_.stop_requested()) return absl::OkStatus();
  return WithFailure(absl::CancelledError("the evaluation was asked to stop"),
                     FailureKind::kPreempted);
}

absl::Status Evaluation::ScoreImages() {
  BatchReader reader(*dataset_, segmenter_->input(), std::max<int64_t>(1, options_.batch),
                     std::max(1, options_.threads));
  while (reader.HasNext()) {
    G2LL_RETURN_IF_ERROR(CheckStop());
    G2LL_ASSIGN_OR_RETURN(const EvaluationBatch batch, reader.Next());
    G2LL_RETURN_IF_ERROR(ScoreBatch(batch));
    EmitProgress();
  }
  return absl::OkStatus();
}

absl::Status Evaluation::ScoreBatch(const EvaluationBatch& batch) {
  const torch::Tensor logits = segmenter_->Predict(batch.network.images, options_.protocol.tta);
  for (int64_t row = 0; row < logits.size(0); ++row) {
    const size_t i = static_cast<size_t>(row);
    const std::string& id = dataset_->id(batch.network.indices[i]);
    if (!logits[row].isfinite().all().item<bool>()) {
      return WithFailure(absl::InternalError(absl::StrCat("image ", id,
                                                          ": the network's prediction is not a "
                                                          "finite number")),
                         FailureKind::kNonFinite);
    }
    const std::vector<uint8_t> truth = MaskBytes(batch.network.masks[row]);
    scorer_.Add(id, logits[row], truth, batch.native_truth[i]);
    ScoreBaselines(truth);
  }
  return absl::OkStatus();
}

// Adds one image; Summarize divides.
void Evaluation::ScoreBaselines(std::span<const uint8_t> truth) {
  const auto add = [&truth](const metric::BaselineMask& prediction, report::Baseline& sum) {
    const metric::OverlapCounts counts = metric::CountOverlap(prediction.mask, truth);
    sum.dice += metric::Dice(counts);
    sum.iou += metric::IoU(counts);
  };
  add(constant_mask_, report_.constant_mask);
  add(centered_ellipse_, report_.centered_ellipse);
}

absl::Status Evaluation::AddPictures() {
  const std::vector<report::ImageScore>& images = scorer_.images();
  std::vector<size_t> order(images.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&images](size_t a, size_t b) { return images[a].dice > images[b].dice; });
  for (const auto& [position, group] : ChoosePictures(order.size())) {
    G2LL_RETURN_IF_ERROR(CheckStop());
    // Scores were added in the order of the data set.
    G2LL_RETURN_IF_ERROR(AddPicture(static_cast<int64_t>(order[position]), group));
  }
  return absl::OkStatus();
}

absl::Status Evaluation::AddPicture(int64_t index, report::OverlayGroup group) {
  std::vector<data::LesionMask> truth;
  G2LL_ASSIGN_OR_RETURN(const data::SegmentationBatch batch,
                        data::LoadSegmentationBatch(*dataset_, {index}, segmenter_->input(),
                                                    /*threads=*/1, &truth));
  report::Overlay overlay;
  overlay.group = group;
  overlay.score = scorer_.images()[static_cast<size_t>(index)];
  overlay.truth = std::move(truth.front());
  overlay.prediction =
      Segmenter::MaskOf(segmenter_->Predict(batch.images, options_.protocol.tta)[0],
                        overlay.truth.height, overlay.truth.width, options_.protocol.postprocess);
  G2LL_ASSIGN_OR_RETURN(overlay.image, dataset_->LoadImage(index));
  report::ReduceToReport(overlay);
  report_.overlays.push_back(std::move(overlay));
  return absl::OkStatus();
}

void Evaluation::Summarize() {
  scorer_.Fill(options_.seed, report_);
  report_.protocol = {NameOf(options_.protocol.tta), NameOf(options_.protocol.postprocess),
                      kLesionThreshold};
  const int64_t num_images = static_cast<int64_t>(report_.images.size());
  for (report::Baseline* sum : {&report_.constant_mask, &report_.centered_ellipse}) {
    sum->dice /= static_cast<double>(num_images);
    sum->iou /= static_cast<double>(num_images);
  }

  bool is_pretrained = false;
  for (const train::RunRecord& run : history_.runs) {
    is_pretrained |= run.kind == "PretrainJob";
    report_.runs.push_back(ToReport(run));
  }
  if (is_pretrained) {
    std::set<std::string_view> seen;
    for (const std::string& id : history_.pretrain_ids) seen.insert(data::PhotographId(id));
    for (const report::ImageScore& score : report_.images) {
      if (seen.contains(data::PhotographId(score.id))) report_.pretrain_overlap.push_back(score.id);
    }
    report_.pretrain_disjoint_from_test = report_.pretrain_overlap.empty();
  }
  const double seconds = Seconds();
  report_.runs.push_back({options_.job,
                          "EvaluateJob",
                          seconds,
                          static_cast<double>(num_images) / seconds,
                          num_images,
                          {}});
}

void Evaluation::EmitMetrics() const {
  const std::pair<const char*, double> metrics[] = {{"test/dice", report_.dice.mean},
                                                    {"test/iou", report_.iou.mean},
                                                    {"test/dice_native", report_.dice_native.mean},
                                                    {"test/iou_native", report_.iou_native.mean}};
  for (const auto& [name, value] : metrics) {
    events_.OnMetric({name, value, manifest_.step, manifest_.train_epoch});
  }
}

void Evaluation::EmitProgress() const {
  run::Progress progress;
  progress.step = static_cast<int64_t>(scorer_.images().size());
  progress.total_steps = dataset_->size();
  progress.images_per_second = static_cast<double>(progress.step) / Seconds();
  progress.eta_seconds =
      static_cast<double>(progress.total_steps - progress.step) / progress.images_per_second;
  events_.OnProgress(progress);
}

double Evaluation::Seconds() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  return std::max(1e-9, elapsed.count());
}

}  // namespace

absl::Status RunEvaluation(const EvaluationOptions& options, run::RunEvents& events,
                           std::stop_token stop) {
  return Evaluation(options, events, std::move(stop)).Run();
}

}  // namespace g2ll::evaluate
