#include <CLI/CLI.hpp>

#include <filesystem>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "client/cli/progress_model.h"

namespace g2ll::cli {
namespace {

struct ExportOptions {
  std::string checkpoint;
  std::string to;
  std::string what;
};

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  return std::filesystem::absolute(path, error).lexically_normal().string();
}

// One line that is written over itself; on a terminal only.
client::TransferProgress TellTransfer(Context& context) {
  if (!context.env.err_is_terminal) return nullptr;
  return [&context](const std::string& name, int64_t bytes, int64_t total) {
    const double ratio = total > 0 ? static_cast<double>(bytes) / static_cast<double>(total) : 1;
    *context.env.err << "\r\x1b[2K[" << ProgressBar(ratio, 24) << "] "
                     << Clip(name, context.env.width - 30) << (bytes == total ? "\n" : "")
                     << std::flush;
  };
}

int Report(Context& context, const std::string& job, const std::string& to) {
  const auto full = context.FullName(job);
  if (!full.ok()) return context.Fail(full.status());
  const absl::Status status =
      context.client().DownloadReport(*full, to, context.Control(), TellTransfer(context));
  if (!status.ok()) return context.Fail(status);
  const std::string dir = AbsolutePath(to);
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson({{"dir", dir}, {"report", dir + "/report.html"}}, false);
  } else {
    context.Print(dir + "/report.html");
  }
  return kDone;
}

int ListCheckpoints(Context& context, const std::string& job) {
  const auto full = context.FullName(job);
  if (!full.ok()) return context.Fail(full.status());
  const auto checkpoints = context.client().ListCheckpoints(*full);
  if (!checkpoints.ok()) return context.Fail(checkpoints.status());
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  Table table({"ID", "STEP", "SIZE", "STATE", "BEST", "PINNED"});
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    array.push_back(ToJson(checkpoint));
    table.Add({checkpoint.id(), absl::StrCat(checkpoint.step()),
               absl::StrFormat("%.1f MB", static_cast<double>(checkpoint.size_bytes()) / 1e6),
               v1::Checkpoint::State_Name(checkpoint.state()), checkpoint.best() ? "yes" : "-",
               checkpoint.pinned() ? "yes" : "-"});
    if (context.format() == Format::kName) context.Print(checkpoint.id());
  }
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(array, false);
  } else if (context.format() == Format::kTable) {
    checkpoints->empty() ? context.Say("no checkpoints") : context.PrintTable(table);
  }
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
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson({{"checkpoint", *id},
                       {"model", dir + "/model.safetensors"},
                       {"config", dir + "/config.json"}},
                      false);
  } else {
    context.Print(dir + "/model.safetensors");
  }
  return kDone;
}

}  // namespace

void AddFileCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* report = app.add_subcommand("report", "Fetch a job's report, pictures and tables");
  const auto report_job = std::make_shared<std::string>();
  const auto report_to = std::make_shared<std::string>();
  report->add_option("job", *report_job, "Name of an EvaluateJob")->required();
  report->add_option("--to", *report_to, "Folder to write into")->required();
  report->callback([&context, &action, report_job, report_to] {
    action = [&context, report_job, report_to] { return Report(context, *report_job, *report_to); };
  });

  CLI::App* checkpoints = app.add_subcommand("checkpoints", "List and export checkpoints");
  checkpoints->require_subcommand(1);
  CLI::App* list = checkpoints->add_subcommand("list", "List a job's checkpoints, newest first");
  const auto list_job = std::make_shared<std::string>();
  list->add_option("job", *list_job, "Name of the job")->required();
  list->callback([&context, &action, list_job] {
    action = [&context, list_job] { return ListCheckpoints(context, *list_job); };
  });

  CLI::App* exported = checkpoints->add_subcommand(
      "export", "Write model.safetensors and config.json, which timm and PyTorch load");
  const auto options = std::make_shared<ExportOptions>();
  exported->add_option("checkpoint", options->checkpoint, "Id of the checkpoint, or job/NAME")
      ->required();
  exported->add_option("--to", options->to, "Folder to write into")->required();
  exported
      ->add_option("--what", options->what,
                   "encoder or segmenter; the segmenter where there is one")
      ->check(CLI::IsMember({"encoder", "segmenter"}));
  exported->callback([&context, &action, options] {
    action = [&context, options] { return Export(context, *options); };
  });
}

}  // namespace g2ll::cli
