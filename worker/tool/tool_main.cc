#include "worker/tool/tool_main.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "proto/common/folder_split.h"
#include "proto/common/log.h"
#include "worker/data/subset.h"
#include "worker/tool/check_source.h"
#include "worker/tool/compare.h"
#include "worker/tool/data_check.h"
#include "worker/tool/data_generate.h"
#include "worker/tool/mask_command.h"
#include "worker/tool/segment.h"

namespace g2ll::tool {
namespace {

constexpr int kUsage = 2;
constexpr int kRefused = 6;

// Where the parser puts what it reads; lives as long as the parser.
struct Settings {
  GenerateOptions generate;
  CheckOptions check;
  data::DatasetOptions source;
  SegmentOptions segment;
  CompareOptions compare;
  int exit_code = 0;
};

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "error: " << log::EscapeControl(std::string(status.message())) << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kUsage;
    case absl::StatusCode::kAlreadyExists:
      return kRefused;
    default:
      return 1;
  }
}

constexpr char kCheckFooter[] =
    "Images are the same where their names are (`_downsampled` aside), where their bytes are, or\n"
    "where they look alike: 64-bit DCT hashes at most 8 bits apart, and 32x32 thumbnails that\n"
    "correlate by more than 0.965, or 0.98 where one is the central square of the other's\n"
    "photograph. Other crops and mirror images are not recognised.\n"
    "Exit codes: 0 nothing found, 1 faults or images that both folders hold, 2 wrong usage or a\n"
    "folder that cannot be read. Look-alikes within one folder are counted and are no fault.";

int RunCheck(CheckOptions options) {
  if (isatty(STDERR_FILENO) == 1) options.progress = &std::cerr;
  const absl::StatusOr<int64_t> findings = CheckData(options, std::cout);
  if (findings.ok()) return *findings == 0 ? 0 : 1;
  const int code = ExitCodeOf(findings.status());
  return absl::IsUnavailable(findings.status()) ? code : kUsage;
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
  check->add_option("folder", check_options.folders, "Folder or FOLDER#SPLIT, or two to compare")
      ->required()
      ->expected(1, 2);
  check->add_option("-o,--output", check_options.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  check->add_option("--write-overlap", check_options.overlap_file,
                    "With two folders: file for the ids of the first that the second holds too, "
                    "for data.excludeIds; empty where there is none");
  check->footer(kCheckFooter);
  check->callback([&settings] { settings.exit_code = RunCheck(settings.check); });
}

std::map<std::string, data::Split> SplitChoices() {
  std::map<std::string, data::Split> choices;
  for (const std::string_view name : kSplitNames) {
    if (const auto split = data::SplitNamed(name)) choices.emplace(name, *split);
  }
  return choices;
}

void AddCheckSource(CLI::App& app, Settings& settings) {
  data::DatasetOptions& options = settings.source;
  CLI::App* check = app.add_subcommand(
      "check-data", "Say in one JSON object whether a job can read a data source");
  check->add_option("--source", options.source, "Absolute folder or synthetic:...")->required();
  check->add_option("--split", options.split, "Which images")
      ->transform(CLI::CheckedTransformer(SplitChoices()));
  check->add_flag("--masks", options.needs_masks, "Every image needs its lesion mask");
  check->add_flag("--classes", options.needs_classes, "Only images with a diagnosis");
  check->add_option("--class-file", options.class_file, "Table of diagnoses, not the source's own");
  check->add_option("--exclude", options.exclude_ids, "Ids left out, as in data.excludeIds");
  check->add_option("--fraction", options.fraction, "Share of the images");
  check->add_option("--max-images", options.max_images, "At most so many; 0 is all");
  check->add_option("--subset-seed", options.subset_seed, "Seed of the order of subsets");
  check->callback(
      [&settings] { settings.exit_code = CheckSource(settings.source, std::cout) ? 0 : 1; });
}

// The bar goes to standard error, as far as that is a terminal that can draw.
SegmentStreams StreamsOfProcess() {
  const char* term = std::getenv("TERM");
  SegmentStreams streams{std::cout, std::cerr};
  streams.has_bar = isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string(term) != "dumb");
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) streams.width = size.ws_col;
  return streams;
}

