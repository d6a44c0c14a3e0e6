// g2ll-coordinator: schedules jobs, keeps them, and streams what they report.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/api/grpc_server.h"
#include "server/config/settings.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/steady_clock.h"
#include "server/http/http_server.h"
#include "server/storage/job_file_remover.h"
#include "server/storage/whole_file.h"
#include "server/store/data_dir.h"
#include "server/store/fault_vfs.h"
#include "server/store/integrity.h"
#include "server/store/restore.h"
#include "server/store/sqlite_backup.h"
#include "server/store/sqlite_job_store.h"

namespace g2ll {
namespace {

constexpr int kExitFault = 1;
constexpr int kExitSettings = 2;
constexpr int kExitRefused = 6;
constexpr int kIoThreads = 3;
constexpr absl::Duration kGrace = absl::Seconds(5);
constexpr absl::Duration kLongestStop = absl::Seconds(9);

absl::Status WriteAddressFile(const std::string& path, const net::HostPort& grpc,
                              const net::HostPort& http) {
  const std::string text =
      nlohmann::json{
          {"address", grpc.ToString()}, {"httpAddress", http.ToString()}, {"pid", getpid()}}
          .dump() +
      "\n";
  const absl::Status written = storage::WriteWholeFile(path, text);
  return written.ok() ? written
                      : absl::FailedPreconditionError(
                            absl::StrCat("--address-file ", std::string(written.message())));
}

absl::Status WithFlag(const char* flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(flag, ": ", std::string(status.message())));
}

// What is known of the stored telemetry, which is read through after the start.
enum class StoreCheck { kRunning, kSound, kDamaged };

const char* Note(StoreCheck check) {
  switch (check) {
    case StoreCheck::kRunning:
      return "note: stored metrics and logs are still being checked\n";
    case StoreCheck::kDamaged:
      return "note: stored metrics or logs are damaged, see the log\n";
    case StoreCheck::kSound:
      return "";
  }
  return "";
}
// Ends the process if stopping in good order takes too long or a second signal asks for
// it. Nothing is lost by that: what was acknowledged is on disk.
class StopGuard {
 public:
  explicit StopGuard(const sigset_t& signals)
      : thread_([signals](std::stop_token stop) { Watch(signals, stop); }) {}

 private:
  static void Watch(const sigset_t& signals, const std::stop_token& stop) {
    const absl::Time end = absl::Now() + kLongestStop;
    const timespec moment = absl::ToTimespec(absl::Milliseconds(50));
    while (!stop.stop_requested()) {
      const bool is_second = sigtimedwait(&signals, nullptr, &moment) > 0;
      if (is_second || absl::Now() >= end) {
        log::Error(is_second ? "stopped at once by a second signal"
                             : "stopping took too long; the process ends");
        std::_Exit(kExitFault);
      }
    }
  }

  std::jthread thread_;
};

// Builds everything from leaf to root, serves until SIGTERM or SIGINT, and drains.
absl::Status Serve(const config::Settings& settings, const sigset_t& stop_signals) {
  // Declared first, so that it watches until everything has ended.
  std::optional<StopGuard> guard;
  absl::StatusOr<std::unique_ptr<store::SqliteJobStore>> store =
      store::SqliteJobStore::Open(settings.data_dir);
  if (!store.ok()) {
    return WithFlag("--data-dir", store.status());
  }
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<store::TelemetryReader> reader,
                        store::OpenSqliteReader(settings.data_dir));
  absl::StatusOr<storage::StorageRoot> storage = storage::StorageRoot::Open(settings.storage_root);
  if (!storage.ok()) {
    return WithFlag("--storage-root", storage.status());
  }

  metrics::ServerMetrics metrics(G2LL_VERSION);
  telemetry::TelemetryHub hub;
  coordinator::CoreOptions core_options;
  core_options.lease = settings.lease;
  // Several reports fit into a lease, so that one that comes late does no harm.
  core_options.heartbeat_interval = std::min(core_options.heartbeat_interval, settings.lease / 5);
  core_options.lost_after = settings.lost_after;
  core_options.recovery_window = settings.recovery_window;
  core_options.storage_token = storage->token();
  core_options.retention = {.finished_jobs = settings.finished_jobs_age,
                            .logs = settings.logs_age,
                            .log_bytes_per_job = settings.log_bytes_per_job,
                            .points_per_job = settings.points_per_job,
                            .requests = settings.requests_age,
                            .total_bytes = settings.total_bytes};
  core_options.max_metric_series = settings.max_metric_series;
  coordinator::Core core(core_options, store->get(), &hub, &metrics);
  coordinator::SteadyClock clock;
  const absl::Time start_time = clock.Now();
  G2LL_RETURN_IF_ERROR(core.Start(start_time));

