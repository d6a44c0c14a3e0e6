#include "worker/tool/tool_main.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <map>
#include <string>

#include "worker/tool/check_source.h"
#include "worker/tool/data_check.h"
#include "worker/tool/data_generate.h"
#include "worker/tool/mask_preview.h"

namespace g2ll::tool {
namespace {

constexpr int kUsage = 2;
constexpr int kRefused = 6;

// Where the parser puts what it reads; lives as long as the parser.
struct Settings {
  GenerateOptions generate;
  CheckOptions check;
  SourceOptions source;
  PreviewOptions preview;
  int exit_code = 0;
};

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "error: " << status.message() << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kUsage;
    case absl::StatusCode::kAlreadyExists:
      return kRefused;
    default:
      return 1;
  }
}

void AddDataCommands(CLI::App& app, Settings& settings) {
  CLI::App* data = app.add_subcommand("data", "Make and check data sets");
  data->require_subcommand(1);

  GenerateOptions& generate_options = settings.generate;
  CLI::App* generate =
      data->add_subcommand("generate", "Write a synthetic set in the layout of ISIC-2017");
  generate->add_option("--to", generate_options.folder, "New or empty folder")->required();
  generate->add_option("--count", generate_options.count, "Training images")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->capture_default_str();
  generate->add_option("--seed", generate_options.seed, "Another seed, other images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  generate->add_option("--size", generate_options.size, "Pixels per side")
      ->check(CLI::Range(32, 1024))
      ->capture_default_str();
  generate->callback(
      [&settings] { settings.exit_code = ExitCodeOf(GenerateData(settings.generate, std::cout)); });

  CheckOptions& check_options = settings.check;
  CLI::App* check = data->add_subcommand("check", "Name every fault of a data folder");
  check->add_option("folder", check_options.folders, "Folder, or two to compare")
      ->required()
      ->expected(1, 2);
  check->add_option("-o,--output", check_options.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  check->callback([&settings] {
    const absl::StatusOr<int> findings = CheckData(settings.check, std::cout);
    if (!findings.ok()) {
      std::cerr << "error: " << findings.status().message() << "\n";
      settings.exit_code = kUsage;
    } else {
      settings.exit_code = *findings == 0 ? 0 : 1;
    }
  });
}

void AddCheckSource(CLI::App& app, Settings& settings) {
  SourceOptions& options = settings.source;
  CLI::App* check = app.add_subcommand(
      "check-data", "Say in one JSON object whether a job can read a data source");
  check->add_option("--source", options.source, "Absolute folder or synthetic:...")->required();
  check->add_option("--split", options.split, "Which images")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, data::Split>{{"train", data::Split::kTrain},
                                             {"validation", data::Split::kValidation},
                                             {"test", data::Split::kTest},
                                             {"all", data::Split::kAll}}));
  check->add_flag("--masks", options.needs_masks, "Every image needs its lesion mask");
  check->callback(
      [&settings] { settings.exit_code = CheckSource(settings.source, std::cout) ? 0 : 1; });
}

void AddMaskPreview(CLI::App& app, Settings& settings) {
  PreviewOptions& options = settings.preview;
  CLI::App* mask = app.add_subcommand("mask", "Look at masks");
  mask->require_subcommand(1);
  CLI::App* preview =
      mask->add_subcommand("preview", "Draw the regions of images and the patches masked");
  preview->add_option("images", options.images, "JPEG or PNG files")->required();
  preview->add_option("--to", options.folder, "Folder of the pictures")->required();
  preview->add_option("--strategy", options.mask.kind, "random, semantic or semantic_focal")
      ->transform(CLI::CheckedTransformer(std::map<std::string, mask::MaskKind>{
          {"random", mask::MaskKind::kRandom},
          {"semantic", mask::MaskKind::kSemantic},
          {"semantic_focal", mask::MaskKind::kSemanticFocal}}));
  preview->add_option("--gamma", options.mask.gamma, "Share of patches masked")
      ->check(CLI::Range(0.0, 1.0));
  preview->add_option("--beta", options.mask.beta, "Share of those in the central regions")
      ->check(CLI::Range(0.0, 1.0));
  preview->add_option("--regions", options.mask.regions, "Superpixels asked for")
      ->check(CLI::Range(1, 256));
  preview->add_option("--seed", options.seed, "Another seed, another draw")
      ->check(CLI::NonNegativeNumber);
  preview->callback(
      [&settings] { settings.exit_code = ExitCodeOf(PreviewMasks(settings.preview, std::cout)); });
}

}  // namespace

int RunTool(int argc, char** argv) {
  Settings settings;
  CLI::App app("Tools that need the trainer's libraries", "g2ll-trainer tool");
  app.require_subcommand(1);
  AddDataCommands(app, settings);
  AddCheckSource(app, settings);
  AddMaskPreview(app, settings);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no faults.
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return settings.exit_code;
}

}  // namespace g2ll::tool
