#include "proto/common/spec_validation.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/duration.pb.h"
#include "proto/common/folder_split.h"
#include "proto/common/log.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_pretrain_checks.h"
#include "proto/common/spec_ranges.h"

namespace g2ll::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxText = 4096;
constexpr size_t kMostGivenBytes = 200;  // in a description
constexpr int kMaxDependencies = 100;

// A value as a job file has it.
std::string GivenText(const Message& message, const FieldDescriptor* field) {
  if (!field->is_repeated()) return TextOf(message, field);
  const int size = message.GetReflection()->FieldSize(message, field);
  std::vector<std::string> entries;
  for (int i = 0; i < size; ++i) entries.push_back(TextOf(message, field, i));
  return absl::StrCat("[", absl::StrJoin(entries, ", "), "]");
}

// `an EvaluateJob`, `a PretrainJob of method mae`.
std::string JobText(const v1::JobSpec& spec) {
  const std::string kind(KindName(spec));
  if (!spec.has_pretrain()) return absl::StrCat(spec.has_evaluate() ? "an " : "a ", kind);
  const v1::PretrainSpec& pretrain = spec.pretrain();
  return absl::StrCat("a ", kind, " of method ",
                      TextOf(pretrain, FindField(pretrain.GetDescriptor(), "method")));
}

// Collects violations of one spec.
class Checker {
 public:
  explicit Checker(const v1::JobSpec& spec) : spec_(spec), kind_(*KindMessage(spec)) {}

  std::vector<Violation> Run() {
    ForEachValue(kind_, [this](const std::string& path, const Message& message,
                               const FieldDescriptor* field) { CheckValue(path, message, field); });
    CheckData();
    CheckResources();
    CheckPolicy();
    CheckDependencies();
    if (!spec_.has_evaluate()) {
      CheckLength();
      CheckEncoder();
      CheckOptimizer();
    }
    if (spec_.has_pretrain()) {
      CheckPretrainSpec(
          spec_.pretrain(),
          {.add = [this](const char* path, std::string given,
                         std::string allowed) { Add(path, std::move(given), std::move(allowed)); },
           .is_good = [this](std::initializer_list<const char*> paths) { return IsGood(paths); }});
    }
    if (spec_.has_finetune()) {
      CheckSegmentation();
      CheckSegmentationChoices();
    }
    CheckSource();
    return std::move(violations_);
  }

 private:
  void Add(const std::string& path, std::string given, std::string allowed) {
    // One fault a field: the first is the plainest, later ones often follow from it.
    if (!bad_.insert(path).second) return;
    violations_.push_back({"spec." + path, std::move(given), std::move(allowed)});
  }

  bool IsGood(std::initializer_list<const char*> paths) const {
    return std::none_of(paths.begin(), paths.end(),
                        [this](const char* path) { return bad_.contains(path); });
  }

  void CheckValue(const std::string& path, const Message& message, const FieldDescriptor* field);
  void CheckData();
  void CheckResources();
  void CheckPolicy();
  void CheckDependencies();
  void CheckLength();
  void CheckEncoder();
  void CheckOptimizer();
  void CheckExcludedIds();
  void CheckSegmentation();
  void CheckSegmentationChoices();
  void CheckSource();
  void CheckBatch();

  const v1::JobSpec& spec_;
  const Message& kind_;
  std::set<std::string> bad_;
  std::vector<Violation> violations_;
};

// What can be said of a value without knowing any other.
void Checker::CheckValue(const std::string& path, const Message& message,
                         const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = reflection->GetEnumValue(message, field);
      if (number == 0 || field->enum_type()->FindValueByNumber(number) == nullptr) {
        Add(path, absl::StrCat(number), AllowedText(field));
      }
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
      for (int i = 0; i < count; ++i) {
        const std::string text = TextOf(message, field, i);
        if (text.size() > kMaxText || std::any_of(text.begin(), text.end(), [](char c) {
              return absl::ascii_iscntrl(static_cast<unsigned char>(c));
            })) {
          Add(path, absl::StrCat(text.size(), " bytes"),
              "at most 4,096 bytes without control characters");
        }
      }
      break;
    }
    default:
      break;
  }
  // Defaults are only of what is read, so this one was given.
  if (!IsRead(spec_, path)) {
    Add(path, GivenText(message, field),
        absl::StrCat("nothing, it has no effect in ", JobText(spec_), "; leave it out"));
    return;
  }
  if (field->is_repeated() || field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return;
  if (std::optional<std::string> allowed = RangeFault(path, message, field)) {
    Add(path, TextOf(message, field), *std::move(allowed));
  }
}

