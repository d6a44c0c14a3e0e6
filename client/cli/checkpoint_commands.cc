// `g2ll checkpoints ...`.
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "client/cli/transfer.h"

namespace g2ll::cli {
namespace {

struct ExportOptions {
  std::string checkpoint;
  std::string to;
  std::string what;
};

Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints) {
  Table table({"ID", "STEP", "SIZE", "STATE", "BEST", "PINNED"});
  for (const v1::Checkpoint& checkpoint : checkpoints) {
    table.Add({checkpoint.id(), absl::StrCat(checkpoint.step()),
               absl::StrFormat("%.1f MB", static_cast<double>(checkpoint.size_bytes()) / 1e6),
               v1::Checkpoint::State_Name(checkpoint.state()), checkpoint.best() ? "yes" : "-",
               checkpoint.pinned() ? "yes" : "-"});
  }
  return table;
}

int List(Context& context, const std::string& job) {
  const auto full = context.FullName(job);
  if (!full.ok()) return context.Fail(full.status());
  const auto checkpoints = context.client().ListCheckpoints(*full);
  if (!checkpoints.ok()) return context.Fail(checkpoints.status());
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  std::vector<std::string> ids;
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    array.push_back(ToJson(checkpoint));
    ids.push_back(checkpoint.id());
  }
  context.PrintAll(array, ids, CheckpointTable(*checkpoints), "no checkpoints");
  return kDone;
}

// Id of a checkpoint: itself, or of `job/NAME` its best, else its newest.
absl::StatusOr<std::string> CheckpointId(Context& context, const std::string& text) {
  if (text.rfind("checkpoint/", 0) == 0) return text.substr(11);
  if (text.rfind("job/", 0) != 0 && text.rfind("projects/", 0) != 0) return text;
  const auto full = context.FullName(text);
  if (!full.ok()) return full.status();
  const auto checkpoints = context.client().ListCheckpoints(*full);
  if (!checkpoints.ok()) return checkpoints.status();
  if (checkpoints->empty()) {
    return absl::NotFoundError(absl::StrCat(ShortName(*full), " has no checkpoint"));
  }
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    if (checkpoint.best()) return checkpoint.id();
  }
  return checkpoints->front().id();
}

int Export(Context& context, const ExportOptions& options) {
  static const std::map<std::string, v1::StreamExportRequest::What> kWhat = {
      {"", v1::StreamExportRequest::WHAT_UNSPECIFIED},
      {"encoder", v1::StreamExportRequest::ENCODER},
      {"segmenter", v1::StreamExportRequest::SEGMENTER}};
  const auto id = CheckpointId(context, options.checkpoint);
  if (!id.ok()) return context.Fail(id.status());
  const absl::Status status = context.client().ExportCheckpoint(
      *id, kWhat.at(options.what), options.to, context.Control(), TellTransfer(context));
  if (!status.ok()) return context.Fail(status);
  const std::string dir = AbsolutePath(options.to);
  const std::string model = dir + "/model.safetensors";
  context.PrintOne({{"checkpoint", *id}, {"model", model}, {"config", dir + "/config.json"}}, model,
                   [&] { context.Print(model); });
  return kDone;
}

// Shows a checkpoint after a call about it.
int Show(Context& context, const absl::StatusOr<v1::Checkpoint>& checkpoint) {
  if (!checkpoint.ok()) return context.Fail(checkpoint.status());
  context.PrintOne(ToJson(*checkpoint), checkpoint->id(),
                   [&] { context.PrintTable(CheckpointTable({*checkpoint})); });
  return kDone;
}

int Verify(Context& context, const std::string& text) {
  const auto id = CheckpointId(context, text);
  if (!id.ok()) return context.Fail(id.status());
  const auto checkpoint = context.client().VerifyCheckpoint(*id);
  const int code = Show(context, checkpoint);
  if (code != kDone || checkpoint->state() == v1::Checkpoint::COMMITTED) return code;
  context.Say(absl::StrCat("g2ll: ", *id, " is ", v1::Checkpoint::State_Name(checkpoint->state()),
                           ": a file is missing or differs from its digest"));
  return kFailed;
}

int SetPinned(Context& context, const std::string& text, bool pinned) {
  const auto id = CheckpointId(context, text);
  if (!id.ok()) return context.Fail(id.status());
  return Show(context, context.client().PinCheckpoint(*id, pinned));
}

int Pin(Context& context, const std::string& text) { return SetPinned(context, text, true); }

int Unpin(Context& context, const std::string& text) { return SetPinned(context, text, false); }

int Delete(Context& context, const std::string& text) {
  // What is removed is named by its id, never found by the best of a job.
  const std::string id = text.rfind("checkpoint/", 0) == 0 ? text.substr(11) : text;
  const absl::Status status = context.client().DeleteCheckpoint(id);
  if (!status.ok()) return context.Fail(status);
  context.PrintOne({{"id", id}, {"deleted", true}}, id, [&] { context.Print(id); });
  return kDone;
}

}  // namespace

void AddCheckpointCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* checkpoints =
      app.add_subcommand("checkpoints", "List, export, verify, pin and delete checkpoints");
  checkpoints->require_subcommand(1);
  AddWordCommand(*checkpoints, "list", "List a job's checkpoints, newest first", "job",
                 "Name of the job", context, action, List);
  CLI::App* exported = nullptr;
  const auto options = AddCommand<ExportOptions>(
      *checkpoints, "export",
      "Write model.safetensors and config.json, which timm and PyTorch load", context, action,
      Export, &exported);
  constexpr char kWhich[] = "Id of the checkpoint, or job/NAME for its best, else newest";
  exported->add_option("checkpoint", options->checkpoint, kWhich)->required();
  exported->add_option("--to", options->to, "Folder to write into")->required();
  exported
      ->add_option("--what", options->what,
                   "encoder or segmenter; the segmenter where there is one")
      ->check(CLI::IsMember({"encoder", "segmenter"}));
  AddWordCommand(*checkpoints, "verify",
                 "Read every file and compare digests; exit code 1 if one differs", "checkpoint",
                 kWhich, context, action, Verify);
  AddWordCommand(*checkpoints, "pin", "Keep a checkpoint from being removed by itself",
                 "checkpoint", kWhich, context, action, Pin);
  AddWordCommand(*checkpoints, "unpin", "Let a pinned checkpoint go", "checkpoint", kWhich, context,
                 action, Unpin);
  AddWordCommand(*checkpoints, "delete", "Remove a checkpoint", "checkpoint",
                 "Id of the checkpoint", context, action, Delete);
}

}  // namespace g2ll::cli
