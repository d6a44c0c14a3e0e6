// `g2ll update`: priority, labels and limits of a job that has not ended.
#include <map>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"

namespace g2ll::cli {
namespace {

// How often labels are read and written again where somebody else was faster.
constexpr int kEtagTries = 5;

struct UpdateOptions {
  std::string job;
  std::string etag;
  std::vector<std::string> labels;
  std::string ranks;
  bool dry_run = false;
  // Option -> text of the keys of `policy` that were given.
  std::map<std::string, std::string> policy;
};

// An option that sets one key of `policy`.
struct PolicyOption {
  const char* option;
  const char* key;
  const char* field;
  const char* help;
};
constexpr PolicyOption kPolicyOptions[] = {
    {"--priority", "priority", "priority", "low, normal or high"},
    {"--max-retries", "maxRetries", "max_retries", "Restarts after faults of the job itself"},
    {"--max-infra-retries", "maxInfraRetries", "max_infra_retries",
     "Restarts after faults of the infrastructure; -1 is no limit"},
    {"--preemptible", "preemptible", "preemptible",
     "true or false: may be stopped at a checkpoint for a more important job"},
    {"--max-runtime", "maxRuntime", "max_runtime",
     "Longest time that an attempt may run, for example 2h; auto is no limit"},
    {"--queue", "queue", "queue", "Queue in which it waits; only while it waits"},
};

absl::Status Bad(const std::string& option, const std::string& given, const std::string& allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, ": given ", given, ", allowed: ", allowed));
}

// `2`, or `1-4`.
absl::Status SetRanks(const std::string& text, google::protobuf::Message* kind) {
  const std::vector<std::string> parts = absl::StrSplit(text, '-');
  int min = 0;
  int max = 0;
  const bool is_good = !text.empty() && parts.size() <= 2 && absl::SimpleAtoi(parts[0], &min) &&
                       absl::SimpleAtoi(parts.back(), &max) && min >= 1 && max >= min;
  if (!is_good) return Bad("--ranks", text, "a number, or MIN-MAX with 1 <= MIN <= MAX");
  for (const auto& [path, number] :
       {std::pair("resources.ranks.min", min), std::pair("resources.ranks.max", max)}) {
    const spec::FieldRef ref = spec::MutableField(kind, path);
    ref.message->GetReflection()->SetInt32(ref.message, ref.field, number);
  }
  return absl::OkStatus();
}

// Adds `KEY=VALUE`, and takes `KEY-` away.
absl::Status ChangeLabels(const std::vector<std::string>& changes,
                          google::protobuf::Map<std::string, std::string>* labels) {
  for (const std::string& change : changes) {
    const size_t equals = change.find('=');
    if (equals == std::string::npos && change.size() > 1 && change.back() == '-') {
      labels->erase(change.substr(0, change.size() - 1));
      continue;
    }
    const std::string key = change.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : change.substr(equals + 1);
    if (equals == std::string::npos || !spec::ValidateLabels({{key, value}}).empty()) {
      return Bad("--label", change,
                 "KEY=VALUE of at most 63 of A-Z, a-z, 0-9, ., _ and - each, or KEY- to remove it");
    }
    (*labels)[key] = value;
  }
  return absl::OkStatus();
}

// The request that makes of `job`, as it is now, what the options ask for.
absl::StatusOr<v1::UpdateJobRequest> MakeRequest(const UpdateOptions& options, const v1::Job& job) {
  v1::UpdateJobRequest request;
  request.set_validate_only(options.dry_run);
  v1::Job& changed = *request.mutable_job();
  changed.set_name(job.name());
  changed.set_etag(options.etag);
  spec::SetKind(spec::KindName(job.spec()), changed.mutable_spec());
  google::protobuf::Message* kind = spec::MutableKindMessage(changed.mutable_spec());
  if (kind == nullptr) return absl::InternalError("the server sent a job without a kind");
  for (const PolicyOption& option : kPolicyOptions) {
    const auto given = options.policy.find(option.option);
    if (given == options.policy.end()) continue;
    const spec::FieldRef ref = spec::MutableField(kind, absl::StrCat("policy.", option.key));
    if (!spec::SetFromText(ref.message, ref.field, given->second, spec::ScalarStyle::kPlain)) {
      return Bad(option.option, given->second, spec::AllowedText(ref.field));
    }
    request.mutable_update_mask()->add_paths(absl::StrCat("spec.policy.", option.field));
  }
  if (!options.ranks.empty()) {
    G2LL_RETURN_IF_ERROR(SetRanks(options.ranks, kind));
    request.mutable_update_mask()->add_paths("spec.resources.ranks");
  }
  if (!options.labels.empty()) {
    *changed.mutable_labels() = job.labels();
    G2LL_RETURN_IF_ERROR(ChangeLabels(options.labels, changed.mutable_labels()));
    // The other labels are written as they were read: nobody may have changed them.
    changed.set_etag(job.etag());
    request.mutable_update_mask()->add_paths("labels");
  }
  if (request.update_mask().paths().empty()) {
    return absl::InvalidArgumentError("nothing to change; g2ll update --help lists what can be");
  }
  return request;
}

int Update(Context& context, const UpdateOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  absl::StatusOr<v1::Job> job;
  for (int i = 0; i < kEtagTries; ++i) {
    job = context.client().GetJob(*full);
    if (!job.ok()) break;
    if (!options.etag.empty() && job->etag() != options.etag) {
      job = net::WithReason(
          absl::AbortedError(absl::StrCat(*full, " is no longer the version ", options.etag)),
          "ETAG_MISMATCH");
      break;
    }
    const auto request = MakeRequest(options, *job);
    if (!request.ok()) return context.Fail(request.status());
    job = context.client().UpdateJob(*request);
    const bool was_overtaken =
        options.etag.empty() && net::ReasonOf(job.status()) == "ETAG_MISMATCH";
    if (!was_overtaken) break;
  }
  if (!job.ok()) return context.Fail(job.status());
  context.PrintOne(JobJson(*job), job->name(), [&] {
    context.Print(absl::StrCat(job->name(), " ", v1::Job::State_Name(job->state())));
  });
  return kDone;
}

}  // namespace

void AddUpdateCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* command = nullptr;
  const auto options =
      AddCommand<UpdateOptions>(app, "update", "Change priority, labels or limits of a job",
                                context, action, Update, &command);
  command->add_option("job", options->job, "Name of the job")->required();
  for (const PolicyOption& option : kPolicyOptions) {
    command->add_option_function<std::string>(
        option.option,
        [options, name = option.option](const std::string& text) { options->policy[name] = text; },
        option.help);
  }
  command
      ->add_option("-l,--label", options->labels,
                   "KEY=VALUE sets a label, KEY- removes it; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--ranks", options->ranks,
                      "Ranks from the next attempt on: a number, or MIN-MAX");
  command->add_option("--etag", options->etag, "Only if the job is still this version");
  command->add_flag("--dry-run", options->dry_run, "Check on the server but change nothing");
}

}  // namespace g2ll::cli