// `count=256&seed=1` in any order, each at most once.
bool IsGeneratorQuery(std::string_view query) {
  std::set<std::string> seen;
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string key(pair.substr(0, equals));
    const std::string_view value = pair.substr(equals + 1);
    uint64_t number = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || stop != value.data() + value.size()) return false;
    if ((key != "count" && key != "seed") || !seen.insert(key).second) return false;
    if (key == "count" && (number < 1 || number > 1000000)) return false;
  }
  return true;
}

bool IsDataSource(std::string_view source) {
  if (!source.empty() && source.front() == '/') return true;
  constexpr std::string_view kGenerator = "synthetic:dermoscopy";
  if (source.substr(0, kGenerator.size()) != kGenerator) return false;
  source.remove_prefix(kGenerator.size());
  return source.empty() || (source.front() == '?' && IsGeneratorQuery(source.substr(1)));
}

void Checker::CheckData() {
  const v1::DataSpec& data = Data(spec_);
  if (data.source().empty()) {
    Add("data.source", "nothing",
        "an absolute folder, or synthetic:dermoscopy?count=256&seed=1 for generated images");
  } else if (!IsDataSource(data.source())) {
    Add("data.source", data.source(),
        "an absolute folder, or synthetic:dermoscopy?count=256&seed=1 (count from 1 to 1000000)");
  }
  if (!IsSplitName(data.split())) {
    Add("data.split", data.split(), "one of train, validation, test, all");
  }
  if (!data.class_file().empty() && data.class_file().front() != '/') {
    Add("data.classFile", data.class_file(), "an absolute path of a CSV file, or nothing");
  }
  CheckExcludedIds();
}

void Checker::CheckExcludedIds() {
  const auto& entries = Data(spec_).exclude_ids();
  for (const std::string& entry : entries) {
    if (entry == "none" && entries.size() == 1) continue;
    // Whether a `#` belongs to a folder's name or to a split that does not exist is seen
    // where the folders are: by the data check.
    if (entry == "held" || entry.starts_with('/')) continue;
    Add("data.excludeIds", entry,
        "held, an absolute data folder, FOLDER#validation (or another split), an absolute text "
        "file of ids, or none by itself");
  }
}

void Checker::CheckResources() {
  const v1::ResourceSpec& resources = Resources(spec_);
  if (!resources.memory().empty() && !ParseQuantity(resources.memory())) {
    Add("resources.memory", resources.memory(), "a quantity such as 512Mi or 8Gi");
  }
  if (!IsGood({"resources.ranks.min", "resources.ranks.max"})) return;
  const int min = resources.ranks().min();
  const int max = resources.ranks().max();
  if (spec_.has_evaluate() && max > 1) {
    Add("resources.ranks.max", absl::StrCat(max), "1, because an evaluation is one process");
  } else if (max < min) {
    Add("resources.ranks.max", absl::StrCat(max),
        absl::StrCat("at least resources.ranks.min, which is ", min));
  } else {
    CheckBatch();
  }
}

// Some world size must split the batch into equal parts.
void Checker::CheckBatch() {
  if (!IsGood({"train.globalBatch"})) return;
  const int batch = Train(spec_).global_batch();
  const int min = Resources(spec_).ranks().min();
  const int max = Resources(spec_).ranks().max();
  for (int size = min; size <= max; ++size) {
    if (batch % size == 0) return;
  }
  const int below = batch - batch % min;
  Add("train.globalBatch", absl::StrCat(batch),
      absl::StrCat("a multiple of a number of ranks from ", min, " to ", max, ", for example ",
                   below > 0 ? absl::StrCat(below, " or ") : "", below + min));
}

