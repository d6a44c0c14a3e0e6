#ifndef WORKER_EVALUATE_PROTOCOL_H_
#define WORKER_EVALUATE_PROTOCOL_H_

namespace g2ll::evaluate {

// Test-time augmentation.
enum class Tta {
  kNone,   // one prediction
  kFlips,  // mean of the logits of the image and its three mirror images, mirrored back
};

// Change of a predicted mask.
enum class Postprocess {
  kKeep,              // none
  kLargestComponent,  // KeepLargestComponent
};

// A pixel is lesion where its probability exceeds this (method section 4.3).
inline constexpr double kLesionThreshold = 0.5;

// How a mask comes from an image. Scores of two networks may be compared only where
// this is equal.
struct Protocol {
  Tta tta = Tta::kNone;
  Postprocess postprocess = Postprocess::kKeep;
};

// Names as in a job file: `none` or `flips`, `keep` or `largest_component`.
inline const char* NameOf(Tta tta) { return tta == Tta::kFlips ? "flips" : "none"; }
inline const char* NameOf(Postprocess postprocess) {
  return postprocess == Postprocess::kLargestComponent ? "largest_component" : "keep";
}

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_PROTOCOL_H_
