#include "server/api/watch_service.h"

#include <atomic>
#include <map>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/api/list_filter.h"
#include "server/api/list_jobs.h"
#include "server/api/stream_driver.h"
#include "server/coordinator/job_feed.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using coordinator::FeedEntry;
using coordinator::JobFeed;
using coordinator::JobPtr;

// A quiet stream says so often that it is still up to date.
constexpr absl::Duration kLongestQuiet = absl::Seconds(30);
constexpr size_t kPageJobs = 32;
constexpr int kPagesAtOnce = 32;

absl::Status Expired() {
  return net::WithReason(
      absl::OutOfRangeError("deletions since the resume token are no longer known: "
                            "watch again without a token"),
      "RESUME_EXPIRED");
}

// What a request asks for.
struct Watch {
  // Empty is all projects.
  std::string project;
  JobFilter filter;
  // Whether the filter fits every job.
  bool takes_all = false;
  std::string scope;
  WatchPosition start;
  bool is_resumed = false;

  bool Fits(const cluster::JobRecord& job) const {
    return (project.empty() || job.project == project) && (takes_all || filter(job));
  }
};

absl::StatusOr<Watch> ReadRequest(const v1::WatchJobsRequest& request) {
  Watch watch;
  G2LL_ASSIGN_OR_RETURN(watch.project, ReadParentOrAll(request.parent()));
  G2LL_ASSIGN_OR_RETURN(watch.filter, ParseFilter(request.filter()));
  watch.takes_all = request.filter().empty();
  watch.scope = absl::StrCat(watch.project, "\n", request.filter());
  watch.is_resumed = !request.resume_token().empty();
  if (watch.is_resumed) {
    G2LL_ASSIGN_OR_RETURN(watch.start, ReadResumeToken(request.resume_token(), watch.scope));
  }
  return watch;
}

// Remembers which jobs the reader may have, so that it hears once of each that no longer
// fits. Needs nothing where every job fits.
class ShownJobs {
 public:
  explicit ShownJobs(bool is_resumed) : is_resumed_(is_resumed) {}

  void Show(const std::string& uid) { Mark(uid, !is_resumed_); }
  void Hide(const std::string& uid) { Mark(uid, is_resumed_); }
  // After a resumption every job may be shown that is not known to be hidden.
  bool MayShow(const std::string& uid) const {
    return marked_.contains(absl::HashOf(uid)) != is_resumed_;
  }

 private:
  void Mark(const std::string& uid, bool is_marked) {
    if (is_marked) {
      marked_.insert(absl::HashOf(uid));
    } else {
      marked_.erase(absl::HashOf(uid));
    }
  }

  const bool is_resumed_;
  // Hashes instead of uids: eight bytes for each of many jobs.
  std::unordered_set<size_t> marked_;
};

// Sends all jobs by uid, or nothing if it is resumed; then a bookmark; then changes in
// their order. Keeps a position and no jobs.
class WatchSource final : public StreamSource<v1::WatchJobsResponse> {
 public:
  using Response = v1::WatchJobsResponse;

  WatchSource(const ServiceContext& context, Watch watch, std::function<void()> wake)
      : context_(context),
        feed_(context.coordinator->feed()),
        watch_(std::move(watch)),
        shown_(watch_.is_resumed),
        position_(watch_.start) {
    context_.metrics->AddSubscribers("watch", 1);
    follower_ = feed_.Follow(std::move(wake));
    bookmark_seq_ = feed_.last_seq();
    if (!watch_.is_resumed) {
      position_.seq = bookmark_seq_;
    }
    is_listing_ = !watch_.is_resumed || !position_.uid.empty();
  }

  Step Next(Response* response, absl::Status* status) override {
    for (int pages = 0; pages < kPagesAtOnce; ++pages) {
      const Step step = is_listing_ ? List(response) : Follow(response, status);
      if (step != Step::kAgain) {
        return step;
      }
    }
    return Step::kAgain;
  }

  std::map<std::string, std::string> Position() const override {
    return {{"resumeToken", ResumeToken(position_, watch_.scope)}};
  }
  absl::Duration longest_quiet() const override { return kLongestQuiet; }
  void OnQuiet() override { is_quiet_ = true; }
  void Stopped() override {
    feed_.Unfollow(follower_);
    context_.metrics->AddSubscribers("watch", -1);
  }

