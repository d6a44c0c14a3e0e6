#include "tests/sim/checkpoint_files.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/storage/sha256.h"

namespace g2ll::sim {
namespace {

constexpr char kStepPrefix[] = "/s";

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    std::fprintf(stderr, "%s cannot be written\n", path.c_str());
    std::abort();
  }
}

void MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    std::fprintf(stderr, "%s cannot be made: %s\n", path.c_str(), error.message().c_str());
    std::abort();
  }
}

}  // namespace

WrittenCheckpoint WriteCheckpoint(const std::string& storage_root, const std::string& job_uid,
                                  int64_t epoch, int64_t step) {
  WrittenCheckpoint written;
  written.path = absl::StrCat("checkpoints/", job_uid, "/e", epoch, kStepPrefix, step);
  const std::string directory = absl::StrCat(storage_root, "/", written.path);
  MakeDirectory(directory);
  const std::string weights = absl::StrCat("weights of step ", step);
  WriteFile(directory + "/model.safetensors", weights);
  const std::string manifest =
      nlohmann::json{{"jobUid", job_uid},
                     {"epoch", epoch},
                     {"step", step},
                     {"files",
                      {{"model.safetensors",
                        {{"size", weights.size()}, {"sha256", storage::Sha256Hex(weights)}}}}}}
          .dump();
  WriteFile(directory + "/manifest.json", manifest);
  written.manifest_sha256 = storage::Sha256Hex(manifest);
  written.size_bytes = static_cast<int64_t>(weights.size() + manifest.size());
  return written;
}

std::string WriteReport(const std::string& storage_root, const std::string& job_uid,
                        int64_t epoch) {
  const std::string path = absl::StrCat("reports/", job_uid, "/e", epoch);
  MakeDirectory(absl::StrCat(storage_root, "/", path));
  WriteFile(absl::StrCat(storage_root, "/", path, "/report.json"), "{}\n");
  return path;
}

int64_t StepOfCheckpoint(const std::string& path) {
  const size_t found = path.rfind(kStepPrefix);
  return found == std::string::npos ? 0 : std::atoll(path.c_str() + found + 2);
}

}  // namespace g2ll::sim
