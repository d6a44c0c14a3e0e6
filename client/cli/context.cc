#include "client/cli/context.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "client/local/local_cluster.h"
#include "proto/common/address.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"

namespace g2ll::cli {
namespace {

constexpr char kDefaultServer[] = "127.0.0.1:7460";

// Folder of `g2ll local` by the variables that the environment has, not the process.
std::string LocalDir(const Environment& env) {
  const std::string state = env.Variable("XDG_STATE_HOME");
  if (!state.empty() && state.front() == '/') return state + "/g2ll/local";
  return env.Variable("HOME") + "/.local/state/g2ll/local";
}

// gRPC's words for a port where nobody listens vary with the moment.
std::string PlainReason(const std::string& message) {
  const bool nobody = message.find("Connection refused") != std::string::npos ||
                      message.find("handshaker shutdown") != std::string::npos;
  return nobody ? "nothing answers there" : message;
}

size_t NumCharacters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string Table::Text(bool aligned) const {
  std::vector<size_t> widths;
  std::vector<std::vector<std::string>> rows = rows_;
  for (auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = log::EscapeControl(row[i]);
      widths[i] = std::max(widths[i], NumCharacters(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 == row.size()) break;
      text += aligned ? std::string(widths[i] - NumCharacters(row[i]) + 2, ' ') : "\t";
    }
    text += "\n";
  }
  return text;
}

Format Context::FormatOr(Format otherwise) const {
  if (format_option == "json") return Format::kJson;
  if (format_option == "yaml") return Format::kYaml;
  if (format_option == "name") return Format::kName;
  if (format_option == "table") return Format::kTable;
  return otherwise;
}

std::string Context::ServerAddress() const {
  if (!server_option.empty()) return server_option;
  if (const std::string server = env.Variable("G2LL_SERVER"); !server.empty()) return server;
  const auto local = local::Status(LocalDir(env));
  if (local.ok() && local->coordinator.pid != 0 && !local->address.empty()) return local->address;
  return kDefaultServer;
}

absl::StatusOr<absl::Duration> ParseTime(const std::string& name, const std::string& text) {
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration) && duration > absl::ZeroDuration() &&
      duration != absl::InfiniteDuration()) {
    return duration;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, ": given ", text, ", allowed: a duration such as 30s or 10m"));
}

absl::Status Context::TakeOptions() {
  const absl::Status address = net::ParseHostPort(ServerAddress()).status();
  if (!address.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("server: ", std::string(address.message())));
  }
  G2LL_ASSIGN_OR_RETURN(retry_for_, ParseTime("retry-for", retry_for_option));
  if (timeout_option.empty()) return absl::OkStatus();
  G2LL_ASSIGN_OR_RETURN(timeout_, ParseTime("timeout", timeout_option));
  deadline_ = absl::Now() + timeout_;
  return absl::OkStatus();
}

client::Client& Context::client() {
  if (!client_) {
    client::ClientOptions options;
    options.stop = env.stop;
    options.stream_patience = retry_for_;
    options.wait_for_ready = wait_for_ready;
    options.attempts = attempts;
    options.deadline = deadline_;
    if (timeout_ != absl::InfiniteDuration()) {
      options.read_timeout = options.create_timeout = options.verify_timeout = timeout_;
    }
    client_ = std::make_unique<client::Client>(ServerAddress(), options);
  }
  return *client_;
}

absl::StatusOr<std::string> Context::FullNameIn(const char* collection, const char* what,
                                                const std::string& name) const {
  std::string project_name = project;
  std::string short_name = name;
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() == 4 && parts[0] == "projects" && parts[2] == collection) {
    project_name = parts[1];
    short_name = parts[3];
  } else if (parts.size() == 2 && absl::StrCat(parts[0], "s") == collection) {
    short_name = parts[1];
  }
  for (const std::string& part : {project_name, short_name}) {
    if (!spec::IsValidName(part)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": given ", name, ", allowed: a name of ", spec::kNameAllowed,
                       ", or projects/PROJECT/", collection, "/", what));
    }
  }
  return absl::StrCat("projects/", project_name, "/", collection, "/", short_name);
}

absl::StatusOr<std::string> Context::FullName(const std::string& name) const {
  return FullNameIn("jobs", "JOB", name);
}

absl::StatusOr<std::string> Context::QueueName(const std::string& name) const {
  return FullNameIn("queues", "QUEUE", name);
}

