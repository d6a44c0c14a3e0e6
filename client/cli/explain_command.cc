// `g2ll explain`: what a key of a job file means.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/explain/spec_keys.h"
#include "proto/common/spec_defaults.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

ordered_json KeyJson(const explain::Key& key) {
  ordered_json json = {{"key", key.key},
                       {"type", key.type},
                       {"meaning", key.meaning},
                       {"unit", key.unit},
                       {"allowed", key.allowed},
                       {"choices", ordered_json::object()},
                       {"defaults", ordered_json::array()},
                       {"keys", ordered_json::array()}};
  for (const auto& [choice, meaning] : key.choices) json["choices"][choice] = meaning;
  for (const explain::DefaultRow& row : key.defaults) {
    json["defaults"].push_back({{"methods", row.methods},
                                {"paper", row.paper},
                                {"plus", row.plus},
                                {"smoke", row.smoke},
                                {"source", row.source}});
  }
  for (const explain::KeyLine& line : key.keys) {
    json["keys"].push_back({{"key", line.key}, {"type", line.type}, {"meaning", line.meaning}});
  }
  return json;
}

std::string DefaultText(const std::string& text) { return text.empty() ? "unset" : text; }

void PrintDefaults(Context& context, const explain::Key& key) {
  if (key.defaults.empty()) return;
  context.Print("");
  const bool has_methods = key.defaults.size() > 1;
  std::vector<std::string> header = {"RECIPE PAPER", "PLUS", "SMOKE", "SOURCE"};
  if (has_methods) header.insert(header.begin(), "METHOD");
  Table table(header);
  for (const explain::DefaultRow& row : key.defaults) {
    std::vector<std::string> cells = {DefaultText(row.paper), DefaultText(row.plus),
                                      DefaultText(row.smoke), row.source};
    if (has_methods) cells.insert(cells.begin(), absl::StrJoin(row.methods, ", "));
    table.Add(cells);
  }
  context.PrintTable(table);
  context.Print(spec::kSourceLegend);
}

void PrintKey(Context& context, const explain::Key& key) {
  Table head({"Key:", key.key});
  head.Add({"Type:", key.type});
  head.Add({"Meaning:", key.meaning});
  if (!key.unit.empty()) head.Add({"Unit:", key.unit});
  if (!key.allowed.empty()) head.Add({"Allowed:", key.allowed});
  context.PrintTable(head);
  if (!key.choices.empty()) {
    context.Print("");
    Table choices({"WORD", "MEANING"});
    for (const auto& [choice, meaning] : key.choices) choices.Add({choice, meaning});
    context.PrintTable(choices);
  }
  PrintDefaults(context, key);
  if (key.keys.empty()) return;
  context.Print("");
  Table keys({"KEY", "TYPE", "MEANING"});
  for (const explain::KeyLine& line : key.keys) keys.Add({line.key, line.type, line.meaning});
  context.PrintTable(keys);
}

int Explain(Context& context, const std::string& text) {
  const auto key = explain::Explain(text);
  if (!key.ok()) return context.Fail(key.status());
  context.PrintOne(KeyJson(*key), key->key, [&] { PrintKey(context, *key); });
  return kDone;
}

}  // namespace

void AddExplainCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* command = AddWordCommand(
      app, "explain", "Say what a key of a job file means, with its unit, range and defaults",
      "key", "KIND or KIND.path.to.key, for example PretrainJob.mask.gamma", context, action,
      Explain);
  command->footer(
      "KIND is PretrainJob, FinetuneJob or EvaluateJob; alone it lists its keys.\n"
      "Needs no server.");
}

}  // namespace g2ll::cli
