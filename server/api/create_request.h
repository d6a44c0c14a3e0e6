#ifndef SERVER_API_CREATE_REQUEST_H_
#define SERVER_API_CREATE_REQUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "g2ll/v1/job.pb.h"
#include "server/coordinator/core.h"

namespace g2ll::api {

// Checks a request as far as that can be done without the cluster's state, fills
// in defaults and turns it into a command. Error: InvalidArgument INVALID_SPEC
// with every bad field.
absl::StatusOr<coordinator::CreateJobCommand> ReadCreateRequest(
    const v1::CreateJobRequest& request);

// Project of `projects/{project}`; empty is `default`. Error: InvalidArgument.
absl::StatusOr<std::string> ReadParent(const std::string& parent);

}  // namespace g2ll::api

#endif  // SERVER_API_CREATE_REQUEST_H_
