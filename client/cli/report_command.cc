// `g2ll report`, and what every fetching of files shows.
#include <filesystem>

#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/progress_model.h"
#include "client/cli/transfer.h"
#include "proto/common/log.h"

namespace g2ll::cli {
namespace {

struct ReportOptions {
  std::string job;
  std::string to;
};

int Report(Context& context, const ReportOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  const absl::Status status =
      context.client().DownloadReport(*full, options.to, context.Control(), TellTransfer(context));
  if (!status.ok()) return context.Fail(status);
  const std::string dir = AbsolutePath(options.to);
  const std::string page = dir + "/report.html";
  context.PrintOne({{"dir", dir}, {"report", page}}, page, [&] { context.Print(page); });
  return kDone;
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  return std::filesystem::absolute(path, error).lexically_normal().string();
}

client::TransferProgress TellTransfer(Context& context) {
  if (!context.env.err_is_terminal) return nullptr;
  return [&context](const std::string& name, int64_t bytes, int64_t total) {
    const double ratio = total > 0 ? static_cast<double>(bytes) / static_cast<double>(total) : 1;
    *context.env.err << "\r\x1b[2K[" << ProgressBar(ratio, 24) << "] "
                     << Clip(log::EscapeControl(name), context.env.width - 30)
                     << (bytes == total ? "\n" : "") << std::flush;
  };
}

void AddReportCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* report = nullptr;
  const auto options = AddCommand<ReportOptions>(
      app, "report", "Fetch a job's report, pictures and tables", context, action, Report, &report);
  report->add_option("job", options->job, "Name of an EvaluateJob")->required();
  report->add_option("--to", options->to, "Folder to write into")->required();
}

}  // namespace g2ll::cli