 private:
  // The next job that there is; kAgain if none of a page fits.
  Step List(Response* response) {
    const std::vector<JobPtr> page = feed_.ReadJobs(position_.uid, kPageJobs);
    for (const JobPtr& job : page) {
      position_.uid = job->uid;
      if (watch_.Fits(*job)) {
        return Changed(*job, response);
      }
    }
    if (page.empty()) {
      is_listing_ = false;
      position_.uid.clear();
    }
    return Step::kAgain;
  }

  // The next change; kAgain if none of a page concerns the reader.
  Step Follow(Response* response, absl::Status* status) {
    if (!bookmark_sent_ && position_.seq >= bookmark_seq_) {
      bookmark_sent_ = true;
      return Bookmark(response);
    }
    const JobFeed::Slice slice = feed_.Read(position_.seq, kPageJobs);
    if (slice.is_expired) {
      *status = Expired();
      return Step::kEnd;
    }
    for (const FeedEntry& change : slice.changes) {
      position_.seq = change.seq;
      if (Tell(change, response)) {
        return Step::kSend;
      }
    }
    position_.seq = slice.position;
    if (slice.has_more || (!bookmark_sent_ && position_.seq >= bookmark_seq_)) {
      return Step::kAgain;
    }
    return is_quiet_.exchange(false) ? Bookmark(response) : Step::kWait;
  }

  bool Tell(const FeedEntry& change, Response* response) {
    if (change.job != nullptr && watch_.Fits(*change.job)) {
      Changed(*change.job, response);
      return true;
    }
    const std::string& project =
        change.job == nullptr ? change.tombstone.project : change.job->project;
    const std::string& uid = change.job == nullptr ? change.tombstone.uid : change.job->uid;
    if (!watch_.project.empty() && project != watch_.project) {
      return false;
    }
    if (!watch_.takes_all && !shown_.MayShow(uid)) {
      return false;
    }
    const std::string& name = change.job == nullptr ? change.tombstone.name : change.job->name;
    response->set_type(Response::DELETED);
    response->mutable_job()->set_name(absl::StrCat("projects/", project, "/jobs/", name));
    response->mutable_job()->set_uid(uid);
    if (!watch_.takes_all) {
      shown_.Hide(uid);
    }
    return Sent(response);
  }

  Step Changed(const cluster::JobRecord& job, Response* response) {
    response->set_type(Response::CHANGED);
    *response->mutable_job() = wire::ToProto(job);
    if (!watch_.takes_all) {
      shown_.Show(job.uid);
    }
    Sent(response);
    return Step::kSend;
  }

  Step Bookmark(Response* response) {
    response->set_type(Response::BOOKMARK);
    Sent(response);
    return Step::kSend;
  }

  bool Sent(Response* response) {
    is_quiet_ = false;
    response->set_resume_token(ResumeToken(position_, watch_.scope));
    return true;
  }

  const ServiceContext context_;
  JobFeed& feed_;
  const Watch watch_;
  int64_t follower_ = 0;
  ShownJobs shown_;
  WatchPosition position_;
  bool is_listing_ = false;
  // The bookmark is sent once the position has come here.
  int64_t bookmark_seq_ = 0;
  bool bookmark_sent_ = false;
  std::atomic<bool> is_quiet_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchJobsResponse>* OpenWatch(grpc::CallbackServerContext* call,
                                                           const ServiceContext& context,
                                                           const v1::WatchJobsRequest& request) {
  auto [driver, reactor] =
      StreamDriver<v1::WatchJobsResponse>::Make(call, context.pool, context.streams);
  absl::StatusOr<Watch> watch = ReadRequest(request);
  if (!watch.ok()) {
    driver->End(watch.status());
    return reactor;
  }
  const JobFeed& feed = context.coordinator->feed();
  // A token from the time behind the newest change is one of a store that is gone.
  if (watch->is_resumed &&
      (watch->start.seq < feed.oldest_position() || watch->start.seq > feed.last_seq())) {
    driver->End(Expired());
    return reactor;
  }
  driver->Start(
      std::make_unique<WatchSource>(context, *std::move(watch), [weak = std::weak_ptr(driver)] {
        if (const auto live = weak.lock()) {
          live->Wake();
        }
      }));
  return reactor;
}

}  // namespace g2ll::api
