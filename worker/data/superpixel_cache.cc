#include "worker/data/superpixel_cache.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/data/digest.h"
#include "worker/data/folder_scan.h"
#include "worker/data/image_codec.h"

namespace g2ll::data {
namespace {

namespace fs = std::filesystem;

// Version of the algorithm: raise it when equal settings give other regions.
constexpr std::string_view kAlgorithm = "slic-2";
constexpr std::string_view kExtension = ".spx";
// What WriteFileAtomically appends to a name while it writes: a point and six letters.
constexpr size_t kTemporarySuffix = 7;
// A writer needs milliseconds: what is older belongs to one that was killed.
constexpr auto kAbandonedAfter = std::chrono::hours(1);
// Far above any entry: 512 x 512 pixels without two equal neighbors.
constexpr int64_t kMaxEntryBytes = 4 << 20;

struct Entry {
  fs::path path;
  fs::file_time_type time;
  int64_t bytes = 0;
};

bool IsTemporary(const std::string& name) {
  return name.size() > kTemporarySuffix &&
         name.substr(0, name.size() - kTemporarySuffix).ends_with(kExtension);
}

// Entries and files on their way to be one; abandoned ones are removed.
std::vector<Entry> ListEntries(const std::string& folder) {
  std::vector<Entry> entries;
  const auto abandoned = fs::file_time_type::clock::now() - kAbandonedAfter;
  std::error_code error;
  fs::recursive_directory_iterator files(folder, error);
  for (const fs::recursive_directory_iterator end; !error && files != end; files.increment(error)) {
    const std::string name = files->path().filename().string();
    const bool temporary = IsTemporary(name);
    if (!temporary && !name.ends_with(kExtension)) continue;
    std::error_code gone;  // another process may have removed it meanwhile
    Entry entry{files->path(), files->last_write_time(gone), FileSize(files->path())};
    if (gone || entry.bytes < 0) continue;
    if (temporary && entry.time < abandoned) {
      fs::remove(entry.path, gone);
    } else {
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

}  // namespace

SuperpixelCache::SuperpixelCache(std::string folder, int64_t max_bytes)
    : folder_(std::move(folder)), max_bytes_(max_bytes) {
  for (const Entry& entry : ListEntries(folder_)) bytes_ += entry.bytes;
}

absl::StatusOr<std::unique_ptr<SuperpixelCache>> SuperpixelCache::Open(const std::string& folder,
                                                                       int64_t max_bytes) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || access(folder.c_str(), W_OK | X_OK) != 0) {
    return absl::UnavailableError(absl::StrCat(
        folder, ": the superpixel cache cannot be written there: ",
        error ? error.message() : std::string("no permission"), ": choose another cache folder"));
  }
  return std::unique_ptr<SuperpixelCache>(new SuperpixelCache(folder, max_bytes));
}

std::string SuperpixelCache::KeyOf(const Image& image, const SlicOptions& options) {
  Sha256 digest;
  digest.AddField(kAlgorithm);
  // The exact bits of the one number that is not whole.
  const auto compactness = std::bit_cast<uint64_t>(options.compactness);
  digest.AddField(absl::StrCat(image.height, " ", image.width, " ", options.regions, " ",
                               options.mode, " ", options.layout, " ", options.iterations, " ",
                               compactness, " ", options.blur, " ", options.min_size_percent, " ",
                               options.exact));
  digest.AddBytes(image.pixels.data(), image.pixels.size());
  return digest.Finish();
}

std::string SuperpixelCache::PathOf(const std::string& key) const {
  // Folders of 1/256 of the entries keep directories small.
  return absl::StrCat(folder_, "/", key.substr(0, 2), "/", key, std::string(kExtension));
}

std::optional<LabelMap> SuperpixelCache::Find(const std::string& key) const {
  const std::string path = PathOf(key);
  if (const int64_t size = FileSize(path); size < 0 || size > kMaxEntryBytes) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return DecodeLabelMap(bytes);
}

void SuperpixelCache::Store(const std::string& key, const LabelMap& map) {
  const std::string bytes = EncodeLabelMap(map);
  const auto size = static_cast<int64_t>(bytes.size());
  if (size > kMaxEntryBytes || size > max_bytes_) return;
  {
    absl::MutexLock lock(&mutex_);
    if (bytes_ + size > max_bytes_ || uncounted_ > max_bytes_ / 16) MakeRoom(size);
    bytes_ += size;
    uncounted_ += size;
    in_flight_ += size;
  }
  std::error_code error;
  const std::string path = PathOf(key);
  fs::create_directories(fs::path(path).parent_path(), error);
  const bool written = WriteFileAtomically(path, bytes).ok();
  absl::MutexLock lock(&mutex_);
  in_flight_ -= size;
  if (!written) bytes_ -= size;
}

// Where there is too little, down to nine tenths, so that the next writers find room.
void SuperpixelCache::MakeRoom(int64_t adding) {
  std::vector<Entry> entries = ListEntries(folder_);
  bytes_ = in_flight_;
  uncounted_ = 0;
  for (const Entry& entry : entries) bytes_ += entry.bytes;
  if (bytes_ + adding <= max_bytes_) return;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.time < b.time; });
  for (const Entry& entry : entries) {
    if (bytes_ + adding <= max_bytes_ / 10 * 9) break;
    std::error_code error;
    fs::remove(entry.path, error);
    bytes_ -= entry.bytes;
  }
}

}  // namespace g2ll::data
