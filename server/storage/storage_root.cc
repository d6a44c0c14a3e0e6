#include "server/storage/storage_root.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/status_macros.h"
#include "server/storage/file_streamer.h"
#include "server/storage/sha256.h"
#include "server/storage/whole_file.h"

namespace g2ll::storage {
namespace {

namespace fs = std::filesystem;

constexpr char kTokenFile[] = ".g2ll-storage-token";
constexpr int64_t kMaxManifestBytes = int64_t{4} << 20;

std::optional<std::string> ReadSmallFile(const fs::path& path, int64_t max_bytes) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return std::nullopt;
  }
  std::string text(static_cast<size_t>(max_bytes) + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  const std::streamsize size = stream.gcount();
  if (size > max_bytes) {
    return std::nullopt;
  }
  text.resize(static_cast<size_t>(size));
  return text;
}

absl::Status WriteTokenFile(const fs::path& path, const std::string& token) {
  const absl::Status written = WriteWholeFile(path.string(), token + "\n");
  if (!written.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the storage root cannot be written: ", std::string(written.message())));
  }
  return absl::OkStatus();
}

absl::Status Damaged(std::string_view directory, std::string_view what) {
  return absl::DataLossError(
      absl::StrCat("checkpoint ", std::string(directory), ": ", std::string(what)));
}

absl::StatusOr<Manifest> ParseManifest(std::string_view directory, const std::string& text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  Manifest manifest;
  // The library throws on a value of a wrong type; this is the place that reads
  // text from outside, so it is turned into a status here.
  try {
    manifest.job_uid = object.at("jobUid").get<std::string>();
    manifest.epoch = object.at("epoch").get<int64_t>();
    manifest.step = object.at("step").get<int64_t>();
    for (const auto& [name, entry] : object.at("files").items()) {
      manifest.files.push_back(
          {name, entry.at("size").get<int64_t>(), entry.at("sha256").get<std::string>()});
    }
  } catch (const nlohmann::json::exception& error) {
    return Damaged(directory, absl::StrCat("manifest.json cannot be read: ", error.what()));
  }
  return manifest;
}

}  // namespace

absl::StatusOr<int64_t> StorageRoot::FreeBytes() const {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(path_, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("storage root ", path_, ": cannot tell what is free: ", error.message()));
  }
  return static_cast<int64_t>(space.available);
}

bool IsInside(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() + 1 && path.substr(0, folder.size()) == folder &&
         path[folder.size()] == '/';
}

StorageRoot::StorageRoot(std::string path, std::string token)
    : path_(std::move(path)), token_(std::move(token)) {}

absl::StatusOr<StorageRoot> StorageRoot::Open(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!fs::is_directory(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the storage root ", path,
                     " cannot be used: ", error ? error.message() : "Not a directory"));
  }
  const fs::path canonical = fs::canonical(path, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("the storage root ", path, " cannot be used: ", error.message()));
  }
  const fs::path token_path = canonical / kTokenFile;
  std::string token(absl::StripAsciiWhitespace(ReadSmallFile(token_path, 1024).value_or("")));
  const bool usable =
      token.size() == 64 && std::all_of(token.begin(), token.end(), absl::ascii_isxdigit);
  if (!usable) {
    token = RandomHex(32);
    G2LL_RETURN_IF_ERROR(WriteTokenFile(token_path, token));
  }
  return StorageRoot(canonical.string(), std::move(token));
}

absl::StatusOr<std::string> StorageRoot::Resolve(std::string_view relative) const {
  const std::string text(relative);
  const auto bad = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("path '", text, "' does not lie below the storage root"));
  };
  if (text.empty() || text.front() == '/' || text.find('\0') != std::string::npos) {
    return bad();
  }
  for (absl::string_view part : absl::StrSplit(text, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return bad();
    }
  }
  std::error_code error;
  const std::string resolved = fs::weakly_canonical(fs::path(path_) / text, error).string();
  if (error || !IsInside(resolved, path_)) {
    return bad();
  }
  return resolved;
}

absl::StatusOr<Manifest> StorageRoot::ReadManifest(std::string_view directory,
                                                   std::string_view manifest_sha256) const {
  G2LL_ASSIGN_OR_RETURN(const std::string absolute, Resolve(directory));
  const std::optional<std::string> text =
      ReadSmallFile(fs::path(absolute) / "manifest.json", kMaxManifestBytes);
  if (!text.has_value()) {
    return Damaged(directory, "manifest.json is missing or cannot be read");
  }
  if (Sha256Hex(*text) != manifest_sha256) {
    return Damaged(directory, "manifest.json differs from its digest");
  }
  G2LL_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(directory, *text));
  for (const ManifestFile& file : manifest.files) {
    if (file.name.empty() || file.name.find('/') != std::string::npos || file.name == "..") {
      return Damaged(directory, absl::StrCat("manifest.json names a file '", file.name, "'"));
    }
    struct stat info = {};
    const std::string path = absl::StrCat(absolute, "/", file.name);
    if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return Damaged(directory, absl::StrCat(file.name, " is missing"));
    }
    if (info.st_size != file.size) {
      return Damaged(directory, absl::StrCat(file.name, " has ", info.st_size, " bytes instead of ",
                                             file.size));
    }
  }
  return manifest;
}

absl::Status StorageRoot::VerifyCheckpoint(std::string_view directory,
                                           std::string_view manifest_sha256) const {
  G2LL_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(directory, manifest_sha256));
  std::vector<FileToSend> files;
  for (const ManifestFile& file : manifest.files) {
    G2LL_ASSIGN_OR_RETURN(std::string path,
                          Resolve(absl::StrCat(std::string(directory), "/", file.name)));
    files.push_back({std::move(path), file.name, file.sha256});
  }
  FileStreamer streamer(std::move(files));
  while (true) {
    const absl::StatusOr<std::optional<FilePiece>> piece = streamer.Next();
    if (!piece.ok()) {
      return Damaged(directory, std::string(piece.status().message()));
    }
    if (!piece->has_value()) {
      return absl::OkStatus();
    }
  }
}

absl::Status StorageRoot::RemoveTree(std::string_view directory) const {
  G2LL_ASSIGN_OR_RETURN(const std::string absolute, Resolve(directory));
  std::error_code error;
  fs::remove_all(absolute, error);
  return error ? absl::InternalError(absl::StrCat(std::string(directory), ": ", error.message()))
               : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> StorageRoot::ListFiles(std::string_view directory) const {
  G2LL_ASSIGN_OR_RETURN(const std::string absolute, Resolve(directory));
  std::error_code error;
  fs::recursive_directory_iterator entries(absolute, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat(std::string(directory), ": ", error.message()));
  }
  std::vector<std::string> files;
  for (; entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (error) {
      return absl::DataLossError(absl::StrCat(std::string(directory), ": ", error.message()));
    }
    if (entries->symlink_status(error).type() == fs::file_type::regular) {
      files.push_back(entries->path().lexically_relative(absolute).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace g2ll::storage