  std::atomic<bool> ready = false;
  std::atomic<StoreCheck> store_check = StoreCheck::kRunning;
  G2LL_ASSIGN_OR_RETURN(
      std::unique_ptr<http::HttpServer> http,
      http::HttpServer::Start(
          settings.http_listen,
          {[&metrics] { return metrics.Serialize(); }, [&ready] { return ready.load(); },
           [&store_check] { return std::string(Note(store_check.load())); }}));
  const api::ServerIdentity identity{G2LL_VERSION, core.term(), start_time,
                                     http->address().ToString()};
  api::OpenStreams streams({.per_client = settings.max_streams_per_client,
                            .total = settings.max_streams,
                            .max_age = settings.max_stream_age,
                            .points_per_second = settings.max_points_per_second},
                           &metrics);
  // Declared before what posts to it, so that it ends last.
  telemetry::IoPool pool(kIoThreads);
  coordinator::Coordinator coordinator(
      &core, {.clock = [&clock] { return clock.Now(); },
              .on_broken =
                  [](const absl::Status& status) {
                    log::Error("the store can no longer be used; the coordinator ends",
                               {{"error", std::string(status.message())}});
                    // Nothing may be answered any more: what is stored is the truth.
                    std::_Exit(kExitFault);
                  }});
  const auto remover = std::make_shared<storage::JobFileRemover>(
      &*storage, [&coordinator](const std::string& job_uid) {
        coordinator.Post(
            [job_uid](coordinator::Core& owned, absl::Time) { owned.FilesRemoved(job_uid); });
      });
  // It ends before the coordinator, which may still delete a job then.
  coordinator.Post([weak = std::weak_ptr(remover)](coordinator::Core& owned, absl::Time) {
    owned.SetRemover([weak](const std::string& job_uid) {
      if (const auto live = weak.lock()) {
        live->Add(job_uid);
      }
    });
  });
  const std::unique_ptr<store::BackupMaker> backups =
      store::MakeSqliteBackupMaker(settings.data_dir);
  const api::ServiceContext context{&coordinator, &hub,     reader.get(), &pool,        &*storage,
                                    &metrics,     &streams, &identity,    backups.get()};
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<api::GrpcServer> server,
                        api::GrpcServer::Start(settings.listen, context,
                                               {.connection_age = settings.max_connection_age}));
  if (!settings.address_file.empty()) {
    G2LL_RETURN_IF_ERROR(
        WriteAddressFile(settings.address_file, server->address(), http->address()));
  }
  ready = true;
  log::Info(absl::StrCat("listening on ", server->address().ToString()),
            {{"address", server->address().ToString()},
             {"http_address", http->address().ToString()},
             {"data_dir", settings.data_dir},
             {"storage_root", settings.storage_root},
             {"term", core.term()},
             {"version", G2LL_VERSION}});
  G2LL_ASSIGN_OR_RETURN(
      const std::unique_ptr<store::TelemetryCheck> check,
      store::TelemetryCheck::Start(
          settings.data_dir, [&store_check, &metrics, &settings](const absl::Status& found) {
            store_check = found.ok() ? StoreCheck::kSound : StoreCheck::kDamaged;
            metrics.SetStoreDamaged(!found.ok());
            if (!found.ok()) {
              log::Error("stored metrics, logs or events are damaged; everything else is sound",
                         {{"error", std::string(found.message())},
                          {"repair", store::RepairAdvice(settings.data_dir)}});
            }
          }));

  G2LL_FAILPOINT("server.ready.after");
  int signal = 0;
  sigwait(&stop_signals, &signal);
  G2LL_FAILPOINT("server.stop.asked");
  log::Info("stopping", {{"signal", signal}});
  guard.emplace(stop_signals);
  ready = false;
  coordinator.Post([](coordinator::Core& owned, absl::Time) {
    owned.CloseAll(absl::UnavailableError("the coordinator is stopping: connect again"));
  });
  server->Shutdown(kGrace);
  G2LL_FAILPOINT("server.stop.drained");
  return absl::OkStatus();
}

// Prints the names that G2LL_FAILPOINTS understands, one a line.
int ListFailpoints() {
  if (!failpoint::kBuilt) {
    log::Error("this program was built without fail points: cmake -DG2LL_FAILPOINTS=ON");
    return kExitSettings;
  }
  for (const std::string_view name : failpoint::kNames) {
    std::cout << name << "\n";
  }
  return 0;
}

// Arms what the environment asks for, before there are threads and files.
absl::Status ArmFailpoints() {
  const char* text = std::getenv("G2LL_FAILPOINTS");
  G2LL_RETURN_IF_ERROR(failpoint::Arm(text == nullptr ? "" : text));
  if (failpoint::armed) {
    log::Warning("fail points are armed", {{"G2LL_FAILPOINTS", text}});
    store::InstallFaultVfs();
  }
  return absl::OkStatus();
}

