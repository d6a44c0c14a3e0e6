#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/dataset_factories.h"
#include "worker/data/digest.h"
#include "worker/data/excluded_ids.h"
#include "worker/data/subset.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data::internal {
namespace {

// Version of the generator: raise it when the same settings give other pictures.
constexpr std::string_view kGeneratorVersion = "synthetic-dermoscopy-1";
// The same for its diagnoses.
constexpr std::string_view kClassesVersion = "synthetic-classes-1";

struct SyntheticSettings {
  int64_t count = 256;
  int64_t seed = 1;
  int64_t size = 256;
};

struct SyntheticEntry {
  std::string id;
  SyntheticKey key;
};

absl::Status BadSource(const std::string& source, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("data.source '", source.substr(0, 200), "': ", std::string(why),
                   ": write synthetic:dermoscopy?count=256&seed=1&size=256"));
}

absl::StatusOr<SyntheticSettings> ParseSource(const std::string& source) {
  SyntheticSettings settings;
  std::string_view rest = std::string_view(source).substr(kSyntheticPrefix.size());
  const size_t question = rest.find('?');
  if (rest.substr(0, question) != "dermoscopy") return BadSource(source, "unknown generator");
  rest = question == std::string_view::npos ? "" : rest.substr(question + 1);
  struct Key {
    std::string_view name;
    int64_t low, high;
    int64_t* value;
  };
  const Key keys[] = {{"count", 1, 1'000'000, &settings.count},
                      {"seed", 0, INT64_MAX, &settings.seed},
                      {"size", 32, 1024, &settings.size}};
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    const auto* const key = std::find_if(std::begin(keys), std::end(keys), [&](const Key& k) {
      return k.name == pair.substr(0, equals);
    });
    if (key == std::end(keys)) {
      return BadSource(source, absl::StrCat("unknown key '", std::string(pair), "'"));
    }
    const std::string_view digits = equals == std::string_view::npos ? "" : pair.substr(equals + 1);
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, *key->value);
    if (error != std::errc() || stop != end || *key->value < key->low || *key->value > key->high) {
      return BadSource(source, absl::StrCat(std::string(key->name), " must be a number from ",
                                            key->low, " to ", key->high));
    }
  }
  return settings;
}

class SyntheticDataset final : public Dataset {
 public:
  SyntheticDataset(std::vector<SyntheticEntry> entries, ClassLabels classes, std::string digest)
      : entries_(std::move(entries)), classes_(std::move(classes)), digest_(std::move(digest)) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  const std::string& id(int64_t index) const override { return At(index).id; }
  const std::string& path(int64_t index) const override { return At(index).id; }
  absl::StatusOr<Image> LoadImage(int64_t index) const override {
    return SyntheticImage(At(index).key);
  }
  absl::StatusOr<Image> LoadImageFor(int64_t index, int) const override { return LoadImage(index); }
  absl::StatusOr<LesionMask> LoadMask(int64_t index) const override {
    return SyntheticMask(At(index).key);
  }
  const ClassLabels& classes() const override { return classes_; }
  absl::Status CheckFiles(int64_t) const override { return absl::OkStatus(); }
  const std::string& digest() const override { return digest_; }

 private:
  const SyntheticEntry& At(int64_t index) const { return entries_[static_cast<size_t>(index)]; }

  std::vector<SyntheticEntry> entries_;
  ClassLabels classes_;
  std::string digest_;
};

// All entries of the wanted splits, by id.
std::vector<SyntheticEntry> ListEntries(const SyntheticSettings& settings, Split wanted) {
  std::vector<SyntheticEntry> entries;
  // In the order of their ids.
  for (const Split split : {Split::kTest, Split::kTrain, Split::kValidation}) {
    if (wanted != Split::kAll && wanted != split) continue;
    const int64_t count =
        split == Split::kTrain ? settings.count : std::max<int64_t>(8, settings.count / 4);
    for (int64_t i = 0; i < count; ++i) {
      char id[64];
      std::snprintf(id, sizeof(id), "synthetic_%s_%07lld", SplitName(split),
                    static_cast<long long>(i));
      // Splits take their pictures from ranges that never meet.
      const uint64_t index = (static_cast<uint64_t>(split) << 40) | static_cast<uint64_t>(i);
      entries.push_back(
          {id, {static_cast<uint64_t>(settings.seed), index, static_cast<int>(settings.size)}});
    }
  }
  return entries;
}

// Ids of the validation and test splits.
std::vector<std::string> HeldIds(const SyntheticSettings& settings) {
  std::vector<std::string> ids;
  for (const Split split : {Split::kTest, Split::kValidation}) {
    for (SyntheticEntry& entry : ListEntries(settings, split)) ids.push_back(std::move(entry.id));
  }
  return ids;
}

ClassLabels LabelsOf(const std::vector<SyntheticEntry>& entries) {
  ClassLabels labels;
  labels.names.assign(kSyntheticClasses.begin(), kSyntheticClasses.end());
  for (const SyntheticEntry& entry : entries) labels.of_image.push_back(SyntheticClass(entry.key));
  return labels;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenSynthetic(const DatasetOptions& options) {
  G2LL_ASSIGN_OR_RETURN(const SyntheticSettings settings, ParseSource(options.source));
  if (options.needs_classes && !options.class_file.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("data.classFile ", options.class_file,
                                                   ": generated images have classes of their own"));
  }
  G2LL_ASSIGN_OR_RETURN(const ExcludedIds excluded,
                        ExcludedIds::Read(options.exclude_ids, HeldIds(settings)));
  std::vector<SyntheticEntry> all = ListEntries(settings, options.split);
  G2LL_RETURN_IF_ERROR(
      RemoveExcluded(excluded, options, all, [](const SyntheticEntry& entry) { return entry.id; }));
  std::vector<std::string> ids;
  for (const SyntheticEntry& entry : all) ids.push_back(entry.id);
  Sha256 digest;
  digest.AddField(kGeneratorVersion);
  if (options.needs_classes) digest.AddField(kClassesVersion);
  digest.AddField(absl::StrCat(settings.seed, " ", settings.size));
  std::vector<SyntheticEntry> kept;
  G2LL_ASSIGN_OR_RETURN(const std::vector<size_t> positions, SelectSubset(ids, options));
  for (const size_t position : positions) {
    digest.AddField(all[position].id);
    kept.push_back(all[position]);
  }
  ClassLabels classes;
  if (options.needs_classes) classes = LabelsOf(kept);
  return std::make_unique<SyntheticDataset>(std::move(kept), std::move(classes), digest.Finish());
}

}  // namespace g2ll::data::internal
