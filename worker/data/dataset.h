#ifndef WORKER_DATA_DATASET_H_
#define WORKER_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/image.h"

namespace g2ll::data {

enum class Split { kTrain, kValidation, kTest, kAll };

// What to read and how much of it.
struct DatasetOptions {
  // An absolute folder or `synthetic:dermoscopy?count=256&seed=1`.
  std::string source;
  Split split = Split::kTrain;
  // true: only images that have a lesion mask. false: masks are ignored, and
  // where a source has images without masks (unlabelled ones), only those.
  bool needs_masks = false;
  // true: only images whose diagnosis is known. Never with `needs_masks`.
  bool needs_classes = false;
  // Table of diagnoses (class_table.h), absolute; empty: the source's own. Generated
  // images take none.
  std::string class_file;
  // Images that are left out before anything is taken from the rest. Each entry is
  // `held` (the validation and test splits of the source), an absolute data folder (all
  // its images; `FOLDER#SPLIT` those of one split, see folder_split.h) or an absolute text
  // file with one id a line. `none` names nothing.
  std::vector<std::string> exclude_ids;
  // Share of the images kept, in (0, 1]; subsets with one seed are nested.
  double fraction = 1.0;
  // At most so many images are kept; 0 is no limit.
  int64_t max_images = 0;
  // Seed of the order from which `fraction` and `max_images` take.
  int64_t subset_seed = 0;
};

// Diagnoses of a data set's images.
struct ClassLabels {
  // In the order of the classes' numbers, at least two; the same for every split and
  // subset of a source.
  std::vector<std::string> names;
  // Class of each image by data set index, in [0, names.size()).
  std::vector<int64_t> of_image;

  // Images of each class, [names.size()].
  std::vector<int64_t> Counts() const;
};

// An indexed set of images, opened without decoding any of them.
//
// Indices are stable: the order is by id, the same on every host that sees the
// same files. Safe for concurrent reads from many threads.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // Errors: NotFound (no such folder), InvalidArgument (a source that cannot be
  // understood, a fraction that leaves no image), FailedPrecondition (nothing usable
  // or nothing left, a mask without an image, an image without its mask where masks
  // are needed, a fault of the table of diagnoses). One line that names the file or
  // folder and says what to do. Logs how many images were left out and why.
  static absl::StatusOr<std::unique_ptr<Dataset>> Open(const DatasetOptions& options);

  // Number of images, at least 1.
  virtual int64_t size() const = 0;

  // File stem, for example `ISIC_0000000`; unique within the set.
  virtual const std::string& id(int64_t index) const = 0;

  // The image at its own size, RGB. Errors: DataLoss (unreadable, with its path).
  virtual absl::StatusOr<Image> LoadImage(int64_t index) const = 0;

  // The same image for a use at `side` pixels: where both of its sides are at least
  // twice that, a file may be reduced while it is decoded, never below `side`.
  virtual absl::StatusOr<Image> LoadImageFor(int64_t index, int side) const = 0;

  // The file behind an image, for messages; the id where there is none.
  virtual const std::string& path(int64_t index) const = 0;

  // The lesion mask at the image's own size, 0 or 255. Errors: DataLoss.
  // Only where `needs_masks` was set.
  virtual absl::StatusOr<LesionMask> LoadMask(int64_t index) const = 0;

  // Diagnoses of the images; empty unless `needs_classes` was set.
  virtual const ClassLabels& classes() const = 0;

  // Looks at the headers of an image's files, without decoding: readable, bounded,
  // and of one size where `needs_masks` was set. Errors: DataLoss.
  virtual absl::Status CheckFiles(int64_t index) const = 0;

  // SHA-256 in hexadecimal over the ids, relative paths and sizes of the files and
  // their diagnoses (or over the generator's settings), of the images that are left:
  // equal on hosts that see the same set.
  virtual const std::string& digest() const = 0;
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_DATASET_H_
