// Superpixels at the paper's size, 256x256 and K = 8, one core, per image: ours with
// Lab conversion, 3x3 blur, 10 iterations, connectivity and numbering, and OpenCV's
// with the same steps. The target is 2 ms.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/ximgproc/slic.hpp>
#include <string>
#include <vector>

#include "worker/data/slic.h"
#include "worker/data/slic_tile.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

// Pictures in turn, for some need more work than others.
std::vector<Image> Pictures() {
  std::vector<Image> pictures;
  for (uint64_t index = 0; index < 16; ++index) {
    pictures.push_back(SyntheticImage({1, index, 256}));
  }
  return pictures;
}

void Slico(benchmark::State& state) {
  const std::vector<Image> pictures = Pictures();
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(SlicRegions(pictures[next++ % pictures.size()], {}));
  }
}
BENCHMARK(Slico)->Unit(benchmark::kMillisecond);

void SlicoBy(benchmark::State& state, const SlicLoops& loops) {
  const std::vector<Image> pictures = Pictures();
  size_t next = 0;
  for (auto _ : state) {
    const LabImage lab = SmoothedLab(pictures[next++ % pictures.size()]);
    benchmark::DoNotOptimize(SlicRegionsBy(loops, lab, {}));
  }
}

// One line for each kind of vectors.
const bool kRegistered = [] {
  for (const SlicLoops& loops : SupportedSlicLoops()) {
    benchmark::RegisterBenchmark((std::string("Slico/") + loops.name).c_str(),
                                 [&loops](benchmark::State& state) { SlicoBy(state, loops); })
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

void Lab(benchmark::State& state) {
  const std::vector<Image> pictures = Pictures();
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(SmoothedLab(pictures[next++ % pictures.size()]));
  }
}
BENCHMARK(Lab)->Unit(benchmark::kMillisecond);

void Connectivity(benchmark::State& state) {
  SlicOptions as_found;
  as_found.min_size_percent = 0;
  const LabelMap clusters = SlicRegions(Pictures()[3], as_found);
  for (auto _ : state) benchmark::DoNotOptimize(ConnectRegions(clusters, 2048));
}
BENCHMARK(Connectivity)->Unit(benchmark::kMillisecond);

void OpenCvSlico(benchmark::State& state) {
  cv::setNumThreads(1);
  std::vector<Image> pictures = Pictures();
  size_t next = 0;
  for (auto _ : state) {
    Image& picture = pictures[next++ % pictures.size()];
    const cv::Mat rgb(picture.height, picture.width, CV_8UC3, picture.pixels.data());
    cv::Mat smooth, lab, labels;
    cv::GaussianBlur(rgb, smooth, {3, 3}, 0);
    cv::cvtColor(smooth, lab, cv::COLOR_RGB2Lab);
    const auto slic = cv::ximgproc::createSuperpixelSLIC(lab, cv::ximgproc::SLICO, 91);
    slic->iterate(10);
    slic->enforceLabelConnectivity(25);
    slic->getLabels(labels);
    benchmark::DoNotOptimize(labels.data);
  }
}
BENCHMARK(OpenCvSlico)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace g2ll::data
