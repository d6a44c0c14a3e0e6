#ifndef SERVER_API_QUEUE_REQUEST_H_
#define SERVER_API_QUEUE_REQUEST_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "g2ll/v1/queue.pb.h"
#include "server/cluster/records.h"

// Reads the requests of QueueService. Errors name every bad field.
namespace g2ll::api {

// Short names of a queue and its project.
struct QueueName {
  std::string project;
  std::string queue;
};

// Parts of `projects/{project}/queues/{queue}`. Error: InvalidArgument INVALID_QUEUE.
absl::StatusOr<QueueName> ReadQueueName(const std::string& name);

// Short name of `projects/{project}`. Error: InvalidArgument INVALID_PROJECT.
absl::StatusOr<std::string> ReadProjectName(const std::string& name);

// The queue that a request wants made. Error: InvalidArgument INVALID_QUEUE.
absl::StatusOr<cluster::QueueRecord> ReadCreateQueue(const v1::CreateQueueRequest& request);

// The changes that requests ask for. Errors: InvalidArgument INVALID_QUEUE, INVALID_PROJECT.
absl::StatusOr<std::function<void(cluster::QueueRecord&)>> ReadUpdateQueue(
    const v1::UpdateQueueRequest& request);
absl::StatusOr<std::function<void(cluster::ProjectRecord&)>> ReadUpdateProject(
    const v1::UpdateProjectRequest& request);

// Which waiting jobs are asked for.
struct WaitingQuery {
  // Empty is all projects.
  std::string project;
  int64_t skip = 0;
  int64_t page_size = 100;
};

// Errors: InvalidArgument (BAD_PAGE_SIZE, BAD_PAGE_TOKEN, INVALID_SPEC for the parent).
absl::StatusOr<WaitingQuery> ReadListWaiting(const v1::ListWaitingJobsRequest& request);

// The token of the page behind `skip` jobs; good for the same project only.
std::string WaitingPageToken(const WaitingQuery& query, int64_t skip);

}  // namespace g2ll::api

#endif  // SERVER_API_QUEUE_REQUEST_H_
