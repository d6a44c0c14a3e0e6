#ifndef WORKER_DATA_INPUT_CHECKS_H_
#define WORKER_DATA_INPUT_CHECKS_H_

#include "absl/status/status.h"
#include "worker/data/loader.h"

namespace g2ll::data::internal {

// Error: InvalidArgument where the image is not a whole number of patches or a count
// is below 1; names the nearest sizes that are allowed.
absl::Status CheckInput(const InputOptions& input, int threads, int prefetch);

// OpenCV would start a thread per core inside each of our threads.
void UseNoOpenCvThreads();

}  // namespace g2ll::data::internal

#endif  // WORKER_DATA_INPUT_CHECKS_H_
