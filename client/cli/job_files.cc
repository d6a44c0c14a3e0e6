#include "client/cli/job_files.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_validation.h"

namespace g2ll::cli {
namespace {

namespace fs = std::filesystem;

// At most one byte more than is allowed, so that too much shows.
std::string ReadBounded(std::istream& in) {
  std::string text(spec::kMaxJobFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

absl::Status TooLarge(const std::string& path, const std::string& size) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": given ", size, ", allowed: at most ",
                                                 spec::kMaxJobFileBytes, " bytes"));
}

std::string Absolute(const std::string& path, const std::string& current_dir) {
  return (fs::path(current_dir) / path).lexically_normal().string();
}

// Makes `path` whole unless it is empty.
void Complete(const std::string& current_dir, std::string* path) {
  if (!path->empty() && path->front() != '/') *path = Absolute(*path, current_dir);
}

// Servers and workers have other current folders: they get whole paths.
void CompletePaths(const std::string& current_dir, v1::JobSpec* job_spec) {
  const v1::DataSpec& given = spec::Data(*job_spec);
  if (given.has_source() && given.source().rfind("synthetic:", 0) != 0) {
    Complete(current_dir, spec::MutableData(job_spec)->mutable_source());
  }
  if (given.has_class_file()) {
    Complete(current_dir, spec::MutableData(job_spec)->mutable_class_file());
  }
  for (int i = 0; i < given.exclude_ids_size(); ++i) {
    std::string* entry = spec::MutableData(job_spec)->mutable_exclude_ids(i);
    if (*entry != "held" && *entry != "none") Complete(current_dir, entry);
  }
  const spec::Source from = spec::ParseSource(spec::SourceOf(*job_spec));
  if (from.kind == spec::Source::Kind::kFile && from.value.front() != '/') {
    spec::SetSource("file:" + Absolute(from.value, current_dir), job_spec);
  }
}

}  // namespace

absl::StatusOr<std::string> ReadJobFile(const std::string& path, std::istream& in) {
  std::string text;
  if (path == "-") {
    text = ReadBounded(in);
  } else {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    if (fs::is_directory(status)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": given a folder, allowed: a file"));
    }
    if (fs::is_regular_file(status)) {
      const uintmax_t size = fs::file_size(path, error);
      if (!error && size > spec::kMaxJobFileBytes) {
        return TooLarge(path, absl::StrCat(size, " bytes"));
      }
    }
    std::ifstream file(path, std::ios::binary);
    if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
    text = ReadBounded(file);
  }
  if (text.size() > spec::kMaxJobFileBytes)
    return TooLarge(path == "-" ? "standard input" : path, "more bytes");
  return text;
}

absl::StatusOr<spec::Override> ParseOverride(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat("--set: given ", text,
                                                   ", allowed: a path and a value, for example "
                                                   "spec.train.epochs=3"));
  }
  return spec::Override{text.substr(0, equals), text.substr(equals + 1)};
}

LoadedJobs LoadJobs(const std::string& file_name, const std::string& text,
                    const std::vector<spec::Override>& overrides, const std::string& current_dir) {
  LoadedJobs loaded;
  spec::JobFile file = spec::ParseJobFile(text, overrides);
  for (const spec::Fault& fault : file.faults) loaded.faults.push_back(fault.ToString(file_name));
  if (!file.faults.empty()) return loaded;
  for (spec::JobDocument& job : file.jobs) {
    CompletePaths(current_dir, &job.spec);
    v1::JobSpec full = job.spec;
    spec::ApplyDefaults(&full);
    for (const spec::Violation& violation : spec::Validate(full)) {
      const spec::Fault fault{job.LineOf(violation.field), violation.field, violation.given,
                              violation.allowed, ""};
      loaded.faults.push_back(fault.ToString(file_name));
    }
  }
  loaded.jobs = std::move(file.jobs);
  return loaded;
}

std::vector<std::string> NeededJobs(const v1::JobSpec& spec) {
  std::vector<std::string> names = spec::DependsOn(spec);
  const spec::Source from = spec::ParseSource(spec::SourceOf(spec));
  if (from.kind == spec::Source::Kind::kJob) names.push_back(from.value);
  return names;
}

}  // namespace g2ll::cli
