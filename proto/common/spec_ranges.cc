#include "proto/common/spec_ranges.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proto/common/spec_field.h"

namespace g2ll::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Limits of one number by itself.
struct Range {
  const char* path;
  double min;
  double max;
  bool min_excluded = false;
  bool max_excluded = false;
};

// Upper limits are far above any use and only keep sums and memory sane.
constexpr Range kRanges[] = {
    {"data.fraction", 0, 1, true},
    {"data.maxImages", 0, 1e8},
    {"data.maxValidationImages", 0, 1e8},
    {"resources.ranks.min", 1, 1024},
    {"resources.ranks.max", 1, 1024},
    {"resources.cpusPerRank", 0, 1024},
    {"policy.maxRetries", 0, 1000},
    {"policy.maxInfraRetries", -1, 1e6},
    {"train.epochs", 0, 1e6},
    {"train.updates", 0, 1e9},
    {"train.globalBatch", 1, 65536},
    {"train.maxSteps", 0, 1e9},
    {"train.validateEvery", 0, 1e9},
    {"train.accumulate", 1, 65536},
    {"model.imageSize", 8, 4096},
    {"model.patch", 1, 256},
    {"model.dim", 4, 8192},
    {"model.depth", 1, 128},
    {"model.heads", 1, 128},
    {"model.headHidden", 1, 65536},
    {"model.headBottleneck", 1, 65536},
    {"model.headOut", 2, 1048576},
    {"model.dropPath", 0, 1, false, true},
    {"model.decoderDepth", 1, 128},
    {"model.decoderDim", 4, 8192},
    {"model.decoderHeads", 1, 128},
    {"mask.gamma", 0, 1},
    {"mask.beta", 0, 1},
    {"mask.regions", 1, 4096},
    {"mask.rho", 0, 1, true},
    {"mask.topK", 1, 4096},
    {"mask.attentionShare", 0, 1},
    {"mask.attentionHint", 0, 1, false, true},
    {"slic.iterations", 1, 100},
    {"slic.compactness", 0, 1e3, true},
    {"slic.minSizePercent", 0, 100},
    {"mim.lambda", 0, 1e6},
    {"distill.lambda", 0, 1e6},
    {"distill.studentTemp", 0, 1e3, true},
    {"distill.teacherTemp", 0, 1e3, true},
    {"distill.warmTemp", 0, 1e3, true},
    {"distill.warmEpochs", 0, 1e6},
    {"distill.centerMomentum", 0, 1, false, true},
    {"distill.emaStart", 0, 1},
    {"distill.emaEnd", 0, 1},
    {"distill.freezeEpochs", 0, 1e6},
    {"ibot.lambda", 0, 1e6},
    {"ibot.teacherTemp", 0, 1e3, true},
    {"ibot.warmTemp", 0, 1e3, true},
    {"ibot.warmEpochs", 0, 1e6},
    {"koleo.lambda", 0, 1e6},
    {"supervised.labelSmoothing", 0, 1, false, true},
    {"optim.lr", 0, 1e3, true},
    {"optim.minLr", 0, 1e3},
    {"optim.warmup", 0, 1e6},
    {"optim.warmupShare", 0, 1},
    {"optim.weightDecay", 0, 1e3},
    {"optim.weightDecayEnd", 0, 1e3},
    {"optim.clip", 0, 1e6},
    {"optim.layerDecay", 0, 1, true},
    {"aug.horizontalFlip", 0, 1},
    {"aug.verticalFlip", 0, 1},
    {"aug.colorJitter", 0, 1},
    {"aug.grayscale", 0, 1},
    {"aug.blur", 0, 1},
    {"aug.blurSecond", 0, 1},
    {"aug.cropMinScale", 0, 1, true},
    {"aug.shiftScaleRotate", 0, 1},
    {"aug.noise", 0, 1},
    {"aug.brightness", 0, 1},
    {"aug.contrast", 0, 1},
    {"aug.saturation", 0, 1},
    {"aug.hue", 0, 0.5},
    {"aug.solarize", 0, 1},
    {"aug.cutmix", 0, 1},
    {"seg.ema", 0, 1, false, true},
};

std::string LimitText(double value) {
  return std::abs(value) >= 1e4 ? absl::StrCat(static_cast<int64_t>(value)) : NumberText(value);
}

std::string RangeText(const Range& range, bool whole) {
  return absl::StrCat(whole ? "a whole number" : "a number", " in ", range.min_excluded ? "(" : "[",
                      LimitText(range.min), ", ", LimitText(range.max),
                      range.max_excluded ? ")" : "]");
}

double NumberOf(const Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection->GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field);
    default:
      return 0;
  }
}

bool Inside(const Range& range, double value) {
  if (std::isnan(value)) return false;
  const bool above = range.min_excluded ? value > range.min : value >= range.min;
  const bool below = range.max_excluded ? value < range.max : value <= range.max;
  return above && below;
}

// Asked for every value and every range, so the length of the range's path is not looked for.
bool IsOf(const Range& range, std::string_view path) {
  return std::strncmp(range.path, path.data(), path.size()) == 0 && range.path[path.size()] == '\0';
}

}  // namespace

std::optional<std::string> AllowedRange(std::string_view path, const FieldDescriptor* field) {
  for (const Range& range : kRanges) {
    if (!IsOf(range, path)) continue;
    return RangeText(range, field->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE);
  }
  return std::nullopt;
}

std::optional<std::string> RangeFault(std::string_view path, const Message& message,
                                      const FieldDescriptor* field) {
  for (const Range& range : kRanges) {
    if (IsOf(range, path) && !Inside(range, NumberOf(message, field))) {
      return AllowedRange(path, field);
    }
  }
  return std::nullopt;
}

}  // namespace g2ll::spec
