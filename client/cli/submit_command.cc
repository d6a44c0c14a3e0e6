#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_files.h"
#include "client/cli/json_printer.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/status_macros.h"

namespace g2ll::cli {
namespace {

// Options of `submit`.
struct SubmitOptions {
  std::string file;
  std::vector<std::string> overrides;
  std::string request_id;
  bool follow = false;
  bool wait = false;
  bool dry_run = false;
};

v1::CreateJobRequest MakeRequest(const spec::JobDocument& job, const SubmitOptions& options,
                                 size_t index) {
  v1::CreateJobRequest request;
  request.set_parent(absl::StrCat("projects/", job.project));
  request.set_job_id(job.name);
  request.mutable_job()->mutable_labels()->insert(job.labels.begin(), job.labels.end());
  *request.mutable_job()->mutable_spec() = job.spec;
  // One id is one job; the further documents get ids of their own out of it.
  request.set_request_id(index == 0 ? options.request_id
                                    : absl::StrCat(options.request_id, ".", index + 1));
  return request;
}

// Asks the server whether it would take the jobs, before any is stored. A job that
// starts from an earlier one of the file cannot be found yet; that is no fault.
// With an error `checked` holds the jobs before the bad one.
absl::Status CheckAll(client::Client& client, const std::vector<v1::CreateJobRequest>& requests,
                      std::vector<v1::Job>* checked) {
  std::set<std::string> in_file;
  for (v1::CreateJobRequest request : requests) {
    request.set_validate_only(true);
    request.clear_request_id();
    absl::StatusOr<v1::Job> job = client.CreateJob(request);
    if (!job.ok()) {
      const std::vector<std::string> needed = NeededJobs(request.job().spec());
      const bool needs_the_file = std::any_of(
          needed.begin(), needed.end(), [&](const auto& name) { return in_file.contains(name); });
      if (net::ReasonOf(job.status()) != "SOURCE_NOT_FOUND" || !needs_the_file) {
        return job.status();
      }
      job = request.job();
      job->set_name(absl::StrCat(request.parent(), "/jobs/", request.job_id()));
      job->set_kind(std::string(spec::KindName(job->spec())));
      job->set_state(v1::Job::PENDING);
      spec::ApplyDefaults(job->mutable_spec());
    }
    in_file.insert(request.job_id());
    checked->push_back(*std::move(job));
  }
  return absl::OkStatus();
}

// A job as JSON with the source of every default: `spec.mask.gamma` -> `P 2.2`.
nlohmann::ordered_json WithSources(const v1::Job& job, const spec::DefaultSources& sources) {
  nlohmann::ordered_json json = JobJson(job);
  nlohmann::ordered_json& defaults = json["defaults"] = nlohmann::ordered_json::object();
  for (const auto& [path, source] : sources) defaults["spec." + path] = source;
  return json;
}

// What a dry run prints of a job; `given` is the spec without defaults.
void PrintDryRun(Context& context, const v1::Job& job, const v1::JobSpec& given) {
  const spec::DefaultSources sources = spec::SourcesOfDefaults(given);
  switch (context.FormatOr(Format::kYaml)) {
    case Format::kJson:
      context.PrintJson(WithSources(job, sources), /*one_line=*/true);
      return;
    case Format::kYaml:
      *context.env.out << "---\n"
                       << spec::FormatJobFile(ShortName(job.name()), ProjectOf(job.name()),
                                              {job.labels().begin(), job.labels().end()},
                                              job.spec(), sources)
                       << std::flush;
      return;
    case Format::kTable:
    case Format::kName:
      context.Print(job.name());
      return;
  }
}

void PrintSubmitted(Context& context, const v1::Job& job, const SubmitOptions& options) {
  const std::string name = ShortName(job.name());
  switch (context.format()) {
    case Format::kJson:
      context.PrintJson(JobJson(job), /*one_line=*/true);
      return;
    case Format::kYaml:
      *context.env.out << "---\n"
                       << spec::FormatJobFile(name, ProjectOf(job.name()),
                                              {job.labels().begin(), job.labels().end()},
                                              job.spec())
                       << std::flush;
      return;
    case Format::kTable:
    case Format::kName:
      context.Print(job.name());
      break;
  }
  if (options.follow || context.format() == Format::kName) return;
  context.Say(absl::StrCat("  watch it:   g2ll watch ", name));
  context.Say(absl::StrCat("  its log:    g2ll logs -f ", name));
  context.Say(absl::StrCat("  why it waits or failed:  g2ll why ", name));
  context.Say(absl::StrCat("  cancel it:  g2ll cancel ", name));
}

// Follows or waits for the jobs in order. The first that does not succeed decides.
int Attend(Context& context, const std::vector<v1::Job>& jobs, const SubmitOptions& options) {
  // Progress is data only where nothing else is on standard output.
  const bool to_out = context.format() == Format::kTable;
  int result = kDone;
  for (const v1::Job& job : jobs) {
    const int code =
        options.follow
            ? FollowJob(context, job.name(), to_out ? *context.env.out : *context.env.err,
                        to_out ? context.env.out_is_terminal : context.env.err_is_terminal)
            : WaitForJob(context, job.name(), std::nullopt);
    if (code != kDone && code != kFailed && code != kCancelled) return code;
    if (result == kDone) result = code;
  }
  return result;
}

// The answer to a request may be lost on its way: only then is it unknown what happened.
bool MayBeStored(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

// Says how to find out whether a job was stored, without making a second one.
void TellRequestId(const Context& context, const v1::CreateJobRequest& request,
                   const SubmitOptions& options) {
  context.Say(absl::StrCat("was ", request.job_id(), " stored? ask again with --request-id ",
                           options.request_id, ": it makes no second job"));
}

int Submit(Context& context, const SubmitOptions& given) {
  SubmitOptions options = given;
  // Our own retries, and the user's, must not make a second job.
  if (options.request_id.empty()) options.request_id = client::RandomUuid();
  context.wait_for_ready = options.wait;
  std::vector<spec::Override> overrides;
  for (const std::string& text : options.overrides) {
    absl::StatusOr<spec::Override> change = ParseOverride(text);
    if (!change.ok()) return context.Fail(change.status());
    overrides.push_back(*std::move(change));
  }
  const absl::StatusOr<std::string> text = ReadJobFile(options.file, *context.env.in);
  if (!text.ok()) {
    context.Say(absl::StrCat("g2ll: ", std::string(text.status().message())));
    return kBadInput;
  }
  const std::string file_name = options.file == "-" ? "standard input" : options.file;
  std::error_code ignored;
  const LoadedJobs loaded =
      LoadJobs(file_name, *text, overrides, std::filesystem::current_path(ignored).string());
  for (const std::string& fault : loaded.faults) context.Say(fault);
  if (!loaded.faults.empty()) return kBadInput;

  const auto fail = [&](const absl::Status& status, const spec::JobDocument& job) {
    return context.Fail(status, [&](const std::string& field) {
      return absl::StrCat(file_name, ":", job.LineOf(field));
    });
  };
  std::vector<v1::CreateJobRequest> requests;
  for (size_t i = 0; i < loaded.jobs.size(); ++i) {
    requests.push_back(MakeRequest(loaded.jobs[i], options, i));
  }
  std::vector<v1::Job> jobs;
  // One job is stored or not by its own request; several must all be good first.
  if (options.dry_run || requests.size() > 1) {
    const absl::Status status = CheckAll(context.client(), requests, &jobs);
    if (!status.ok()) return fail(status, loaded.jobs[jobs.size()]);
    if (options.dry_run) {
      for (size_t i = 0; i < jobs.size(); ++i) {
        PrintDryRun(context, jobs[i], requests[i].job().spec());
      }
      return kDone;
    }
    jobs.clear();
  }
  for (const v1::CreateJobRequest& request : requests) {
    absl::StatusOr<v1::Job> job = context.client().CreateJob(request);
    if (!job.ok()) {
      const int code = fail(job.status(), loaded.jobs[jobs.size()]);
      if (MayBeStored(job.status())) TellRequestId(context, request, options);
      return code;
    }
    PrintSubmitted(context, *job, options);
    jobs.push_back(*std::move(job));
  }
  return options.follow || options.wait ? Attend(context, jobs, options) : kDone;
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* command = app.add_subcommand("submit", "Submit the jobs of a file");
  const auto options = std::make_shared<SubmitOptions>();
  command->footer(
      "Examples:\n  g2ll submit -f job.yaml --follow\n"
      "  g2ll submit -f job.yaml --set spec.train.epochs=3 --dry-run\n"
      "  g2ll submit -f chain.yaml --set pretrain.data.source=/data/ISIC_2019 "
      "--set finetune.data.source=/data/ISIC_2017");
  command->add_option("-f,--file", options->file, "Job file; - is standard input")->required();
  command
      ->add_option("--set", options->overrides,
                   "Replace a value of the file: spec.train.epochs=3 in every job that reads it, "
                   "pretrain.train.epochs=3 in jobs of this kind; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options->dry_run,
                    "Check on the server and print the full spec with the source of every "
                    "default, but store nothing");
  command->add_option("--request-id", options->request_id,
                      "The same id again is the same job, never a second one");
  CLI::Option* follow =
      command->add_flag("--follow", options->follow, "Show the job until it has ended");
  command->add_flag("--wait", options->wait, "Wait until the job has ended")->excludes(follow);
  command->callback([&context, &action, options] {
    action = [&context, options] { return Submit(context, *options); };
  });
}

}  // namespace g2ll::cli
