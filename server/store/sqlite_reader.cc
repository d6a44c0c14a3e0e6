#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/common/status_macros.h"
#include "server/store/sqlite_job_store.h"

namespace g2ll::store {
namespace {

class SqliteReader final : public TelemetryReader {
 public:
  explicit SqliteReader(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                                 int64_t from_seq,
                                                                 int64_t limit) override {
    G2LL_ASSIGN_OR_RETURN(Borrowed database, Borrow());
    G2LL_ASSIGN_OR_RETURN(
        Query query,
        database->Prepare("SELECT seq, attempt, step, epoch, name, value, time FROM metrics "
                          "WHERE job_uid = ? AND seq >= ? ORDER BY seq LIMIT ?"));
    query.Bind(job_uid).Bind(from_seq).Bind(limit);
    std::vector<cluster::MetricRecord> points;
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        return points;
      }
      cluster::MetricRecord& point = points.emplace_back();
      point.seq = query.Int();
      point.attempt = query.Int32();
      point.step = query.Int();
      point.epoch = query.Real();
      point.name = query.Text();
      point.value = query.Real();
      point.time = query.Time();
    }
  }

  absl::StatusOr<std::vector<cluster::LogRecord>> ReadLogs(const std::string& job_uid,
                                                           int64_t from_seq,
                                                           int64_t limit) override {
    G2LL_ASSIGN_OR_RETURN(Borrowed database, Borrow());
    G2LL_ASSIGN_OR_RETURN(
        Query query, database->Prepare("SELECT seq, attempt, rank, time, level, message FROM logs "
                                       "WHERE job_uid = ? AND seq >= ? ORDER BY seq LIMIT ?"));
    query.Bind(job_uid).Bind(from_seq).Bind(limit);
    std::vector<cluster::LogRecord> lines;
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        return lines;
      }
      cluster::LogRecord& line = lines.emplace_back();
      line.seq = query.Int();
      line.attempt = query.Int32();
      line.rank = query.Int32();
      line.time = query.Time();
      line.level = query.Text();
      line.message = query.Text();
    }
  }

  absl::StatusOr<std::vector<cluster::EventRecord>> ReadEvents(const std::string& job_uid,
                                                               int64_t limit) override {
    G2LL_ASSIGN_OR_RETURN(Borrowed database, Borrow());
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database->Prepare("SELECT time, actor, type, message FROM events "
                                            "WHERE job_uid = ? ORDER BY id DESC LIMIT ?"));
    query.Bind(job_uid).Bind(limit);
    std::vector<cluster::EventRecord> events;
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        std::reverse(events.begin(), events.end());
        return events;
      }
      cluster::EventRecord& event = events.emplace_back();
      event.job_uid = job_uid;
      event.time = query.Time();
      event.actor = query.Text();
      event.type = query.Text();
      event.message = query.Text();
    }
  }

 private:
  // A connection for one call; goes back to the idle ones afterwards.
  struct GiveBack {
    SqliteReader* reader;
    void operator()(Database* database) const {
      absl::MutexLock lock(&reader->mutex_);
      reader->idle_.emplace_back(database);
    }
  };
  using Borrowed = std::unique_ptr<Database, GiveBack>;

  absl::StatusOr<Borrowed> Borrow() {
    {
      absl::MutexLock lock(&mutex_);
      if (!idle_.empty()) {
        Borrowed borrowed(idle_.back().release(), GiveBack{this});
        idle_.pop_back();
        return borrowed;
      }
    }
    G2LL_ASSIGN_OR_RETURN(std::unique_ptr<Database> opened,
                          Database::Open(path_, Database::Mode::kReadOnly));
    G2LL_RETURN_IF_ERROR(opened->Execute("PRAGMA cache_size = -1024"));
    return Borrowed(opened.release(), GiveBack{this});
  }

  const std::string path_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Database>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<TelemetryReader>> OpenSqliteReader(const std::string& data_dir) {
  auto reader = std::make_unique<SqliteReader>(data_dir + "/g2ll.db");
  // Tells at once whether the file can be opened.
  G2LL_RETURN_IF_ERROR(reader->ReadEvents("", 1).status());
  return reader;
}

}  // namespace g2ll::store
