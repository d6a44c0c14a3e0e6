#include "server/config/settings.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/status_macros.h"
#include "server/config/quantity.h"

namespace g2ll::config {
namespace {

constexpr uintmax_t kLargestFile = 64 * 1024;
constexpr char kRetention[] = "retention";

std::map<std::string, std::string*> TextKeys(RawSettings* settings) {
  return {{"listen", &settings->listen},
          {"httpListen", &settings->http_listen},
          {"dataDir", &settings->data_dir},
          {"storageRoot", &settings->storage_root},
          {"logFormat", &settings->log_format},
          {"addressFile", &settings->address_file},
          {"lease", &settings->lease},
          {"lostAfter", &settings->lost_after},
          {"recoveryWindow", &settings->recovery_window},
          {"retention.finishedJobs", &settings->finished_jobs_age},
          {"retention.logs", &settings->logs_age},
          {"retention.logBytesPerJob", &settings->log_bytes_per_job},
          {"retention.pointsPerJob", &settings->points_per_job},
          {"retention.requests", &settings->requests_age},
          {"retention.totalBytes", &settings->total_bytes},
          {"maxStreamsPerClient", &settings->max_streams_per_client},
          {"maxStreams", &settings->max_streams},
          {"maxStreamAge", &settings->max_stream_age},
          {"maxConnectionAge", &settings->max_connection_age},
          {"maxPointsPerSecond", &settings->max_points_per_second},
          {"maxMetricSeries", &settings->max_metric_series}};
}

// `prefix` is the path of the map that the entry stands in, with a dot at its end.
absl::Status ReadEntry(const std::string& prefix, const YAML::Node& key_node,
                       const YAML::Node& value, RawSettings* settings) {
  const auto texts = TextKeys(settings);
  const std::string key = prefix + (key_node.IsScalar() ? key_node.Scalar() : "");
  if (key == kRetention && value.IsMap()) {
    for (const auto& entry : value) {
      G2LL_RETURN_IF_ERROR(ReadEntry(key + ".", entry.first, entry.second, settings));
    }
    return absl::OkStatus();
  }
  const auto at_line = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("line ", key_node.Mark().line + 1, ": ", what));
  };
  const auto text = texts.find(key);
  if (text == texts.end() && key != "allowPlaintext") {
    std::vector<std::string> known = {"allowPlaintext"};
    for (const auto& [name, target] : texts) {
      known.push_back(name);
    }
    return at_line(absl::StrCat("unknown key '", key, "'; known are ", absl::StrJoin(known, ", ")));
  }
  if (!value.IsScalar()) {
    return at_line(absl::StrCat(key, " needs a single value"));
  }
  if (text != texts.end()) {
    *text->second = value.Scalar();
    return absl::OkStatus();
  }
  if (value.Scalar() != "true" && value.Scalar() != "false") {
    return at_line(absl::StrCat(key, ": '", value.Scalar(), "' is neither true nor false"));
  }
  settings->allow_plaintext = value.Scalar() == "true";
  return absl::OkStatus();
}

std::optional<absl::Duration> ReadDuration(const std::string& name, const std::string& text,
                                           std::vector<std::string>* faults) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
      duration > absl::Hours(24)) {
    faults->push_back(absl::StrCat(name, ": '", text, "' is no duration such as 15s, up to 24h"));
    return std::nullopt;
  }
  return duration;
}

// Takes what a reader of one form of text gives, else a fault.
template <typename Value>
Value Take(const std::string& name, const std::string& text, const std::optional<Value>& value,
           const char* example, std::vector<std::string>* faults) {
  if (!value.has_value()) {
    faults->push_back(
        absl::StrCat(name, ": '", text, "' is not of the form ", example, " or none"));
  }
  return value.value_or(Value());
}

void ReadRetention(const RawSettings& raw, Settings* settings, std::vector<std::string>* faults) {
  const auto age = [&](const char* name, const std::string& text) {
    return Take(name, text, ParseAge(text), "30d or 12h", faults);
  };
  const auto bytes = [&](const char* name, const std::string& text) {
    return Take(name, text, ParseBytes(text), "512MiB or 1GiB", faults);
  };
  settings->finished_jobs_age = age("retention.finishedJobs", raw.finished_jobs_age);
  settings->logs_age = age("retention.logs", raw.logs_age);
  settings->requests_age = age("retention.requests", raw.requests_age);
  settings->log_bytes_per_job = bytes("retention.logBytesPerJob", raw.log_bytes_per_job);
  settings->total_bytes = bytes("retention.totalBytes", raw.total_bytes);
  settings->points_per_job = Take("retention.pointsPerJob", raw.points_per_job,
                                  ParseCount(raw.points_per_job), "10000000", faults);
}

