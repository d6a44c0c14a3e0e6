#ifndef CLIENT_CLI_CONTEXT_H_
#define CLIENT_CLI_CONTEXT_H_

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/client.h"
#include "client/cli/environment.h"

namespace CLI {
class App;
}  // namespace CLI

namespace g2ll::cli {

enum class Format { kTable, kJson, kYaml, kName };

// Rows of text in columns. On a terminal they are aligned, elsewhere separated by
// tabs. Cells are escaped.
class Table {
 public:
  Table() = default;
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Text(bool aligned) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// What every command works with: where to write, in which form, and the server.
class Context {
 public:
  explicit Context(const Environment& env) : env(env) {}

  const Environment& env;

  // Options of the command line.
  std::string server_option;
  std::string project = "default";
  std::string format_option;
  std::string timeout_option;
  std::string retry_for_option = "5m";
  // Calls wait for a server that is not there yet; set before the first one.
  bool wait_for_ready = false;
  // How often a call is sent that does not reach the server; set before the first one.
  int attempts = 4;

  // The form that was asked for, else `otherwise`.
  Format FormatOr(Format otherwise) const;
  Format format() const { return FormatOr(Format::kTable); }

  // Where the server is: the option, G2LL_SERVER, a running `g2ll local` in its
  // default folder, 127.0.0.1:7460.
  std::string ServerAddress() const;
  // Takes the options in. Error: InvalidArgument with one line, the address has no form
  // that can be called, or a duration is none.
  absl::Status TakeOptions();
  client::Client& client();

  // `projects/P/jobs/J` of a short name, `job/J` or a full name.
  // Error: InvalidArgument, one line.
  absl::StatusOr<std::string> FullName(const std::string& name) const;
  // The same for `projects/P/queues/Q`.
  absl::StatusOr<std::string> QueueName(const std::string& name) const;
  // `projects/P` of a short or full name. Error: InvalidArgument, one line.
  absl::StatusOr<std::string> ProjectName(const std::string& name) const;
  // `projects/P` of --project, or `projects/-`.
  absl::StatusOr<std::string> Parent(bool all_projects) const;

  // For a call that can be stopped by Ctrl-C; says when the connection is lost and when
  // it is back.
  client::StreamControl Control();
  // The moment of --timeout; InfiniteFuture without it.
  absl::Time deadline() const { return deadline_; }

  // Writes one object as JSON in one or more lines, or as YAML.
  void PrintJson(const nlohmann::ordered_json& json, bool one_line) const;
  // Writes one object in the form that was asked for; `as_table` writes it for people.
  void PrintOne(const nlohmann::ordered_json& json, const std::string& name,
                const std::function<void()>& as_table) const;
  // The same for a list: one array, one name a line, or a table. `none` is said where an
  // empty table would stand.
  void PrintAll(const nlohmann::ordered_json& array, const std::vector<std::string>& names,
                const Table& table, const std::string& none) const;
  // Writes one line of data.
  void Print(const std::string& line) const;
  void PrintTable(const Table& table) const;
  // Writes one row of a table whose rows come one by one: padded to `widths` on a
  // terminal, separated by tabs elsewhere.
  void PrintRow(const std::vector<std::string>& cells, const std::vector<size_t>& widths) const;
  // Writes one line of talk; control characters are escaped. Thread safe.
  void Say(const std::string& line) const;
  // Writes an error as `g2ll: ...`, its bad fields one a line, and what to do.
  // `where` names the place of a bad field, for example a file and its line.
  // Returns its exit code.
  using FieldPlace = std::function<std::string(const std::string& field)>;
  int Fail(const absl::Status& status, const FieldPlace& where = nullptr) const;

 private:
  absl::StatusOr<std::string> FullNameIn(const char* collection, const char* what,
                                         const std::string& name) const;

  absl::Time deadline_ = absl::InfiniteFuture();
  absl::Duration timeout_ = absl::InfiniteDuration();
  absl::Duration retry_for_ = absl::Minutes(5);
  mutable std::mutex say_mutex_;
  std::unique_ptr<client::Client> client_;
};

// `--NAME: given TEXT, allowed: a duration such as 30s or 10m` where it is none.
absl::StatusOr<absl::Duration> ParseTime(const std::string& name, const std::string& text);

// Last part of a full name; the whole text if it is none.
std::string ShortName(const std::string& full_name);
// Second part of a full name; `default` if it is none.
std::string ProjectOf(const std::string& full_name);

// What a chosen command does; set while the command line is read.
using Action = std::function<int()>;

// Each adds its commands to `app`. `context` and `action` outlive it.
void AddSubmitCommand(CLI::App& app, Context& context, Action& action);
void AddListCommand(CLI::App& app, Context& context, Action& action);
void AddJobCommands(CLI::App& app, Context& context, Action& action);
void AddDescribeCommand(CLI::App& app, Context& context, Action& action);
void AddWhyCommand(CLI::App& app, Context& context, Action& action);
void AddControlCommands(CLI::App& app, Context& context, Action& action);
void AddUpdateCommand(CLI::App& app, Context& context, Action& action);
void AddStreamCommands(CLI::App& app, Context& context, Action& action);
void AddReportCommand(CLI::App& app, Context& context, Action& action);
void AddCheckpointCommands(CLI::App& app, Context& context, Action& action);
void AddCompareCommand(CLI::App& app, Context& context, Action& action);
void AddWorkerCommands(CLI::App& app, Context& context, Action& action);
void AddQueueCommands(CLI::App& app, Context& context, Action& action);
void AddProjectCommands(CLI::App& app, Context& context, Action& action);
void AddAdminCommands(CLI::App& app, Context& context, Action& action);
void AddExplainCommand(CLI::App& app, Context& context, Action& action);
void AddLocalCommands(CLI::App& app, Context& context, Action& action);
// `completion` and `reference`, which looks at the whole of `app`.
void AddCompletionCommands(CLI::App& app, Context& context, Action& action);
// What the scripts of `completion` ask with `g2ll __complete -- WORDS`: prints what may
// stand at the last word, or `:files`. Says nothing and ends with 0 where it cannot tell.
int CompleteWords(const CLI::App& app, Context& context, const std::vector<std::string>& words);

// Adds the commands that RunTool does to the help.
void AddToolCommands(CLI::App& app);
// True for the commands that g2ll-trainer does.
bool IsToolCommand(const std::string& word);
// Path of g2ll-trainer; says so and returns "" where it is not installed.
std::string TrainerProgram(const Context& context, const std::string& command);
// Becomes `g2ll-trainer tool ARGS...`; exit code 6 where it is not installed.
int RunTool(Context& context, const std::vector<std::string>& args);

// Follows a job until it has ended; shows it live on a terminal (`to_terminal`)
// and as plain lines elsewhere. Returns the exit code.
int FollowJob(Context& context, const std::string& full_name, std::ostream& to, bool to_terminal);

// Waits until a job has ended or, with `state`, has reached it. Returns the exit code.
int WaitForJob(Context& context, const std::string& full_name, std::optional<v1::Job::State> state);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_CONTEXT_H_
