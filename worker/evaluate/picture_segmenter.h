#ifndef WORKER_EVALUATE_PICTURE_SEGMENTER_H_
#define WORKER_EVALUATE_PICTURE_SEGMENTER_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/image.h"
#include "worker/evaluate/protocol.h"

namespace g2ll::evaluate {

// What a network says of one picture file.
struct SegmentedPicture {
  data::LesionMask mask;  // at the picture's own size
  double area = 0;        // share of its pixels that are lesion, in [0, 1]
  // Mean over the network's pixels of |2 p - 1|, p being the probability of lesion: 1
  // where every pixel is certain, 0 where none is better than a coin. In [0, 1].
  double confidence = 0;
};

// Dice and IoU of a mask against the truth of the same size (checked), with the rule for
// empty masks of metric::Dice.
struct MaskScore {
  double dice = 0, iou = 0;
};
MaskScore ScoreMask(const data::LesionMask& mask, const data::LesionMask& truth);

// Settings of a PictureSegmenter.
struct PictureOptions {
  // A checkpoint directory of a FinetuneJob, the folder of an exported segmenter, or
  // its model.safetensors.
  std::string model;
  std::string device = "auto";  // `auto`, `cpu` or `cuda`
  int threads = 1;              // of torch and of the readers, at least 1
  Protocol protocol;
};

// Segments picture files of any size, with the pixels of an evaluation: the same
// reader, resizing, network and threshold give the same mask (method section 4.3).
// Orientation in a file's EXIF block is not applied: masks lie on the stored pixels.
// One caller at a time.
class PictureSegmenter {
 public:
  // Verifies the digests of a checkpoint and loads the network. Sets the number of
  // threads of torch in this process.
  // Errors: NotFound (nothing there), FailedPrecondition (another kind of model),
  // DataLoss (damaged), InvalidArgument (no such device); one line.
  static absl::StatusOr<std::unique_ptr<PictureSegmenter>> Load(const PictureOptions& options);
  virtual ~PictureSegmenter() = default;

  // The files of one batch, each a picture or why it is none: DataLoss (unreadable,
  // names the file), Internal (a prediction that is not a finite number, names it).
  virtual std::vector<absl::StatusOr<SegmentedPicture>> Segment(
      std::span<const std::string> paths) = 0;
};

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_PICTURE_SEGMENTER_H_
