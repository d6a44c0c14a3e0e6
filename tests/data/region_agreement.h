#ifndef TESTS_DATA_REGION_AGREEMENT_H_
#define TESTS_DATA_REGION_AGREEMENT_H_

#include <vector>

#include "worker/data/resize.h"

namespace g2ll::data::test {

// Labels of a map that has every label from 0 to the largest.
int NumRegions(const LabelMap& map);

// Pixels of each region.
std::vector<int> RegionCounts(const LabelMap& map);

// Share of the pixels at a border of `reference` that have a border of `map` within
// `reach` pixels in rows and columns; 1 where the reference has no border.
double BoundaryRecall(const LabelMap& map, const LabelMap& reference, int reach = 2);

// Share of the pixels that lie in the region of `reference` which is the most frequent
// one in their region of `map`.
double RegionPurity(const LabelMap& map, const LabelMap& reference);

}  // namespace g2ll::data::test

#endif  // TESTS_DATA_REGION_AGREEMENT_H_
