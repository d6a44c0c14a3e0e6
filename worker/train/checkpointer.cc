#include "worker/train/checkpointer.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/train/failure.h"

namespace g2ll::train {
namespace {

constexpr char kStateFile[] = "state.json";
constexpr char kHistoryFile[] = "history.json";
constexpr char kOptimizerFile[] = "optimizer.safetensors";
constexpr char kTrainingIdsFile[] = "training_ids.txt";

std::string LinesOf(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) absl::StrAppend(&lines, text, "\n");
  return lines;
}

absl::StatusOr<std::string> ReadTextFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path.string(), ": cannot be read"));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

Checkpointer::Checkpointer(const Options& options, run::RunEvents& events, History& history)
    : options_(options),
      events_(events),
      history_(history),
      last_save_(std::chrono::steady_clock::now()) {}

void Checkpointer::OnScores(const Scores& scores, int64_t num_steps) {
  for (const auto& [name, value] : scores) {
    if (name != options_.selection_score || (best_ && value <= best_->value)) continue;
    best_ = Best{value, num_steps};
    is_best_now_ = true;
  }
}

bool Checkpointer::IsDue(bool is_last) const {
  const absl::Duration since = absl::FromChrono(std::chrono::steady_clock::now() - last_save_);
  return is_last || is_best_now_ || since >= options_.every;
}

absl::Status Checkpointer::Save(const StepContext& finished, bool is_last, const TrainTask& task,
                                const AdamW& optimizer,
                                const std::map<std::string, double>& metrics) {
  absl::StatusOr<run::WrittenCheckpoint> written = Write(finished, task, optimizer);
  if (!written.ok()) return WithFailure(written.status(), FailureKind::kStorage);
  written->metrics = metrics;
  written->best = is_best_now_;
  is_best_now_ = false;
  last_save_ = std::chrono::steady_clock::now();

  const absl::Status verdict = events_.OnCheckpoint(*written);
  if (absl::IsAborted(verdict)) return WithFailure(verdict, FailureKind::kFenced);
  if (absl::IsUnavailable(verdict)) return WithFailure(verdict, FailureKind::kPreempted);
  if (!verdict.ok() && is_last) return WithFailure(verdict, FailureKind::kStorage);
  if (!verdict.ok()) {
    log::Warning("a checkpoint does not count",
                 {{"path", written->path}, {"reason", std::string(verdict.message())}});
  }
  return absl::OkStatus();
}

absl::StatusOr<run::WrittenCheckpoint> Checkpointer::Write(const StepContext& finished,
                                                           const TrainTask& task,
                                                           const AdamW& optimizer) const {
  const std::string name = absl::StrCat("s", finished.step);
  G2LL_ASSIGN_OR_RETURN(auto writer,
                        checkpoint::CheckpointWriter::Create(
                            std::filesystem::path(options_.storage_root) / options_.parent, name));
  G2LL_RETURN_IF_ERROR(task.SaveState(writer));
  G2LL_RETURN_IF_ERROR(
      checkpoint::SaveTensors(writer.directory() / kOptimizerFile, optimizer.State()));
  G2LL_RETURN_IF_ERROR(writer.WriteFile(kStateFile, StateJson(finished.step)));
  G2LL_RETURN_IF_ERROR(writer.WriteFile(kHistoryFile, FormatHistory(history_)));
  G2LL_RETURN_IF_ERROR(writer.WriteFile("config.json", options_.config_json));
  G2LL_RETURN_IF_ERROR(writer.WriteFile("export_config.json", options_.export_config_json));
  if (!options_.training_ids.empty()) {
    G2LL_RETURN_IF_ERROR(writer.WriteFile(kTrainingIdsFile, LinesOf(options_.training_ids)));
  }

  checkpoint::Manifest manifest = options_.manifest;
  manifest.step = finished.step;
  manifest.train_epoch = finished.epoch;
  G2LL_ASSIGN_OR_RETURN(const checkpoint::CheckpointSummary summary,
                        writer.Finish(std::move(manifest)));
  run::WrittenCheckpoint written;
  written.step = finished.step;
  written.path = absl::StrCat(options_.parent, "/", name);
  written.manifest_sha256 = summary.manifest_sha256;
  written.size_bytes = static_cast<int64_t>(summary.total_bytes);
  return written;
}

std::string Checkpointer::StateJson(int64_t step) const {
  nlohmann::ordered_json state;
  state["format"] = 1;
  state["step"] = step;
  if (best_) {
    state["best"] = {
        {"name", options_.selection_score}, {"value", best_->value}, {"step", best_->step}};
  }
  return state.dump();
}

absl::StatusOr<int64_t> Checkpointer::Restore(const std::string& directory, TrainTask& task,
                                              AdamW& optimizer) {
  const std::filesystem::path path(directory);
  G2LL_RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(path));
  G2LL_ASSIGN_OR_RETURN(const checkpoint::Manifest manifest, checkpoint::ReadManifest(path));
  if (manifest.job_uid != options_.manifest.job_uid) {
    return absl::FailedPreconditionError(absl::StrCat(directory, ": belongs to job ", manifest.job,
                                                      ", not to ", options_.manifest.job));
  }
  G2LL_RETURN_IF_ERROR(task.LoadState(directory));
  G2LL_ASSIGN_OR_RETURN(const auto moments, checkpoint::LoadTensors(path / kOptimizerFile));
  G2LL_RETURN_IF_ERROR(optimizer.LoadState(moments));
  G2LL_ASSIGN_OR_RETURN(const std::string history, ReadTextFile(path / kHistoryFile));
  G2LL_ASSIGN_OR_RETURN(history_, ParseHistory(history));
  if (history_.runs.empty()) return absl::DataLossError("history.json: holds no run");
  return ReadState(directory);
}

absl::StatusOr<int64_t> Checkpointer::ReadState(const std::string& directory) {
  G2LL_ASSIGN_OR_RETURN(const std::string text,
                        ReadTextFile(std::filesystem::path(directory) / kStateFile));
  try {
    const nlohmann::json state = nlohmann::json::parse(text);
    if (state.contains("best")) {
      best_ =
          Best{state["best"].at("value").get<double>(), state["best"].at("step").get<int64_t>()};
    }
    return state.at("step").get<int64_t>();
  } catch (const nlohmann::json::exception& e) {
    return absl::DataLossError(absl::StrCat(directory, "/state.json: ", e.what()));
  }
}

}  // namespace g2ll::train
