#ifndef WORKER_PRETRAIN_COLLAPSE_H_
#define WORKER_PRETRAIN_COLLAPSE_H_

#include <cstdint>
#include <string>

namespace g2ll::pretrain {

// Signs that self-distillation teaches nothing any more (method section 3.1).
struct CollapseLimits {
  int64_t num_prototypes = 2;  // K
  // Steps in which an output close to uniform is the normal start.
  int64_t warmup_steps = 0;
};

// What a mean entropy of the teacher's output (nats) says at `step`: a sentence where
// it is above 0.99 ln K after the warm-up, or below 0.05 at any time; else empty.
std::string CollapseWarning(const CollapseLimits& limits, int64_t step, double entropy);

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_COLLAPSE_H_