// Does `restore`. Exit codes are those of g2ll, which starts it for its users.
int Restore(const std::string& file, const std::string& data_dir) {
  const absl::StatusOr<store::RestoreResult> restored =
      store::RestoreStore(file, data_dir, absl::Now());
  if (!restored.ok()) {
    log::Error(std::string(restored.status().message()));
    return absl::IsInternal(restored.status())             ? kExitFault
           : absl::IsFailedPrecondition(restored.status()) ? kExitRefused
                                                           : kExitSettings;
  }
  std::cout << "restored " << restored->num_jobs << " jobs from " << file << " into " << data_dir
            << "; " << restored->num_stopped << " of them ran and will go on from a checkpoint\n";
  if (!restored->put_away.empty()) {
    std::cout << "the store that was there is now " << restored->put_away << "\n";
  }
  return 0;
}

int Main(int argc, char** argv) {
  config::RawSettings flags;
  std::string config_file;
  CLI::App app{"Schedules G2LL jobs on workers, stores them and streams what they report."};
  app.set_version_flag("--version", std::string("g2ll-coordinator ") + G2LL_VERSION);
  app.add_option("--config", config_file, "YAML file with settings; flags come before it");
  auto* listen = app.add_option("--listen", flags.listen, "Address for gRPC; port 0 picks one")
                     ->capture_default_str();
  auto* http_listen = app.add_option("--http-listen", flags.http_listen,
                                     "Address for /metrics, /healthz and /readyz")
                          ->capture_default_str();
  auto* data_dir = app.add_option("--data-dir", flags.data_dir, "Directory of the store");
  auto* storage_root =
      app.add_option("--storage-root", flags.storage_root, "Directory shared with the workers");
  auto* log_format =
      app.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
  auto* address_file = app.add_option("--address-file", flags.address_file,
                                      "File that gets the real addresses as JSON");
  auto* allow_plaintext = app.add_flag("--allow-plaintext", flags.allow_plaintext,
                                       "Listen beyond this machine without encryption");
  bool list_failpoints = false;
  app.add_flag("--list-failpoints", list_failpoints,
               "Print the fail points of a build that has them");
  std::string backup_file;
  CLI::App* restore = app.add_subcommand(
      "restore", "Put a backup in the place of the store of a coordinator that is stopped");
  restore->add_option("--from", backup_file, "File that `g2ll admin backup` wrote")->required();
  restore->add_option("--data-dir", flags.data_dir, "Directory of the store")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitSettings;
  }
  if (list_failpoints) {
    return ListFailpoints();
  }
  if (const absl::Status status = ArmFailpoints(); !status.ok()) {
    log::Error(std::string(status.message()));
    return kExitSettings;
  }
  if (restore->parsed()) {
    return Restore(backup_file, flags.data_dir);
  }

  const auto report = [](const absl::Status& status) {
    for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
      log::Error(std::string(line));
    }
  };
  config::RawSettings raw;
  if (!config_file.empty()) {
    if (const absl::Status status = config::ReadFile(config_file, &raw); !status.ok()) {
      report(status);
      return kExitSettings;
    }
  }
  if (listen->count() > 0) raw.listen = flags.listen;
  if (http_listen->count() > 0) raw.http_listen = flags.http_listen;
  if (data_dir->count() > 0) raw.data_dir = flags.data_dir;
  if (storage_root->count() > 0) raw.storage_root = flags.storage_root;
  if (log_format->count() > 0) raw.log_format = flags.log_format;
  if (address_file->count() > 0) raw.address_file = flags.address_file;
  if (allow_plaintext->count() > 0) raw.allow_plaintext = flags.allow_plaintext;
  const absl::StatusOr<config::Settings> settings = config::Check(raw);
  if (!settings.ok()) {
    report(settings.status());
    return kExitSettings;
  }
  log::SetFormat(settings->log_format);

  // Blocked in every thread, so that only sigwait takes them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const absl::Status served = Serve(*settings, stop_signals);
  G2LL_FAILPOINT("server.stop.closed");
  if (!served.ok()) {
    report(served);
    // What a user can set right: an address, a directory, another coordinator, a store.
    const bool is_setting = absl::IsFailedPrecondition(served) ||
                            absl::IsResourceExhausted(served) || absl::IsPermissionDenied(served) ||
                            absl::IsInvalidArgument(served) || absl::IsDataLoss(served);
    return is_setting ? kExitSettings : kExitFault;
  }
  log::Info("stopped");
  return 0;
}

}  // namespace
}  // namespace g2ll

int main(int argc, char** argv) { return g2ll::Main(argc, argv); }
