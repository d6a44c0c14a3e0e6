#ifndef WORKER_DATA_SUBSET_H_
#define WORKER_DATA_SUBSET_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace g2ll::data {

// Positions of the ids that `fraction` and `max_images` of the options keep, ascending.
// Each id has a place in an order of its own, given by `subset_seed`, so smaller subsets
// lie within larger ones, and adding ids does not reorder the rest.
// Error: InvalidArgument where the fraction, to the nearest whole image, leaves none.
absl::StatusOr<std::vector<size_t>> SelectSubset(const std::vector<std::string>& ids,
                                                 const DatasetOptions& options);

// A split for each id of a labelled set that names none: about 80 % train, 10 %
// validation, 10 % test by a hash of the id; sets too small for that still get at
// least one image of each where they have three.
std::vector<Split> HashSplit(const std::vector<std::string>& ids);

// `train`, `validation`, `test` or `all`.
const char* SplitName(Split split);

// The split of that name; none where there is no such split.
std::optional<Split> SplitNamed(std::string_view name);

// The split that a word means in the name of a folder or in a table, in any case: `train`,
// `training`, `val`, `valid`, `validation`, `test`, `testing`, or the same with `set` behind
// the short ones; none for any other word.
std::optional<Split> SplitOfWord(std::string_view word);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SUBSET_H_
