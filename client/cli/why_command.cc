// `g2ll why`: why a job stands where it stands, with numbers.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

// The explanation under the names that `get` has for the same things.
ordered_json WhyJson(const v1::JobExplanation& why) {
  const ordered_json whole = ToJson(why);
  ordered_json json = {{"name", why.job()},
                       {"state", v1::Job::State_Name(why.state())},
                       {"stateReason", ToJson(why.reason())},
                       {"failure", whole["lastFailure"]}};
  for (const auto& [key, value] : whole.items()) {
    if (key != "job" && key != "state" && key != "reason" && key != "lastFailure") {
      json[key] = value;
    }
  }
  return json;
}

void PrintWhy(Context& context, const v1::JobExplanation& why, absl::Time now) {
  const std::string& code = why.reason().code();
  context.Print(absl::StrCat(ShortName(why.job()), " is ", v1::Job::State_Name(why.state()),
                             code.empty() ? "" : ": ", code, code.empty() ? "" : ": ",
                             why.reason().message()));
  Table table;
  if (why.slots_needed() > 0) {
    table.Add({"  slots:", absl::StrCat("needs ", why.slots_needed(), "; ", why.slots_free(),
                                        " free of ", why.slots_total(), " that it may use")});
  }
  if (why.position() > 0) {
    table.Add({"  position:", absl::StrCat(why.position(), " of ", why.waiting(), " waiting")});
  }
  if (why.blockers_size() > 0) {
    table.Add({"  in its way:", absl::StrJoin(why.blockers(), ", ")});
  }
  if (why.has_estimated_start()) {
    table.Add({"  expected start:", FutureText(why.estimated_start(), now)});
  }
  if (why.has_next_try()) table.Add({"  next try:", FutureText(why.next_try(), now)});
  if (why.has_last_failure()) table.Add({"  last failure:", FailureText(why.last_failure())});
  if (!why.advice().empty()) table.Add({"  what to do:", why.advice()});
  context.PrintTable(table);
}

int Why(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto why = context.client().ExplainJob(*full);
  if (!why.ok()) return context.Fail(why.status());
  context.PrintOne(WhyJson(*why), why->job(), [&] { PrintWhy(context, *why, absl::Now()); });
  return kDone;
}

}  // namespace

void AddWhyCommand(CLI::App& app, Context& context, Action& action) {
  AddWordCommand(app, "why", "Say why a job waits, or why it failed, with numbers", "job",
                 "Name of the job", context, action, Why);
}

}  // namespace g2ll::cli
