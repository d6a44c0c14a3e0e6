#ifndef WORKER_DATA_SLIC_H_
#define WORKER_DATA_SLIC_H_

#include <vector>

#include "worker/data/image.h"
#include "worker/data/lab.h"
#include "worker/data/resize.h"

namespace g2ll::data {

// How color is weighed against place.
enum class SlicMode {
  kSlico,  // by each region's largest color distance so far: nothing to choose
  kSlic,   // by the same compactness everywhere
};

// Where regions start.
enum class SlicLayout {
  kHex,   // odd rows shifted by half a step: 3-2-3 for eight regions
  kGrid,  // rows and columns: 3x3 where eight are asked for
};

// Settings of the superpixels (method section 2.4). Every field is part of the key
// of the superpixel cache.
struct SlicOptions {
  int regions = 8;  // K asked for, at least 1; the number returned may differ by a few
  SlicMode mode = SlicMode::kSlico;
  SlicLayout layout = SlicLayout::kHex;
  int iterations = 10;
  double compactness = 10;    // kSlic: weight of place, in units of Lab, above 0
  bool blur = true;           // smooth by a 3x3 Gaussian first
  int min_size_percent = 25;  // smaller parts, of the mean size, join a neighbor
  // Merge the smallest region or split the largest until there are exactly `regions`
  // (as many as there are pixels where that is fewer).
  bool exact = false;
};

// Where a cluster starts, in whole pixels.
struct SlicSeed {
  int y = 0;
  int x = 0;
};

// Distance between seeds and the seeds themselves, as rows are read.
struct SlicSeeds {
  int step = 1;
  std::vector<SlicSeed> seeds;
};

// Seeds `step` apart (OpenCV's region_size); at least one.
SlicSeeds SeedsAtStep(int height, int width, int step, SlicLayout layout);

// Seeds at the step nearest to sqrt(height * width / regions) that gives `regions`
// seeds, or the count nearest to it.
SlicSeeds PlaceSeeds(int height, int width, int regions, SlicLayout layout = SlicLayout::kHex);

// Regions 0 .. K'-1, each 4-connected, numbered in the order in which rows are read.
// The result depends on color differences only, not on a constant added to L, and its
// bits are the same on every machine. Thread-safe.
LabelMap SlicRegions(const LabImage& lab, const SlicOptions& options);

// Of an RGB picture: smoothed if asked, converted to Lab, cut into regions.
LabelMap SlicRegions(const Image& image, const SlicOptions& options);

// Joins every 4-connected part of at most `max_small` pixels to the neighbor it
// shares the longest border with (ties: the one that comes first) and renumbers.
LabelMap ConnectRegions(const LabelMap& clusters, int max_small);

// Joins the smallest region to the neighbor with the longest border, or halves the
// largest, until there are `regions`, and renumbers. A region is halved across its
// length; both halves are in one piece. `map` is as SlicRegions returns it.
LabelMap WithExactRegions(const LabelMap& map, int regions);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SLIC_H_
