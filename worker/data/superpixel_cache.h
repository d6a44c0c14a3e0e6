#ifndef WORKER_DATA_SUPERPIXEL_CACHE_H_
#define WORKER_DATA_SUPERPIXEL_CACHE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/data/slic.h"

namespace g2ll::data {

// Label maps on disk, so that a set is cut into superpixels once and not once a job.
//
// An entry's name is the SHA-256 of the very pixels and settings it was made from, so
// it can never be stale. Entries are written to a temporary file and renamed, and
// carry a checksum: a damaged one counts as absent and is written anew. Temporary
// files that a killed writer left go with the next cache that is opened on the folder
// or makes room in it, once they are an hour old.
//
// Several processes may share a folder. Each counts what the others stored whenever it
// has stored a sixteenth of the bound itself, so that together they stay within the
// bound and a sixteenth for each process. Safe for use from many threads.
class SuperpixelCache {
 public:
  // Creates `folder` where it is missing. Error: Unavailable (it cannot be made or
  // written), naming it.
  static absl::StatusOr<std::unique_ptr<SuperpixelCache>> Open(const std::string& folder,
                                                               int64_t max_bytes = int64_t{512}
                                                                                   << 20);

  // Name of the entry for a picture that is cut with these settings.
  static std::string KeyOf(const Image& image, const SlicOptions& options);

  // The entry, or nothing.
  std::optional<LabelMap> Find(const std::string& key) const;

  // Stores an entry; makes room by dropping the oldest ones. A full disk is no
  // fault of the job: the entry is then simply not kept.
  void Store(const std::string& key, const LabelMap& map);

 private:
  SuperpixelCache(std::string folder, int64_t max_bytes);
  std::string PathOf(const std::string& key) const;
  // Counts what is there now, and removes what `adding` bytes leave no room for.
  void MakeRoom(int64_t adding) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const int64_t max_bytes_;
  absl::Mutex mutex_;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;      // in the folder, as far as known
  int64_t uncounted_ ABSL_GUARDED_BY(mutex_) = 0;  // of them, since the last count
  int64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;  // of them, perhaps not yet there
};

// Label maps as bytes: a header, runs of equal labels along the rows, a checksum.
std::string EncodeLabelMap(const LabelMap& map);
// Nothing if the bytes are damaged.
std::optional<LabelMap> DecodeLabelMap(const std::string& bytes);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SUPERPIXEL_CACHE_H_
