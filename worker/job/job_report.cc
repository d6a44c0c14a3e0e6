#include "worker/job/job_report.h"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"
#include "proto/common/status_macros.h"
#include "worker/evaluate/pending_directory.h"
#include "worker/evaluate/run_history.h"

namespace g2ll::job {
namespace {

namespace fs = std::filesystem;

// Path -> value of everything that is set below `spec`, in the order of the fields.
std::vector<std::pair<std::string, std::string>> ValuesOf(const v1::JobSpec& spec) {
  std::vector<std::pair<std::string, std::string>> values;
  spec::ForEachValue(*spec::KindMessage(spec), [&](const std::string& path, const auto& message,
                                                   const auto* field) {
    std::string text;
    if (field->is_repeated()) {
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
        absl::StrAppend(&text, i == 0 ? "" : ", ", spec::TextOf(message, field, i));
      }
    } else {
      text = spec::TextOf(message, field);
    }
    values.emplace_back(path, text);
  });
  return values;
}

// A spec of this kind, recipe and method in which nothing else is given.
v1::JobSpec BareSpec(const v1::JobSpec& spec) {
  v1::JobSpec bare;
  spec::SetKind(spec::KindName(spec), &bare);
  if (spec.has_pretrain()) {
    bare.mutable_pretrain()->set_recipe(spec.pretrain().recipe());
    bare.mutable_pretrain()->set_method(spec.pretrain().method());
  }
  if (spec.has_finetune()) bare.mutable_finetune()->set_recipe(spec.finetune().recipe());
  if (spec.has_evaluate()) bare.mutable_evaluate()->set_recipe(spec.evaluate().recipe());
  return bare;
}

// Ids of the images that a run opened with `options` would have but for the ids that they
// leave out. No image is decoded.
absl::StatusOr<std::vector<std::string>> ExcludedIdsOf(data::DatasetOptions options) {
  std::erase(options.exclude_ids, "none");
  if (options.exclude_ids.empty()) return std::vector<std::string>();
  options.fraction = 1;
  options.max_images = 0;
  G2LL_ASSIGN_OR_RETURN(const auto kept, data::Dataset::Open(options));
  options.exclude_ids.clear();
  G2LL_ASSIGN_OR_RETURN(const auto all, data::Dataset::Open(options));
  const std::vector<std::string> kept_ids = IdsOf(*kept);
  const std::set<std::string> is_kept(kept_ids.begin(), kept_ids.end());
  std::vector<std::string> excluded;
  for (const std::string& id : IdsOf(*all)) {
    if (!is_kept.contains(id)) excluded.push_back(id);
  }
  return excluded;
}

absl::StatusOr<report::TrainingReport> Collect(const RankContext& context, const TrainingRun& run,
                                               const std::string& method,
                                               const train::RunRecord& record) {
  const v1::JobSpec& spec = context.assignment.spec();
  report::TrainingReport report;
  report.run = evaluate::ToReport(record);
  report.method = method;
  report.title =
      absl::StrCat(spec.has_pretrain() ? "Pre-training by " : "Fine-tuning by ", record.job);
  report.data_source = spec::Data(spec).source();
  report.split = spec::Data(spec).split();
  report.images = static_cast<int64_t>(run.training_ids.size());
  report.checkpoint =
      absl::StrCat(context.assignment.checkpoint_parent(), "/s", run.length.last_step);
  report.settings = SettingsOf(spec);
  report.settings_note = spec::kSourceLegend;
  if (spec.has_pretrain()) {
    if (spec.pretrain().distill().lambda() > 0) {
      report.num_prototypes = spec.pretrain().model().head_out();
    }
    report.is_target_normalized = spec.pretrain().mim().norm_pix();
  }
  G2LL_ASSIGN_OR_RETURN(report.excluded_ids, ExcludedIdsOf(run.images));
  if (run.add_pictures) G2LL_RETURN_IF_ERROR(run.add_pictures(report));
  return report;
}

absl::Status Write(const RankContext& context, const TrainingRun& run, const std::string& method,
                   const train::RunRecord& record) {
  const std::string& path = context.assignment.report_path();
  G2LL_ASSIGN_OR_RETURN(
      evaluate::PendingDirectory directory,
      evaluate::PendingDirectory::Create(fs::path(context.assignment.storage_root()) / path));
  G2LL_ASSIGN_OR_RETURN(const report::TrainingReport report, Collect(context, run, method, record));
  G2LL_RETURN_IF_ERROR(report::WriteTrainingReport(report, directory.path().string()));
  G2LL_RETURN_IF_ERROR(directory.Commit());
  context.events.OnReport(path);
  return absl::OkStatus();
}

}  // namespace

void ReportTraining(const RankContext& context, const TrainingRun& run, const std::string& method,
                    const train::RunRecord& record) {
  // An agent that wants no report names no place for it.
  if (context.assignment.report_path().empty()) return;
  const absl::Status status = Write(context, run, method, record);
  if (status.ok()) return;
  log::Warning("no report", {{"reason", std::string(status.message())}});
}

std::vector<report::Setting> SettingsOf(const v1::JobSpec& spec) {
  v1::JobSpec bare = BareSpec(spec);
  const spec::DefaultSources sources = spec::SourcesOfDefaults(bare);
  spec::ApplyDefaults(&bare);
  const auto defaults = ValuesOf(bare);
  const std::map<std::string, std::string> default_of(defaults.begin(), defaults.end());

  std::vector<report::Setting> settings;
  for (const auto& [path, value] : ValuesOf(spec)) {
    report::Setting setting{path, value, "", true};
    const auto found = default_of.find(path);
    const auto source = sources.find(path);
    if (found == default_of.end()) {
      setting.is_default = false;
      setting.source = "given; the recipe has none";
    } else if (found->second != value) {
      setting.is_default = false;
      setting.source = absl::StrCat("given; the recipe has ", found->second);
    } else {
      setting.source = source == sources.end() ? "chooses the defaults" : source->second;
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

}  // namespace g2ll::job
