#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "proto/common/grpc_status.h"

namespace g2ll::cli {
namespace {

namespace fs = std::filesystem;

struct CompareArguments {
  std::string a;
  std::string b;
};

bool IsReportFolder(const std::string& text) {
  std::error_code ignored;  // what cannot be looked at is not there
  return fs::is_regular_file(fs::path(text) / "report.json", ignored);
}

absl::StatusOr<std::string> TemporaryFolder() {
  std::error_code error;
  std::string name = (fs::temp_directory_path(error) / "g2ll-compare-XXXXXX").string();
  if (error || mkdtemp(name.data()) == nullptr) {
    return net::WithReason(absl::UnavailableError(absl::StrCat("cannot make the folder ", name)),
                           "LOCAL_WRITE_FAILED");
  }
  return name;
}

// Folder of a report: the one that is named, else the job's, fetched into `folder`.
absl::StatusOr<std::string> FetchReport(Context& context, const std::string& named,
                                        const std::string& folder) {
  if (IsReportFolder(named)) return named;
  const auto full = context.FullName(named);
  if (!full.ok()) return full.status();
  const absl::Status status =
      context.client().DownloadReport(*full, folder, context.Control(), nullptr);
  if (!status.ok()) return status;
  return folder;
}

int Compare(Context& context, const CompareArguments& arguments) {
  const Format format = context.format();
  if (format != Format::kTable && format != Format::kJson) {
    context.Say("g2ll: compare prints -o table or -o json");
    return kBadInput;
  }
  const std::string program = TrainerProgram(context, "compare");
  if (program.empty()) return kRefused;
  const auto temporary = TemporaryFolder();
  if (!temporary.ok()) return context.Fail(temporary.status());
  const absl::Cleanup remove_temporary = [&temporary] {
    std::error_code ignored;  // nothing more can be done about it here
    fs::remove_all(*temporary, ignored);
  };
  const auto a = FetchReport(context, arguments.a, *temporary + "/a");
  if (!a.ok()) return context.Fail(a.status());
  const auto b = FetchReport(context, arguments.b, *temporary + "/b");
  if (!b.ok()) return context.Fail(b.status());
  const int code =
      context.env.run({program, "tool", "compare", *a, *b, "--name-a", arguments.a, "--name-b",
                       arguments.b, "-o", format == Format::kJson ? "json" : "table"});
  if (code < 0) {
    context.Say(absl::StrCat("g2ll: cannot start ", program));
    return kRefused;
  }
  return code;
}

}  // namespace

void AddCompareCommand(CLI::App& app, Context& context, Action& action) {
  CLI::App* compare =
      app.add_subcommand("compare", "Compare two evaluations of the same images, image by image");
  compare->footer(
      "Each is the name of an EvaluateJob, or a folder with its report.json and per_image.csv.\n"
      "Shows Dice and IoU at both sizes: the means, the mean difference B - A with its paired\n"
      "bootstrap interval and the p-value of a sign-flip test. Exit code 2 where the images,\n"
      "the truth or the protocol differ.");
  const auto arguments = std::make_shared<CompareArguments>();
  compare->add_option("a", arguments->a, "Name of a job, or folder of a report")->required();
  compare->add_option("b", arguments->b, "Another")->required();
  compare->callback([&context, &action, arguments] {
    action = [&context, arguments] { return Compare(context, *arguments); };
  });
}

}  // namespace g2ll::cli
