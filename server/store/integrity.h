#ifndef SERVER_STORE_INTEGRITY_H_
#define SERVER_STORE_INTEGRITY_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "server/store/sqlite.h"

namespace g2ll::store {

// State is small and read at every start; telemetry may be many gigabytes.
enum class TableKind { kState, kTelemetry, kAll };

// A database that is not empty and lacks our tables was made by something else.
// Error: FailedPrecondition.
absl::Status CheckOwner(Database* database);

// Reads the tables and their indexes through and checks their form. Takes about a
// second for 100 MB. Error: DataLoss that says what is wrong.
absl::Status CheckTables(Database* database, TableKind kind);

// Checks the telemetry of a store in use on a thread of its own, once.
class TelemetryCheck {
 public:
  // `on_done` is called once on that thread: OK or DataLoss; not at all if the check
  // could not be run to its end, for example because this object went first.
  static absl::StatusOr<std::unique_ptr<TelemetryCheck>> Start(
      const std::string& data_dir, std::function<void(const absl::Status&)> on_done);
  // Stops the check.
  ~TelemetryCheck();
  TelemetryCheck(const TelemetryCheck&) = delete;
  TelemetryCheck& operator=(const TelemetryCheck&) = delete;

 private:
  TelemetryCheck(std::unique_ptr<Database> database,
                 std::function<void(const absl::Status&)> on_done);

  const std::unique_ptr<Database> database_;
  absl::Notification ended_;
  std::jthread thread_;
};

}  // namespace g2ll::store

#endif  // SERVER_STORE_INTEGRITY_H_
