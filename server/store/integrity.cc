#include "server/store/integrity.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "server/store/data_dir.h"

namespace g2ll::store {
namespace {

bool IsTelemetry(const std::string& table) {
  return table == "metrics" || table == "logs" || table == "events";
}

absl::StatusOr<std::vector<std::string>> ListTables(Database* database) {
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database->Prepare("SELECT name FROM sqlite_schema WHERE type = 'table'"));
  std::vector<std::string> tables;
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return tables;
    }
    tables.push_back(query.Text());
  }
}

// One table with its indexes, or everything if `table` is empty.
absl::Status Check(Database* database, const std::string& table) {
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database->Prepare(table.empty() ? "SELECT * FROM pragma_quick_check"
                                                        : "SELECT * FROM pragma_quick_check(?)"));
  if (!table.empty()) {
    query.Bind(table);
  }
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  const std::string answer = found ? query.Text() : "no answer";
  return answer == "ok" ? absl::OkStatus()
                        : absl::DataLossError(absl::StrCat("the store is damaged (", answer, ")"));
}

}  // namespace

absl::Status CheckOwner(Database* database) {
  G2LL_ASSIGN_OR_RETURN(
      Query query, database->Prepare("SELECT count(*) = 0 OR sum(name IN ('meta', 'jobs')) = 2 "
                                     "FROM sqlite_schema WHERE type = 'table'"));
  G2LL_RETURN_IF_ERROR(query.Step().status());
  return query.Bool() ? absl::OkStatus()
                      : absl::FailedPreconditionError(
                            "this database was made by another program: name another one");
}

absl::Status CheckTables(Database* database, TableKind kind) {
  if (kind == TableKind::kAll) {
    return Check(database, "");
  }
  G2LL_ASSIGN_OR_RETURN(const std::vector<std::string> tables, ListTables(database));
  for (const std::string& table : tables) {
    if (IsTelemetry(table) == (kind == TableKind::kTelemetry)) {
      G2LL_RETURN_IF_ERROR(Check(database, table));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TelemetryCheck>> TelemetryCheck::Start(
    const std::string& data_dir, std::function<void(const absl::Status&)> on_done) {
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                        Database::Open(StorePath(data_dir), Database::Mode::kReadOnly));
  return std::unique_ptr<TelemetryCheck>(
      new TelemetryCheck(std::move(database), std::move(on_done)));
}

TelemetryCheck::TelemetryCheck(std::unique_ptr<Database> database,
                               std::function<void(const absl::Status&)> on_done)
    : database_(std::move(database)),
      thread_([this, on_done = std::move(on_done)](const std::stop_token& stop) {
        const absl::Status checked = CheckTables(database_.get(), TableKind::kTelemetry);
        if (!stop.stop_requested() && (checked.ok() || absl::IsDataLoss(checked))) {
          on_done(checked);
        }
        ended_.Notify();
      }) {}

TelemetryCheck::~TelemetryCheck() {
  thread_.request_stop();
  // An interrupt between two statements is forgotten, so it is repeated.
  while (!ended_.WaitForNotificationWithTimeout(absl::Milliseconds(10))) {
    database_->Interrupt();
  }
}

}  // namespace g2ll::store