void Checker::CheckPolicy() {
  constexpr int64_t kLongestSeconds = int64_t{365} * 24 * 3600;
  const auto check = [this](const char* path, bool given, const google::protobuf::Duration& value) {
    const bool positive = value.seconds() > 0 || (value.seconds() == 0 && value.nanos() > 0);
    if (!given || (positive && value.seconds() <= kLongestSeconds)) return;
    Add(path, absl::StrCat(value.seconds(), "s"), "a duration above 0 and at most 8760h");
  };
  const v1::PolicySpec& policy = Policy(spec_);
  check("policy.checkpointEvery", policy.has_checkpoint_every(), policy.checkpoint_every());
  check("policy.hangTimeout", policy.has_hang_timeout(), policy.hang_timeout());
  check("policy.maxRuntime", policy.has_max_runtime(), policy.max_runtime());
  check("policy.grace", policy.has_grace(), policy.grace());
  if (policy.min_runtime().seconds() < 0 || policy.min_runtime().seconds() > kLongestSeconds) {
    Add("policy.minRuntime", absl::StrCat(policy.min_runtime().seconds(), "s"),
        "a duration of at most 8760h");
  }
  if (!IsValidName(policy.queue())) Add("policy.queue", policy.queue(), kNameAllowed);
}

void Checker::CheckDependencies() {
  const std::vector<std::string> names = DependsOn(spec_);
  if (names.size() > kMaxDependencies) {
    Add("dependsOn", absl::StrCat(names.size(), " names"), "at most 100 names");
  }
  for (const std::string& name : names) {
    if (!IsValidName(name)) Add("dependsOn", name, absl::StrCat("names of ", kNameAllowed));
  }
}

void Checker::CheckLength() {
  if (!IsGood({"train.epochs", "train.updates"})) return;
  if (Train(spec_).epochs() == 0 && Train(spec_).updates() == 0) {
    Add("train.epochs", "0", "at least 1 where train.updates is 0");
  }
}

void Checker::CheckEncoder() {
  const v1::ModelSpec& model = Model(spec_);
  if (IsGood({"model.imageSize", "model.patch"}) && model.image_size() % model.patch() != 0) {
    const int below = model.image_size() - model.image_size() % model.patch();
    Add("model.imageSize", absl::StrCat(model.image_size()),
        absl::StrCat("a multiple of model.patch ", model.patch(), "; ",
                     below > 0 ? absl::StrCat("the nearest are ", below, " and ")
                               : std::string("the smallest is "),
                     below + model.patch()));
  }
  // A quarter of the channels carries each of sin and cos of each axis.
  if (IsGood({"model.dim", "model.heads"}) &&
      (model.dim() % model.heads() != 0 || model.dim() % 4 != 0)) {
    Add("model.dim", absl::StrCat(model.dim()),
        absl::StrCat("a multiple of model.heads ", model.heads(), " and of 4"));
  }
}

void Checker::CheckOptimizer() {
  const v1::OptimSpec& optim = Optim(spec_);
  const auto& betas = optim.betas();
  const bool in_range =
      std::all_of(betas.begin(), betas.end(), [](double beta) { return beta >= 0 && beta < 1; });
  if (betas.size() != 2 || !in_range) {
    Add("optim.betas", GivenText(optim, FindField(optim.GetDescriptor(), "betas")),
        "two numbers in [0, 1)");
  }
  if (IsGood({"optim.lr", "optim.minLr"}) && optim.min_lr() > optim.lr()) {
    Add("optim.minLr", NumberText(optim.min_lr()),
        absl::StrCat("at most optim.lr, which is ", NumberText(optim.lr())));
  }
}

void Checker::CheckSegmentation() {
  const v1::ModelSpec& model = spec_.finetune().model();
  const auto& channels = model.segmentation_channels();
  const std::string given =
      GivenText(model, FindField(model.GetDescriptor(), "segmentationChannels"));
  if (std::any_of(channels.begin(), channels.end(), [](int c) { return c < 1 || c > 8192; })) {
    Add("model.segmentationChannels", given, "whole numbers in [1, 8192]");
  }
  if (!IsGood({"model.patch"})) return;
  const int patch = model.patch();
  if (patch < 2 || (patch & (patch - 1)) != 0) {
    Add("model.patch", absl::StrCat(patch),
        "a power of two from 2 on, because the segmentation decoder doubles the resolution");
    return;
  }
  int doublings = 0;
  while ((1 << doublings) < patch) ++doublings;
  if (channels.size() != doublings + 1) {
    Add("model.segmentationChannels", given,
        absl::StrCat(doublings + 1, " numbers: the first convolution and one for each of the ",
                     doublings, " doublings that a patch of ", patch, " needs"));
  }
}

