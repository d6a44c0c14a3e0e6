#include "server/store/sqlite.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace g2ll::store {

absl::Status SqliteError(sqlite3* connection, int code) {
  if (code == SQLITE_READONLY_DBMOVED) {
    return absl::DataLossError("store: its file was moved or removed while it was open");
  }
  const std::string message =
      absl::StrCat("store: ", connection != nullptr ? sqlite3_errmsg(connection) : "",
                   " (SQLite code ", code, ")");
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return absl::PermissionDeniedError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(
          "the disk is full: make room on it, or choose another data directory");
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
      return absl::DataLossError(message);
    default:
      return absl::InternalError(message);
  }
}

Query::Query(Query&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      next_parameter_(other.next_parameter_),
      next_column_(other.next_column_),
      bind_error_(other.bind_error_) {}

Query::~Query() {
  if (statement_ != nullptr) {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
}

Query& Query::Bind(int64_t value) {
  bind_error_ |= sqlite3_bind_int64(statement_, next_parameter_++, value);
  return *this;
}

Query& Query::Bind(double value) {
  bind_error_ |= sqlite3_bind_double(statement_, next_parameter_++, value);
  return *this;
}

Query& Query::Bind(std::string_view text) {
  bind_error_ |=
      sqlite3_bind_text64(statement_, next_parameter_++, text.data() == nullptr ? "" : text.data(),
                          text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Query& Query::BindBlob(std::string_view bytes) {
  bind_error_ |=
      sqlite3_bind_blob64(statement_, next_parameter_++,
                          bytes.data() == nullptr ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
  return *this;
}

Query& Query::Bind(absl::Time time) {
  if (time == absl::InfinitePast()) {
    bind_error_ |= sqlite3_bind_null(statement_, next_parameter_++);
    return *this;
  }
  return Bind(absl::ToUnixMicros(time));
}

absl::Status Query::Run() {
  absl::StatusOr<bool> row = Step();
  return row.status();
}

absl::StatusOr<bool> Query::Step() {
  if (bind_error_ != SQLITE_OK) {
    return SqliteError(connection_, bind_error_);
  }
  next_column_ = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code == SQLITE_DONE) {
    return false;
  }
  return SqliteError(connection_, code);
}

int64_t Query::Int() { return sqlite3_column_int64(statement_, next_column_++); }

double Query::Real() {
  const int column = next_column_++;
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return sqlite3_column_double(statement_, column);
}

std::string Query::Text() {
  const int column = next_column_++;
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

absl::Time Query::Time() {
  if (sqlite3_column_type(statement_, next_column_) == SQLITE_NULL) {
    ++next_column_;
    return absl::InfinitePast();
  }
  return absl::FromUnixMicros(Int());
}

namespace {

// Pages in the log of changes from which on a commit copies them into the file.
constexpr int kCopyFrom = 1000;

// Called after every commit. SQLite's own hook forgets an error of the copy; but pages
// whose sync failed are lost without a further word, so the commit reports it.
int CopyLog(void*, sqlite3* connection, const char* name, int pages) {
  if (pages < kCopyFrom) {
    return SQLITE_OK;
  }
  const int code =
      sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  // Where readers are in the way or there is no room, the log keeps it all until a later
  // commit.
  return (code & 0xff) == SQLITE_IOERR ? code : SQLITE_OK;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode) {
  sqlite3* connection = nullptr;
  const int flags =
      mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(connection));
  if (code != SQLITE_OK) {
    const absl::Status error = SqliteError(connection, code);
    return absl::Status(error.code(), absl::StrCat(path, ": ", std::string(error.message())));
  }
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, 5000);
  if (mode == Mode::kReadWrite) {
    sqlite3_wal_hook(connection, CopyLog, nullptr);
  }
  return database;
}

Database::Database(sqlite3* connection) : connection_(connection) {}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(connection_);
}

absl::Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : SqliteError(connection_, code);
}

absl::StatusOr<Query> Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int code =
        sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) {
      return SqliteError(connection_, code);
    }
  }
  return Query(connection_, statement);
}

}  // namespace g2ll::store
