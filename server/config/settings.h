#ifndef SERVER_CONFIG_SETTINGS_H_
#define SERVER_CONFIG_SETTINGS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/common/address.h"
#include "proto/common/log.h"

namespace g2ll::config {

// Settings of the coordinator as texts, as they come from flags and the file.
struct RawSettings {
  std::string listen = "127.0.0.1:7460";
  std::string http_listen = "127.0.0.1:7461";
  std::string data_dir;
  std::string storage_root;
  std::string log_format = "text";
  // File that gets the real addresses; empty is none.
  std::string address_file;
  bool allow_plaintext = false;
  std::string lease = "15s";
  std::string lost_after = "20s";
  std::string recovery_window = "25s";
  // How long what is stored is kept; `none` is no limit.
  std::string finished_jobs_age = "90d";
  std::string logs_age = "30d";
  std::string log_bytes_per_job = "1GiB";
  std::string points_per_job = "10000000";
  std::string requests_age = "7d";
  std::string total_bytes = "50GiB";
  std::string max_streams_per_client = "200";
  std::string max_streams = "20000";
  std::string max_stream_age = "30m";
  std::string max_connection_age = "30m";
  std::string max_points_per_second = "5000";
  std::string max_metric_series = "256";
};

// Settings that have been checked.
struct Settings {
  net::HostPort listen;
  net::HostPort http_listen;
  std::string data_dir;
  std::string storage_root;
  log::Format log_format = log::Format::kText;
  std::string address_file;
  absl::Duration lease;
  absl::Duration lost_after;
  absl::Duration recovery_window;
  // Infinite and 0 are no limit.
  absl::Duration finished_jobs_age;
  absl::Duration logs_age;
  int64_t log_bytes_per_job = 0;
  int64_t points_per_job = 0;
  absl::Duration requests_age;
  int64_t total_bytes = 0;
  // Open streams of one client host, and of all clients.
  int64_t max_streams_per_client = 0;
  int64_t max_streams = 0;
  absl::Duration max_stream_age;
  absl::Duration max_connection_age;
  // Metric points of one worker, and names of metrics of one job.
  int64_t max_points_per_second = 0;
  int64_t max_metric_series = 0;
};

// Reads a YAML file over `settings`. Keys: listen, httpListen, dataDir,
// storageRoot, logFormat, addressFile, allowPlaintext, lease, lostAfter,
// recoveryWindow, maxStreamsPerClient, maxStreams, maxStreamAge, maxConnectionAge,
// maxPointsPerSecond, maxMetricSeries, and below `retention` finishedJobs, logs,
// logBytesPerJob, pointsPerJob, requests, totalBytes. Error: InvalidArgument that names
// file, line and key.
absl::Status ReadFile(const std::string& path, RawSettings* settings);

// Checks settings. Error: InvalidArgument with one line for each wrong one.
absl::StatusOr<Settings> Check(const RawSettings& raw);

}  // namespace g2ll::config

#endif  // SERVER_CONFIG_SETTINGS_H_
