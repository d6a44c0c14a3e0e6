#ifndef WORKER_SCHEDULE_LAYER_DECAY_H_
#define WORKER_SCHEDULE_LAYER_DECAY_H_

#include <string_view>

namespace g2ll::schedule {

// Layer of an encoder's parameter by its exported (timm) name: 0 for the tokens,
// positions and patch embedding, N + 1 for `blocks.N.*`, depth + 1 for everything
// after the blocks: the final norm, and every name of another part (`seg.*`,
// `classifier.*`). `depth` is the number of blocks.
int LayerOf(std::string_view name, int depth);

// Factor on the learning rate of a parameter when a pre-trained encoder is
// fine-tuned: decay^(depth + 1 - layer), 1 at the output and least at the input
// (method section 4.2; MAE's rule). `decay` in (0,1]; 1 is no layer decay.
double LayerDecayFactor(std::string_view name, int depth, double decay);

}  // namespace g2ll::schedule

#endif  // WORKER_SCHEDULE_LAYER_DECAY_H_