void Checker::CheckSegmentationChoices() {
  const v1::FinetuneSpec& spec = spec_.finetune();
  const v1::SegmentationSpec& seg = spec.seg();
  if (seg.decoder() == v1::SegmentationSpec::UNET) {
    if (ParseSource(spec.init().from()).kind != Source::Kind::kNone) {
      Add("init.from", spec.init().from(), "none with seg.decoder unet, which has no encoder");
    }
    if (seg.freeze_encoder()) {
      Add("seg.freezeEncoder", "true", "false with seg.decoder unet, which has no encoder");
    }
    const auto& channels = spec.model().segmentation_channels();
    if (!channels.empty() && (2 * channels[0]) % (1 << std::min(channels.size() - 1, 30)) != 0) {
      Add("model.segmentationChannels", absl::StrCat(channels[0], ", ..."),
          absl::StrCat("a first number whose double can be halved ", channels.size() - 1,
                       " times with seg.decoder unet"));
    }
  }
  if (!IsGood({"train.accumulate"}) || spec.train().accumulate() <= 1) return;
  const std::string given = absl::StrCat(spec.train().accumulate());
  if (seg.norm() == v1::SegmentationSpec::BATCH_NORM &&
      seg.decoder() != v1::SegmentationSpec::LINEAR) {
    Add("train.accumulate", given,
        "1 where seg.norm is batch_norm, whose statistics are those of the whole batch; use "
        "group_norm or more ranks");
  } else if (seg.loss() == v1::SegmentationSpec::BCE_DICE &&
             seg.dice_over() == v1::SegmentationSpec::BATCH) {
    Add("train.accumulate", given, "1 where seg.diceOver is batch; use image or more ranks");
  }
}

void Checker::CheckSource() {
  if (spec_.has_pretrain()) return;
  const std::string path = spec_.has_finetune() ? "init.from" : "model.from";
  const std::string from = SourceOf(spec_);
  const Source source = ParseSource(from);
  const bool required = spec_.has_evaluate();
  const std::string allowed =
      absl::StrCat("job/NAME, checkpoint/ID, file:/ABSOLUTE/PATH", required ? "" : " or none");
  const bool good = [&] {
    switch (source.kind) {
      case Source::Kind::kNone:
        return !required;
      case Source::Kind::kJob:
        return IsValidName(source.value);
      case Source::Kind::kCheckpoint:
        return source.value.find('/') == std::string::npos;
      case Source::Kind::kFile:
        return source.value.front() == '/';
      case Source::Kind::kMalformed:
        return false;
    }
    return false;
  }();
  if (!good) Add(path, from.empty() ? "nothing" : from, allowed);
}

bool IsLabelText(std::string_view text) {
  return text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

}  // namespace

std::string Violation::Description() const {
  const std::string_view shown = log::CutUtf8(given, kMostGivenBytes);
  return absl::StrCat("given ", std::string(shown), shown.size() < given.size() ? "..." : "",
                      ", allowed: ", allowed);
}

std::vector<Violation> Validate(const v1::JobSpec& spec) {
  if (KindMessage(spec) == nullptr) {
    return {{"spec", "no kind", "one of pretrain, finetune, evaluate"}};
  }
  return Checker(spec).Run();
}

bool IsValidName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::vector<Violation> ValidateLabels(const std::map<std::string, std::string>& labels) {
  constexpr char kAllowed[] = "at most 63 of A-Z, a-z, 0-9, ., _ and -";
  std::vector<Violation> violations;
  if (labels.size() > 1000) {
    violations.push_back({"labels", absl::StrCat(labels.size(), " labels"), "at most 1,000"});
    return violations;
  }
  for (const auto& [key, value] : labels) {
    if (key.empty() || !IsLabelText(key)) {
      violations.push_back({"labels", absl::StrCat("the key ", key), kAllowed});
    } else if (!IsLabelText(value)) {
      violations.push_back({absl::StrCat("labels.", key), value, kAllowed});
    }
  }
  return violations;
}

}  // namespace g2ll::spec
