// `g2ll list`, once or as the jobs change.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

struct ListOptions {
  std::string state;
  std::vector<std::string> labels;
  std::string filter;
  std::string order_by;
  int limit = 0;
  bool all_projects = false;
  bool watch = false;
};

// What the options ask for, checked.
struct Wanted {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  std::map<std::string, std::string> labels;
};

absl::StatusOr<Wanted> Check(const ListOptions& options) {
  Wanted wanted;
  if (!options.state.empty()) {
    const auto state = ParseState(options.state);
    if (!state) return BadState(options.state);
    wanted.state = *state;
  }
  for (const std::string& label : options.labels) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (pair.first.empty() || label.find('=') == std::string::npos ||
        !spec::ValidateLabels({pair}).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--label: given ", label,
                       ", allowed: KEY=VALUE of at most 63 of A-Z, a-z, 0-9, ., _ and - each"));
    }
    wanted.labels.insert(pair);
  }
  if (options.watch && (!options.order_by.empty() || options.limit > 0)) {
    return absl::InvalidArgumentError(
        "--watch shows changes as they come: it goes with neither --order-by nor --limit");
  }
  return wanted;
}

// A watch takes all its conditions as one filter. The words are checked, so none can
// change what another means.
std::string WatchFilter(const Wanted& wanted, const std::string& filter) {
  std::vector<std::string> terms;
  if (wanted.state != v1::Job::STATE_UNSPECIFIED) {
    terms.push_back(absl::StrCat("state = ", v1::Job::State_Name(wanted.state)));
  }
  for (const auto& [key, value] : wanted.labels) {
    terms.push_back(absl::StrCat("labels.", key, " = \"", value, "\""));
  }
  if (!filter.empty()) {
    terms.push_back(terms.empty() ? filter : absl::StrCat("(", filter, ")"));
  }
  return absl::StrJoin(terms, " AND ");
}

void PrintChange(Context& context, const client::JobChange& change, bool all_projects) {
  const bool is_deleted = change.type == client::JobChange::Type::kDeleted;
  const v1::Job& job = change.job;
  switch (context.format()) {
    case Format::kJson:
    case Format::kYaml: {
      ordered_json json = {{"event", is_deleted ? "DELETED" : "CHANGED"}};
      if (is_deleted) {
        json["name"] = job.name();
        json["uid"] = job.uid();
      } else {
        json.update(JobJson(job));
      }
      context.PrintJson(json, /*one_line=*/true);
      break;
    }
    case Format::kName:
      context.Print(absl::StrCat(job.name(), is_deleted ? " DELETED" : ""));
      break;
    case Format::kTable: {
      std::vector<std::string> row = JobRow(job, all_projects, absl::Now());
      if (is_deleted) {
        row = {ShortName(job.name()), "", "DELETED", "", "", "", ""};
        if (all_projects) row.insert(row.begin(), ProjectOf(job.name()));
      }
      std::vector<size_t> widths = {24, 12, 10, 12, 5, 8, 0};
      if (all_projects) widths.insert(widths.begin(), 12);
      context.PrintRow(row, widths);
    }
  }
}

int Watch(Context& context, const ListOptions& options, const Wanted& wanted,
          const std::string& parent) {
  v1::WatchJobsRequest request;
  request.set_parent(parent);
  request.set_filter(WatchFilter(wanted, options.filter));
  const absl::Status status = context.client().WatchJobs(
      request,
      [&](const client::JobChange& change) {
        PrintChange(context, change, options.all_projects);
        return true;
      },
      context.Control());
  if (absl::IsCancelled(status)) {
    context.Say("detached; the jobs go on");
    return kInterrupted;
  }
  if (absl::IsDeadlineExceeded(status)) {
    context.Say("time ran out; the jobs go on");
    return kTimedOut;
  }
  return context.Fail(status);
}

int List(Context& context, const ListOptions& options) {
  const auto parent = context.Parent(options.all_projects);
  if (!parent.ok()) return context.Fail(parent.status());
  const auto wanted = Check(options);
  if (!wanted.ok()) return context.Fail(wanted.status());
  if (options.watch) return Watch(context, options, *wanted, *parent);
  v1::ListJobsRequest request;
  request.set_parent(*parent);
  request.set_state(wanted->state);
  request.mutable_labels()->insert(wanted->labels.begin(), wanted->labels.end());
  request.set_filter(options.filter);
  request.set_order_by(options.order_by);
  const auto jobs = context.client().ListJobs(request, options.limit);
  if (!jobs.ok()) return context.Fail(jobs.status());
  ordered_json array = ordered_json::array();
  std::vector<std::string> names;
  Table table(JobHeader(options.all_projects));
  for (const v1::Job& job : *jobs) {
    names.push_back(job.name());
    table.Add(JobRow(job, options.all_projects, absl::Now()));
    if (context.format() == Format::kJson || context.format() == Format::kYaml) {
      array.push_back(JobJson(job));
    }
  }
  context.PrintAll(array, names, table, "no jobs");
  return kDone;
}

}  // namespace

void AddListCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* list = nullptr;
  const auto options =
      AddCommand<ListOptions>(app, "list", "List jobs, newest first", context, action, List, &list);
  list->add_option("--state", options->state, "Only jobs in this state");
  list->add_option("-l,--label", options->labels, "Only jobs with this label, KEY=VALUE")
      ->allow_extra_args(false);
  list->add_option("--filter", options->filter,
                   "Only jobs that fit, for example 'state = RUNNING AND labels.study = table1'");
  list->add_option("--order-by", options->order_by,
                   "Fields separated by commas, each with ` desc` where wanted");
  list->add_option("--limit", options->limit, "At most so many; 0 is all")
      ->check(CLI::NonNegativeNumber);
  list->add_flag("--all-projects", options->all_projects, "Jobs of every project");
  list->add_flag("--watch", options->watch, "Go on, with a line for every change");
  list->footer(
      "--filter: terms `FIELD OP VALUE` with AND, OR, NOT and brackets; OP is one of\n"
      "= != < <= > >= and : (has); FIELD is one of name, state, kind, queue, priority,\n"
      "create_time, start_time, end_time, labels.KEY.\n"
      "--order-by: create_time, start_time, end_time, name, state, priority.");
}

}  // namespace g2ll::cli
