#ifndef SERVER_API_UPDATE_REQUEST_H_
#define SERVER_API_UPDATE_REQUEST_H_

#include "absl/status/statusor.h"
#include "g2ll/v1/job.pb.h"
#include "server/coordinator/core.h"

namespace g2ll::api {

// Checks a request as far as that can be done without the job and returns the change
// that it asks for. Error: InvalidArgument INVALID_SPEC with every bad path.
absl::StatusOr<coordinator::JobChange> ReadUpdateRequest(const v1::UpdateJobRequest& request);

}  // namespace g2ll::api

#endif  // SERVER_API_UPDATE_REQUEST_H_
