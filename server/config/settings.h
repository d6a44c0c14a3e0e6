#ifndef SERVER_CONFIG_SETTINGS_H_
#define SERVER_CONFIG_SETTINGS_H_

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
};

// Reads a YAML file over `settings`. Keys: listen, httpListen, dataDir,
// storageRoot, logFormat, addressFile, allowPlaintext, lease, lostAfter,
// recoveryWindow. Error: InvalidArgument that names file, line and key.
absl::Status ReadFile(const std::string& path, RawSettings* settings);

// Checks settings. Error: InvalidArgument with one line for each wrong one.
absl::StatusOr<Settings> Check(const RawSettings& raw);

}  // namespace g2ll::config

#endif  // SERVER_CONFIG_SETTINGS_H_
