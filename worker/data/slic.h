#ifndef WORKER_DATA_SLIC_H_
#define WORKER_DATA_SLIC_H_

#include <vector>

#include "worker/data/image.h"
#include "worker/data/lab.h"
#include "worker/data/resize.h"

namespace g2ll::data {

// Settings of the superpixels (method section 2.4).
struct SlicOptions {
  int regions = 8;  // K asked for; the number returned may differ by a few
  int iterations = 10;
  int min_size_percent = 25;  // smaller parts, of the mean size, join a neighbor
};

// Where a cluster starts, in whole pixels.
struct SlicSeed {
  int y = 0;
  int x = 0;
};

// Distance between seeds and the seeds themselves: a hexagonal grid, whose odd rows
// are shifted by half a step (3-2-3 for K = 8). The step is the one nearest to
// sqrt(height * width / K) that gives K seeds, or the count nearest to K.
struct SlicSeeds {
  int step = 1;
  std::vector<SlicSeed> seeds;
};
SlicSeeds PlaceSeeds(int height, int width, int regions);

// Regions 0 .. K'-1, each 4-connected, numbered in the order in which rows are read.
// SLICO: the color distance is divided by each cluster's largest so far, so there is
// no compactness to choose. The result depends on color differences only, not on a
// constant added to L, and its bits are the same on every machine. Thread-safe.
LabelMap SlicRegions(const LabImage& lab, const SlicOptions& options);

// Of an RGB picture: smoothed, converted to Lab, cut into regions.
LabelMap SlicRegions(const Image& image, const SlicOptions& options);

// Joins every 4-connected part of at most `max_small` pixels to the neighbor it
// shares the longest border with (ties: the one that comes first) and renumbers.
LabelMap ConnectRegions(const LabelMap& clusters, int max_small);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SLIC_H_
