#ifndef SERVER_API_WATCH_SERVICE_H_
#define SERVER_API_WATCH_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "g2ll/v1/job.pb.h"
#include "server/api/resume_token.h"
#include "server/api/services.h"

namespace g2ll::api {

// Opens WatchJobs. Errors are those that job.proto names.
grpc::ServerWriteReactor<v1::WatchJobsResponse>* OpenWatch(grpc::CallbackServerContext* call,
                                                           const ServiceContext& context,
                                                           const v1::WatchJobsRequest& request);

}  // namespace g2ll::api

#endif  // SERVER_API_WATCH_SERVICE_H_
