#include "worker/schedule/layer_decay.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace g2ll::schedule {

int LayerOf(std::string_view name, int depth) {
  constexpr std::string_view kBlocks = "blocks.";
  const int last = depth + 1;
  if (name == "cls_token" || name == "pos_embed" || name.starts_with("patch_embed.")) return 0;
  if (!name.starts_with(kBlocks)) return last;
  int block = 0;
  const char* end = name.data() + name.size();
  const auto [next, error] = std::from_chars(name.data() + kBlocks.size(), end, block);
  const bool is_block = error == std::errc() && next != end && *next == '.' && block >= 0;
  return is_block ? std::min(block, depth) + 1 : last;
}

double LayerDecayFactor(std::string_view name, int depth, double decay) {
  return std::pow(decay, depth + 1 - LayerOf(name, depth));
}

}  // namespace g2ll::schedule
