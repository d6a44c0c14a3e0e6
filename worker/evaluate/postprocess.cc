#include "worker/evaluate/postprocess.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace g2ll::evaluate {
namespace {

// Steps to the neighbours of a pixel: the first four share a side with it.
constexpr std::array<std::pair<int, int>, 8> kSteps = {
    {{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}}};

enum State : uint8_t { kSkin, kLesion, kSeen, kOutside };

// The state of every pixel while a mask is worked on.
class Grid {
 public:
  explicit Grid(const data::LesionMask& mask)
      : height_(mask.height), width_(mask.width), states_(mask.pixels.size()) {
    for (size_t i = 0; i < states_.size(); ++i) {
      states_[i] = mask.pixels[i] != 0 ? kLesion : kSkin;
    }
  }

  std::vector<State>& states() { return states_; }

  // Turns `start` and all pixels that are connected with it by `num_steps` neighbours
  // and have its state into `to`; returns how many. `to` is another state.
  int64_t Flood(size_t start, size_t num_steps, State to) {
    const State from = states_[start];
    states_[start] = to;
    waiting_.assign(1, start);
    int64_t count = 0;
    while (!waiting_.empty()) {
      const size_t pixel = waiting_.back();
      waiting_.pop_back();
      ++count;
      const int y = static_cast<int>(pixel / static_cast<size_t>(width_));
      const int x = static_cast<int>(pixel % static_cast<size_t>(width_));
      for (const auto& [dy, dx] : std::span(kSteps).first(num_steps)) {
        if (y + dy < 0 || x + dx < 0 || y + dy >= height_ || x + dx >= width_) {
          continue;
        }
        const size_t next = At(y + dy, x + dx);
        if (states_[next] == from) {
          states_[next] = to;
          waiting_.push_back(next);
        }
      }
    }
    return count;
  }

  // Floods all skin that reaches the border.
  void MarkOutside() {
    for (int y = 0; y < height_; ++y) {
      MarkOutside(At(y, 0));
      MarkOutside(At(y, width_ - 1));
    }
    for (int x = 0; x < width_; ++x) {
      MarkOutside(At(0, x));
      MarkOutside(At(height_ - 1, x));
    }
  }

 private:
  size_t At(int y, int x) const {
    return static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x);
  }
  void MarkOutside(size_t pixel) {
    if (states_[pixel] == kSkin) {
      Flood(pixel, 4, kOutside);
    }
  }

  int height_;
  int width_;
  std::vector<State> states_;
  std::vector<size_t> waiting_;
};

}  // namespace

void KeepLargestComponent(data::LesionMask& mask) {
  Grid grid(mask);
  int64_t largest = 0;
  size_t largest_start = 0;
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    if (grid.states()[i] != kLesion) {
      continue;
    }
    const int64_t size = grid.Flood(i, 8, kSeen);
    if (size > largest) {
      largest = size;
      largest_start = i;
    }
  }
  if (largest == 0) {
    return;
  }
  grid.Flood(largest_start, 8, kLesion);
  for (State& state : grid.states()) {
    state = state == kLesion ? kLesion : kSkin;
  }
  grid.MarkOutside();
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    mask.pixels[i] = grid.states()[i] == kOutside ? 0 : 255;
  }
}

}  // namespace g2ll::evaluate
