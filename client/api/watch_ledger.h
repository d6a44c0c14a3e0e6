#ifndef CLIENT_API_WATCH_LEDGER_H_
#define CLIENT_API_WATCH_LEDGER_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "g2ll/v1/job.pb.h"

namespace g2ll::client {

// What happened to a job that is watched.
struct JobChange {
  enum class Type {
    kChanged,  // it is new or has changed
    kDeleted,  // it was deleted or no longer fits the filter; `job` has its name and uid
  };
  Type type = Type::kChanged;
  v1::Job job;
};

// Turns the messages of WatchJobs, over any number of connections, into changes that
// each come once. Holds the name and the version of every job that was seen. Not thread
// safe.
class WatchLedger {
 public:
  // Goes on behind `resume_token`; empty: from the beginning.
  explicit WatchLedger(std::string resume_token = "")
      : saw_all_(resume_token.empty()), resume_token_(std::move(resume_token)) {}

  // The changes that a message brings: none where it was seen, several where a listing
  // that began anew shows that jobs went away in between.
  std::vector<JobChange> Take(const v1::WatchJobsResponse& message);

  // The server no longer knows the resume token: everything comes again.
  void BeginAnew();

  // The server ended the stream and said where to go on.
  void GoOnAt(const std::string& resume_token) { resume_token_ = resume_token; }

  // Where the next connection goes on.
  const std::string& resume_token() const { return resume_token_; }

 private:
  struct Seen {
    std::string name;
    std::string etag;
    bool again = true;  // seen since the last BeginAnew
  };

  bool saw_all_;  // from the beginning: what is not in `jobs_` was never shown
  std::string resume_token_;
  bool is_listing_anew_ = false;
  std::map<std::string, Seen> jobs_;  // by uid
};

}  // namespace g2ll::client

#endif  // CLIENT_API_WATCH_LEDGER_H_