absl::StatusOr<std::string> Context::ProjectName(const std::string& name) const {
  const std::string prefix = "projects/";
  const std::string short_name = name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
  if (!spec::IsValidName(short_name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("PROJECT: given ", name, ", allowed: a name of ", spec::kNameAllowed));
  }
  return prefix + short_name;
}

absl::StatusOr<std::string> Context::Parent(bool all_projects) const {
  if (all_projects) return "projects/-";
  return ProjectName(project);
}

client::StreamControl Context::Control() {
  client::StreamControl control;
  control.stop = env.stop;
  control.deadline = deadline_;
  control.on_lost = [this](const absl::Status& status) {
    Say(absl::StrCat("connection to ", ServerAddress(), " lost, trying again for up to ",
                     absl::FormatDuration(retry_for_), ": ",
                     PlainReason(std::string(status.message()))));
  };
  control.on_back = [this] { Say(absl::StrCat("connection to ", ServerAddress(), " is back")); };
  return control;
}

void Context::PrintOne(const nlohmann::ordered_json& json, const std::string& name,
                       const std::function<void()>& as_table) const {
  switch (format()) {
    case Format::kJson:
    case Format::kYaml:
      return PrintJson(json, /*one_line=*/false);
    case Format::kName:
      return Print(name);
    case Format::kTable:
      return as_table();
  }
}

void Context::PrintAll(const nlohmann::ordered_json& array, const std::vector<std::string>& names,
                       const Table& table, const std::string& none) const {
  switch (format()) {
    case Format::kJson:
    case Format::kYaml:
      return PrintJson(array, /*one_line=*/false);
    case Format::kName:
      for (const std::string& name : names) Print(name);
      return;
    case Format::kTable:
      return names.empty() ? Say(none) : PrintTable(table);
  }
}

void Context::PrintJson(const nlohmann::ordered_json& json, bool one_line) const {
  if (format() == Format::kYaml) {
    *env.out << (one_line ? "---\n" : "") << YamlText(json) << std::flush;
  } else {
    *env.out << JsonText(json, one_line ? -1 : 2) << "\n" << std::flush;
  }
}

void Context::Print(const std::string& line) const {
  *env.out << log::EscapeControl(line) << "\n" << std::flush;
}

void Context::PrintTable(const Table& table) const {
  *env.out << table.Text(env.out_is_terminal) << std::flush;
}

void Context::PrintRow(const std::vector<std::string>& cells,
                       const std::vector<size_t>& widths) const {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = log::EscapeControl(cells[i]);
    const size_t width = i < widths.size() ? widths[i] : 0;
    line += cell;
    if (i + 1 == cells.size()) break;
    const size_t used = NumCharacters(cell);
    line += env.out_is_terminal ? std::string(used < width ? width - used + 2 : 2, ' ') : "\t";
  }
  *env.out << line << "\n" << std::flush;
}

void Context::Say(const std::string& line) const {
  const std::scoped_lock lock(say_mutex_);
  *env.err << log::EscapeControl(line) << "\n" << std::flush;
}

int Context::Fail(const absl::Status& status, const FieldPlace& where) const {
  const int code = ExitCodeOf(status);
  if (code == kInterrupted) return code;
  const std::vector<net::FieldViolation> violations = net::ViolationsOf(status);
  for (const net::FieldViolation& violation : violations) {
    const std::string place = where ? where(violation.field) : "g2ll";
    Say(absl::StrCat(place, ": ", violation.field, ": ", violation.description));
  }
  if (code == kUnreachable) {
    Say(absl::StrCat("g2ll: cannot reach the server at ", ServerAddress(), ": ",
                     PlainReason(std::string(status.message())),
                     "; start one with `g2ll local up`, or name it with --server"));
  } else if (code == kTimedOut) {
    Say(absl::StrCat("g2ll: the server at ", ServerAddress(),
                     " did not answer in time; --timeout gives it longer"));
  } else if (violations.empty()) {
    // Some refusals of one field come as a sentence that begins with its path.
    const std::string message(status.message());
    const bool names_field = where && message.rfind("spec.", 0) == 0;
    const std::string place = names_field ? where(message.substr(0, message.find(": "))) : "g2ll";
    Say(absl::StrCat(place, ": ", message));
  }
  return code;
}

std::string ShortName(const std::string& full_name) {
  return full_name.substr(full_name.rfind('/') + 1);
}

std::string ProjectOf(const std::string& full_name) {
  const std::vector<std::string> parts = absl::StrSplit(full_name, '/');
  return parts.size() == 4 ? parts[1] : "default";
}

}  // namespace g2ll::cli
