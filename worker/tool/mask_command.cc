#include "worker/tool/mask_command.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "proto/common/log.h"
#include "worker/tool/mask_preview.h"

namespace g2ll::tool {
namespace {

constexpr int kSkippedSome = 1;
constexpr int kNoneOrUsage = 2;

constexpr char kFooter[] =
    "Writes NAME_mask.png for every picture: the image at 256x256, its superpixel regions, and\n"
    "the image masked by each of random, semantic and semantic_focal, or by --strategy alone.\n"
    "Masked patches are grey; the outlines of central regions are thick.\n"
    "attmask follows the teacher's attention and so exists only while a model trains.\n"
    "Exit codes: 0 all drawn, 1 some pictures were named and skipped, 2 none was drawn or wrong\n"
    "usage.";

int Run(const PreviewOptions& options) {
  const absl::StatusOr<PreviewOutcome> outcome = PreviewMasks(options, std::cout, std::cerr);
  if (!outcome.ok()) {
    std::cerr << "error: " << log::EscapeControl(std::string(outcome.status().message())) << "\n";
    return absl::IsInvalidArgument(outcome.status()) ? kNoneOrUsage : kSkippedSome;
  }
  if (outcome->drawn == 0) return kNoneOrUsage;
  return outcome->skipped == 0 ? 0 : kSkippedSome;
}

// An option whose values are names; `help` lists them.
template <typename Enum>
CLI::Option* AddChoice(CLI::App& app, const char* flag, Enum& value,
                       const std::map<std::string, Enum>& names, const char* help) {
  CLI::CheckedTransformer transformer(names);
  transformer.description("");
  return app.add_option(flag, value, help)->transform(transformer)->type_name("NAME");
}

void AddMaskOptions(CLI::App& preview, mask::MaskOptions& options) {
  preview.add_option("--gamma", options.gamma, "Share of patches masked")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  preview.add_option("--beta", options.beta, "Share of those in the central regions")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  preview.add_option("--regions", options.regions, "Superpixels asked for")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  AddChoice<mask::Shares>(
      preview, "--allocation", options.allocation,
      {{"equal", mask::Shares::kEqual}, {"proportional", mask::Shares::kProportional}},
      "equal or proportional: how patches are shared over regions");
  AddChoice<mask::Central>(preview, "--central", options.central,
                           {{"prefix", mask::Central::kPrefix},
                            {"no_border", mask::Central::kNoBorder},
                            {"window", mask::Central::kWindow},
                            {"top_k", mask::Central::kTopK}},
                           "prefix, no_border, window or top_k: which regions are central");
  preview.add_option("--top-k", options.top_k, "Central regions with --central top_k")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  AddChoice<mask::CentralOrder>(
      preview, "--order", options.order,
      {{"distance", mask::CentralOrder::kDistance}, {"saliency", mask::CentralOrder::kSaliency}},
      "distance or saliency: what makes a region central");
}

}  // namespace

void AddMaskCommands(CLI::App& app, int& exit_code) {
  CLI::App* mask = app.add_subcommand("mask", "Look at masks");
  mask->require_subcommand(1);
  CLI::App* preview =
      mask->add_subcommand("preview", "Draw the regions of images and the patches masked");
  preview->footer(kFooter);
  const auto options = std::make_shared<PreviewOptions>();
  preview->add_option("images", options->images, "JPEG or PNG files, or folders of them")
      ->required();
  preview->add_option("--to", options->folder, "Folder of the pictures")->required();
  const CLI::Option* strategy = AddChoice<mask::MaskKind>(
      *preview, "--strategy", options->mask.kind,
      {{"random", mask::MaskKind::kRandom},
       {"semantic", mask::MaskKind::kSemantic},
       {"semantic_focal", mask::MaskKind::kSemanticFocal},
       {"block", mask::MaskKind::kBlock}},
      "random, semantic, semantic_focal or block; default: the first three");
  AddMaskOptions(*preview, options->mask);
  preview->add_option("--seed", options->seed, "Another seed, another draw")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  preview->callback([options, strategy, &exit_code] {
    if (strategy->count() > 0) options->strategies = {options->mask.kind};
    exit_code = Run(*options);
  });
}

}  // namespace g2ll::tool
