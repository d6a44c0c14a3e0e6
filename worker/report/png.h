#ifndef WORKER_REPORT_PNG_H_
#define WORKER_REPORT_PNG_H_

#include <string>

#include "absl/status/statusor.h"
#include "worker/data/image.h"

namespace g2ll::report {

// The bytes of an 8-bit RGB PNG file. Errors: InvalidArgument (no pixels, or
// not as many as height and width say).
absl::StatusOr<std::string> EncodePng(const data::Image& image);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_PNG_H_
