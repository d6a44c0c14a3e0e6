// How SqliteJobStore forgets: rows go a few at a time, between commits.
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"
#include "server/store/columns.h"
#include "server/store/sqlite_job_store.h"

namespace g2ll::store {
namespace {

// Also a job without rows takes a moment.
constexpr size_t kJobsPerPurge = 100;
constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

// Rows that the last statement changed.
absl::StatusOr<int64_t> Changes(Database* database) {
  G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare("SELECT changes()"));
  G2LL_RETURN_IF_ERROR(query.Step().status());
  return query.Int();
}

}  // namespace

// Here the job only vanishes from what Load reads, and its name becomes free; what may
// be large goes by Purge.
absl::Status SqliteJobStore::DeleteJob(const std::string& job_uid) {
  for (const char* sql :
       {"UPDATE jobs SET removed = 1, name = '/' || uid WHERE uid = ?",
        "DELETE FROM attempts WHERE job_uid = ?", "DELETE FROM checkpoints WHERE job_uid = ?",
        "DELETE FROM cursors WHERE job_uid = ?", "DELETE FROM kept WHERE job_uid = ?"}) {
    G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(sql));
    G2LL_RETURN_IF_ERROR(query.Bind(job_uid).Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteJobStore::WriteForgotten(const WriteBatch& batch) {
  for (const auto& [job_uid, kept] : batch.kept) {
    const std::string segments = ToColumn(kept.log_segments);
    G2LL_ASSIGN_OR_RETURN(
        Query query, database_->Prepare("INSERT OR REPLACE INTO kept (job_uid, first_metric_seq, "
                                        "first_log_seq, log_segments) VALUES (?, ?, ?, ?)"));
    query.Bind(job_uid).Bind(kept.first_metric_seq).Bind(kept.first_log_seq);
    G2LL_RETURN_IF_ERROR(query.Bind(segments).Run());
  }
  for (const std::string& job_uid : batch.forgotten_jobs) {
    G2LL_ASSIGN_OR_RETURN(
        Query query,
        database_->Prepare("UPDATE jobs SET removed = 2 WHERE uid = ? AND removed = 1"));
    G2LL_RETURN_IF_ERROR(query.Bind(job_uid).Run());
  }
  for (const std::string& request_id : batch.forgotten_requests) {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("DELETE FROM requests WHERE request_id = ?"));
    G2LL_RETURN_IF_ERROR(query.Bind(request_id).Run());
  }
  return absl::OkStatus();
}

void SqliteJobStore::NotePurges(const WriteBatch& batch) {
  for (const auto& [job_uid, kept] : batch.kept) {
    if (kept.first_metric_seq > 1 || kept.first_log_seq > 1) {
      purges_[job_uid] = {kept.first_metric_seq, kept.first_log_seq, false};
    }
  }
  for (const std::string& job_uid : batch.deleted_jobs) {
    purges_[job_uid] = {kAll, kAll, false};
  }
  for (const std::string& job_uid : batch.forgotten_jobs) {
    purges_[job_uid] = {kAll, kAll, true};
  }
}

absl::Status SqliteJobStore::LoadForgotten(StoredState* state) {
  purges_.clear();
  {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("SELECT job_uid, first_metric_seq, first_log_seq, "
                                             "log_segments FROM kept"));
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        break;
      }
      const std::string job_uid = query.Text();
      cluster::KeptTelemetry& kept = state->kept[job_uid];
      kept.first_metric_seq = query.Int();
      kept.first_log_seq = query.Int();
      FromColumn(query.Text(), &kept.log_segments);
      if (kept.first_metric_seq > 1 || kept.first_log_seq > 1) {
        purges_[job_uid] = {kept.first_metric_seq, kept.first_log_seq, false};
      }
    }
  }
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("SELECT uid, removed FROM jobs WHERE removed > 0"));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    const std::string job_uid = query.Text();
    const bool is_last_trace = query.Int() > 1;
    purges_[job_uid] = {kAll, kAll, is_last_trace};
    if (!is_last_trace) {
      state->removed_jobs.push_back(job_uid);
    }
  }
}

absl::StatusOr<int64_t> SqliteJobStore::Purge(int64_t max_rows) {
  if (purges_.empty()) {
    return 0;
  }
  G2LL_FAILPOINT_STATUS("store.purge.before");
  int64_t num_removed = 0;
  std::vector<std::string> finished;
  G2LL_RETURN_IF_ERROR(RunTransaction([&]() -> absl::Status {
    for (const auto& [job_uid, purge] : purges_) {
      if (num_removed >= max_rows || finished.size() >= kJobsPerPurge) {
        break;
      }
      G2LL_ASSIGN_OR_RETURN(const int64_t removed,
                            PurgeJob(job_uid, purge, max_rows - num_removed));
      // A full part means that there may be more.
      if (removed < max_rows - num_removed) {
        finished.push_back(job_uid);
      }
      num_removed += removed;
    }
    return absl::OkStatus();
  }));
  G2LL_FAILPOINT("store.purge.after");
  for (const std::string& job_uid : finished) {
    purges_.erase(job_uid);
  }
  // Jobs that turned out to have nothing left count as a row each.
  return num_removed > 0 ? num_removed : static_cast<int64_t>(purges_.size());
}

absl::StatusOr<int64_t> SqliteJobStore::PurgeJob(const std::string& job_uid, const PurgedJob& purge,
                                                 int64_t max_rows) {
  // Numbers have no holes behind the first one, so a range of them is a number of rows.
  constexpr const char* kMetrics =
      "DELETE FROM metrics WHERE job_uid = ?1 AND seq < min(?2, (SELECT min(seq) FROM metrics "
      "WHERE job_uid = ?1) + ?3)";
  constexpr const char* kLogs =
      "DELETE FROM logs WHERE job_uid = ?1 AND seq < min(?2, (SELECT min(seq) FROM logs WHERE "
      "job_uid = ?1) + ?3)";
  int64_t num_removed = 0;
  for (const auto& [sql, first_kept] :
       {std::pair(kMetrics, purge.first_metric_seq), std::pair(kLogs, purge.first_log_seq)}) {
    G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(sql));
    G2LL_RETURN_IF_ERROR(query.Bind(job_uid).Bind(first_kept).Bind(max_rows - num_removed).Run());
    G2LL_ASSIGN_OR_RETURN(const int64_t removed, Changes(database_.get()));
    num_removed += removed;
  }
  if (purge.first_metric_seq == kAll && num_removed < max_rows) {
    G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare("DELETE FROM events WHERE job_uid = ?"));
    G2LL_RETURN_IF_ERROR(query.Bind(job_uid).Run());
  }
  if (purge.is_last_trace && num_removed < max_rows) {
    G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare("DELETE FROM jobs WHERE uid = ?"));
    G2LL_RETURN_IF_ERROR(query.Bind(job_uid).Run());
  }
  return num_removed;
}

absl::StatusOr<int64_t> SqliteJobStore::UsedBytes() {
  G2LL_RETURN_IF_ERROR(fault_);
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
                         "pragma_freelist_count, pragma_page_size"));
  G2LL_RETURN_IF_ERROR(query.Step().status());
  return query.Int();
}

}  // namespace g2ll::store