// 0: every picture, 1: some were skipped or the disk failed, 2: none, or wrong usage.
int RunSegment(const SegmentOptions& options) {
  const absl::StatusOr<SegmentOutcome> outcome = SegmentPictures(options, StreamsOfProcess());
  if (outcome.ok()) {
    if (outcome->segmented == 0) return kUsage;
    return outcome->failed == 0 ? 0 : 1;
  }
  const int code = ExitCodeOf(outcome.status());
  const bool is_input = absl::IsNotFound(outcome.status()) || absl::IsDataLoss(outcome.status()) ||
                        absl::IsFailedPrecondition(outcome.status());
  return is_input ? kUsage : code;
}

constexpr char kSegmentFooter[] =
    "Writes NAME_segmentation.png (0 or 255, the picture's size), NAME_overlay.png and a row of\n"
    "segment.csv for every picture. NAME is the file's stem, FOLDER_STEM where stems are equal.\n"
    "  area        share of the picture's pixels that are lesion\n"
    "  confidence  mean over the network's pixels of |2 p - 1|, p the probability of lesion:\n"
    "              1 where all are certain, 0 where none is better than a coin\n"
    "  dice, iou   with --masks, at the picture's size\n"
    "Reads PNG and JPEG; EXIF orientation is not applied, a mask lies on the stored pixels.\n"
    "Exit codes: 0 all done, 1 some pictures or masks were named and skipped, 2 nothing was\n"
    "segmented or wrong usage, 6 the folder is not empty.";

// How a mask comes from a photograph.
void AddProtocol(CLI::App& segment, evaluate::Protocol& protocol) {
  segment.add_flag(
      "--tta",
      [&protocol](int64_t count) {
        if (count > 0) protocol.tta = evaluate::Tta::kFlips;
      },
      "Mean of the logits of four mirror images; takes four times as long");
  segment.add_flag(
      "--keep-largest",
      [&protocol](int64_t count) {
        if (count > 0) protocol.postprocess = evaluate::Postprocess::kLargestComponent;
      },
      "Keep only the largest connected lesion, holes filled");
}

void AddComputing(CLI::App& segment, SegmentOptions& options) {
  segment.add_option("--batch", options.batch, "Pictures in one forward pass")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  options.model.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  segment.add_option("--threads", options.model.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  segment.add_option("--device", options.model.device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
}

void AddSegment(CLI::App& app, Settings& settings) {
  SegmentOptions& options = settings.segment;
  CLI::App* segment = app.add_subcommand("segment", "Outline the lesion in photographs");
  segment->footer(kSegmentFooter);
  segment->add_option("pictures", options.pictures, "Picture files, or folders of them")
      ->required();
  segment
      ->add_option("--checkpoint", options.model.model,
                   "Checkpoint directory of a FinetuneJob, or an exported segmenter")
      ->required();
  segment->add_option("--to", options.folder, "New or empty folder")->required();
  segment->add_option("--masks", options.masks,
                      "Folder of true masks, NAME.png or NAME_segmentation.png");
  segment->add_flag("--force", options.is_forced,
                    "Write into a folder that is not empty; files of the same name are replaced");
  AddProtocol(*segment, options.model.protocol);
  AddComputing(*segment, options);
  segment->add_option("-o,--output", options.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  segment->callback([&settings] { settings.exit_code = RunSegment(settings.segment); });
}

void AddCompare(CLI::App& app, Settings& settings) {
  CompareOptions& options = settings.compare;
  options.is_aligned = isatty(STDOUT_FILENO) == 1;
  CLI::App* compare = app.add_subcommand("compare", "Compare two evaluations image by image");
  compare->add_option("a", options.a, "Folder of a report")->required();
  compare->add_option("b", options.b, "Folder of another")->required();
  compare->add_option("--name-a", options.name_a, "What the first is called");
  compare->add_option("--name-b", options.name_b, "What the second is called");
  compare->add_option("--seed", options.seed, "Another seed, other random draws")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  compare->add_option("-o,--output", options.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  compare->callback([&settings] {
    settings.exit_code = ExitCodeOf(CompareReports(settings.compare, std::cout));
  });
}

}  // namespace

int RunTool(int argc, char** argv) {
  Settings settings;
  CLI::App app("Tools that need the trainer's libraries", "g2ll-trainer tool");
  app.require_subcommand(1);
  AddDataCommands(app, settings);
  AddCheckSource(app, settings);
  AddMaskCommands(app, settings.exit_code);
  AddSegment(app, settings);
  AddCompare(app, settings);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no faults.
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return settings.exit_code;
}

}  // namespace g2ll::tool
