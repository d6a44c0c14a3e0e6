// `g2ll projects ...`: shares and limits.
#include <map>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "proto/common/spec_field.h"

namespace g2ll::cli {
namespace {

struct SetOptions {
  std::string project;
  std::map<std::string, std::string> given;  // field -> text
};

// An option that sets one field of a project.
struct Limit {
  const char* option;
  const char* field;
  const char* help;
};
constexpr Limit kLimits[] = {
    {"--weight", "weight", "Weight of its fair share, above 0; 1 is the usual"},
    {"--guaranteed-slots", "guaranteed_slots",
     "Slots that it may count on; what it uses above them is borrowed"},
    {"--max-slots", "max_slots", "Most slots at the same time; 0 is no limit"},
    {"--max-running", "max_running_jobs", "Most placed jobs at the same time; 0 is no limit"},
    {"--max-waiting", "max_waiting_jobs", "Most waiting jobs; 0 is the server's limit"},
    {"--max-slot-hours", "max_slot_hours", "Most slot-hours in all; 0 is no limit"},
};

// A limit beside what is used of it: `3 of 8`, or `3` where there is none.
template <typename Number>
std::string UsedText(Number used, Number limit) {
  const std::string text = spec::NumberText(static_cast<double>(used));
  return limit > 0 ? absl::StrCat(text, " of ", spec::NumberText(static_cast<double>(limit)))
                   : text;
}

Table ProjectTable(const std::vector<v1::Project>& projects) {
  Table table({"NAME", "WEIGHT", "GUARANTEED", "SLOTS", "RUNNING", "WAITING", "SLOT-HOURS"});
  for (const v1::Project& project : projects) {
    table.Add({ShortName(project.name()), spec::NumberText(project.weight()),
               absl::StrCat(project.guaranteed_slots()),
               UsedText(project.used_slots(), project.max_slots()),
               UsedText(project.running_jobs(), project.max_running_jobs()),
               UsedText(project.waiting_jobs(), project.max_waiting_jobs()),
               UsedText(project.slot_hours(), project.max_slot_hours())});
  }
  return table;
}

int List(Context& context, const std::string&) {
  const auto projects = context.client().ListProjects();
  if (!projects.ok()) return context.Fail(projects.status());
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  std::vector<std::string> names;
  for (const v1::Project& project : *projects) {
    array.push_back(ToJson(project));
    names.push_back(project.name());
  }
  context.PrintAll(array, names, ProjectTable(*projects), "no projects");
  return kDone;
}

int Set(Context& context, const SetOptions& options) {
  const auto name = context.ProjectName(options.project);
  if (!name.ok()) return context.Fail(name.status());
  v1::UpdateProjectRequest request;
  v1::Project& project = *request.mutable_project();
  project.set_name(*name);
  for (const Limit& limit : kLimits) {
    const auto given = options.given.find(limit.field);
    if (given == options.given.end()) continue;
    const auto* field = v1::Project::descriptor()->FindFieldByName(limit.field);
    if (!spec::SetFromText(&project, field, given->second, spec::ScalarStyle::kPlain)) {
      return context.Fail(absl::InvalidArgumentError(absl::StrCat(
          limit.option, ": given ", given->second, ", allowed: ", spec::AllowedText(field))));
    }
    request.mutable_update_mask()->add_paths(limit.field);
  }
  if (options.given.empty()) {
    return context.Fail(absl::InvalidArgumentError(
        "nothing to change; g2ll projects set --help lists what can be"));
  }
  const auto changed = context.client().UpdateProject(request);
  if (!changed.ok()) return context.Fail(changed.status());
  context.PrintOne(ToJson(*changed), changed->name(),
                   [&] { context.PrintTable(ProjectTable({*changed})); });
  return kDone;
}

}  // namespace

void AddProjectCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* projects = app.add_subcommand("projects", "Look at projects and set their shares");
  projects->require_subcommand(1);
  CLI::App* list = nullptr;
  AddCommand<std::string>(*projects, "list", "List projects with what they use and may use",
                          context, action, List, &list);
  CLI::App* set = nullptr;
  const auto options = AddCommand<SetOptions>(
      *projects, "set", "Change a project's share and limits; it need not exist yet", context,
      action, Set, &set);
  set->add_option("project", options->project, "Name of the project")->required();
  for (const Limit& limit : kLimits) {
    set->add_option_function<std::string>(
        limit.option,
        [options, field = limit.field](const std::string& text) { options->given[field] = text; },
        limit.help);
  }
}

}  // namespace g2ll::cli