int64_t ReadCount(const std::string& name, const std::string& text, int64_t most,
                  std::vector<std::string>* faults) {
  int64_t count = 0;
  if (!absl::SimpleAtoi(text, &count) || count < 1 || count > most) {
    faults->push_back(absl::StrCat(name, ": '", text, "' is no whole number from 1 to ", most));
  }
  return count;
}

// Limits on streams and on what workers report.
void ReadLimits(const RawSettings& raw, Settings* settings, std::vector<std::string>* faults) {
  constexpr int64_t kMost = 1000000;
  settings->max_streams_per_client =
      ReadCount("maxStreamsPerClient", raw.max_streams_per_client, kMost, faults);
  settings->max_streams = ReadCount("maxStreams", raw.max_streams, kMost, faults);
  settings->max_stream_age =
      ReadDuration("maxStreamAge", raw.max_stream_age, faults).value_or(absl::ZeroDuration());
  settings->max_connection_age = ReadDuration("maxConnectionAge", raw.max_connection_age, faults)
                                     .value_or(absl::ZeroDuration());
  settings->max_points_per_second =
      ReadCount("maxPointsPerSecond", raw.max_points_per_second, kMost, faults);
  settings->max_metric_series = ReadCount("maxMetricSeries", raw.max_metric_series, 10000, faults);
}

std::optional<net::HostPort> ReadAddress(const std::string& flag, const std::string& text,
                                         bool allow_plaintext, std::vector<std::string>* faults) {
  absl::StatusOr<net::HostPort> address = net::ParseHostPort(text);
  if (!address.ok()) {
    faults->push_back(absl::StrCat(flag, ": ", std::string(address.status().message())));
    return std::nullopt;
  }
  if (!allow_plaintext && !net::IsLoopback(address->host)) {
    faults->push_back(
        absl::StrCat(flag, " ", text,
                     ": other machines could reach this address, and everything is sent in "
                     "plain text; say --allow-plaintext if the network is trusted"));
    return std::nullopt;
  }
  return *std::move(address);
}

}  // namespace

absl::Status ReadFile(const std::string& path, RawSettings* settings) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kLargestFile) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--config ", path, ": ", error ? error.message() : "the file is larger than 64 KiB"));
  }
  YAML::Node document;
  // The library reports every fault of the text by an exception.
  try {
    document = YAML::LoadFile(path);
  } catch (const YAML::Exception& exception) {
    return absl::InvalidArgumentError(absl::StrCat("--config ", path, ": ", exception.what()));
  }
  if (document.IsNull()) {
    return absl::OkStatus();
  }
  if (!document.IsMap()) {
    return absl::InvalidArgumentError(absl::StrCat("--config ", path, ": no map of settings"));
  }
  for (const auto& entry : document) {
    if (const absl::Status status = ReadEntry("", entry.first, entry.second, settings);
        !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--config ", path, ": ", std::string(status.message())));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Settings> Check(const RawSettings& raw) {
  std::vector<std::string> faults;
  Settings settings;
  settings.listen =
      ReadAddress("--listen", raw.listen, raw.allow_plaintext, &faults).value_or(net::HostPort{});
  settings.http_listen = ReadAddress("--http-listen", raw.http_listen, raw.allow_plaintext, &faults)
                             .value_or(net::HostPort{});
  settings.data_dir = raw.data_dir;
  if (raw.data_dir.empty()) {
    faults.push_back("--data-dir: a directory for the store is needed");
  }
  settings.storage_root = raw.storage_root;
  if (raw.storage_root.empty()) {
    faults.push_back("--storage-root: the directory that is shared with the workers is needed");
  }
  settings.address_file = raw.address_file;
  if (const auto format = log::ParseFormat(raw.log_format); format.has_value()) {
    settings.log_format = *format;
  } else {
    faults.push_back(absl::StrCat("--log-format: '", raw.log_format, "' is neither text nor json"));
  }
  settings.lease = ReadDuration("lease", raw.lease, &faults).value_or(absl::ZeroDuration());
  settings.lost_after =
      ReadDuration("lostAfter", raw.lost_after, &faults).value_or(absl::ZeroDuration());
  settings.recovery_window =
      ReadDuration("recoveryWindow", raw.recovery_window, &faults).value_or(absl::ZeroDuration());
  ReadRetention(raw, &settings, &faults);
  ReadLimits(raw, &settings, &faults);
  if (faults.empty() && settings.lost_after < settings.lease) {
    faults.push_back("lostAfter: it must not be shorter than lease");
  }
  if (!faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
  }
  return settings;
}

}  // namespace g2ll::config
