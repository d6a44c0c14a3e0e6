#ifndef WORKER_MASK_MASK_STRATEGY_H_
#define WORKER_MASK_MASK_STRATEGY_H_

namespace g2ll::mask {

enum class MaskKind { kRandom, kSemantic, kSemanticFocal };

// Settings of the mask (paper 2.2).
struct MaskOptions {
  MaskKind kind = MaskKind::kSemanticFocal;
  double gamma = 0.25;  // share of patches masked
  double beta = 0.70;   // share of the masked patches in the central regions
  int regions = 8;      // superpixels K asked of SLIC
  double rho = 0.75;    // at most this share of a region while others have room
};

}  // namespace g2ll::mask

#endif  // WORKER_MASK_MASK_STRATEGY_H_
