#ifndef SERVER_STORE_SQLITE_H_
#define SERVER_STORE_SQLITE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace g2ll::store {

// One prepared statement that is being run. Binds from the first parameter on in
// order; reads columns from the first on in order. Resets itself at the end of
// its scope. Borrowed from a Database, which outlives it.
class Query {
 public:
  Query(sqlite3* connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  Query(Query&& other) noexcept;

  // Values are copied by SQLite only where said so: text and blobs MUST live
  // until the statement has run.
  Query& Bind(int64_t value);
  Query& Bind(int32_t value) { return Bind(static_cast<int64_t>(value)); }
  Query& Bind(bool value) { return Bind(static_cast<int64_t>(value ? 1 : 0)); }
  // NaN cannot be stored as a number by SQLite (it becomes NULL); reading gives NaN back.
  Query& Bind(double value);
  Query& Bind(std::string_view text);
  Query& BindBlob(std::string_view bytes);
  // Microseconds since 1970; InfinitePast is NULL.
  Query& Bind(absl::Time time);
  // Microseconds.
  Query& Bind(absl::Duration duration) { return Bind(absl::ToInt64Microseconds(duration)); }
  template <typename Enum>
  requires std::is_enum_v<Enum> Query& Bind(Enum value) {
    return Bind(static_cast<int64_t>(value));
  }

  // Runs a statement that returns no rows.
  absl::Status Run();
  // Goes to the next row; false after the last.
  absl::StatusOr<bool> Step();

  int64_t Int();
  int32_t Int32() { return static_cast<int32_t>(Int()); }
  bool Bool() { return Int() != 0; }
  double Real();
  std::string Text();
  absl::Time Time();
  absl::Duration Duration() { return absl::Microseconds(Int()); }
  template <typename Enum>
  Enum EnumValue() {
    return static_cast<Enum>(Int());
  }

 private:
  sqlite3* connection_;
  sqlite3_stmt* statement_;
  int next_parameter_ = 1;
  int next_column_ = 0;
  int bind_error_ = SQLITE_OK;
};

// One connection with its prepared statements. Used by one thread at a time.
class Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Errors name the file: Unavailable (busy), PermissionDenied (read only),
  // ResourceExhausted (disk full), DataLoss (damaged, failing disk), Internal.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs a script of statements that return no rows.
  absl::Status Execute(const std::string& sql);
  // For the parts of SQLite that have no form here.
  sqlite3* connection() { return connection_; }

  // Makes a statement that runs on this connection end with an error. Thread safe.
  void Interrupt() { sqlite3_interrupt(connection_); }

  // `sql` is prepared once and kept; it MUST be a literal.
  absl::StatusOr<Query> Prepare(const char* sql);

 private:
  explicit Database(sqlite3* connection);

  sqlite3* connection_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

// What went wrong on this connection, as a status that names the cause. DataLoss is
// a damaged file or a disk that fails to read, write or sync: nothing that was not
// read before can be trusted then.
absl::Status SqliteError(sqlite3* connection, int code);

}  // namespace g2ll::store

#endif  // SERVER_STORE_SQLITE_H_
