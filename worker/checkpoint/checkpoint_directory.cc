#include "worker/checkpoint/checkpoint_directory.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"

namespace g2ll::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxManifestBytes = 1 << 20;

absl::Status Unavailable(const fs::path& path, std::string_view what) {
  return absl::UnavailableError(absl::StrCat(path.string(), ": ", std::string(what), ": ",
                                             std::generic_category().message(errno)));
}

// SHA-256 of bytes that arrive in pieces.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void Add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string Hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest.data()), size));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

// A file or directory open for reading; closed at the end of the scope.
class OpenFile {
 public:
  explicit OpenFile(const fs::path& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status Sync(const fs::path& path) {
  const OpenFile file(path);
  if (file.fd() < 0) return Unavailable(path, "cannot be opened");
  if (fsync(file.fd()) != 0) return Unavailable(path, "cannot be synced");
  return absl::OkStatus();
}

struct FileEntry {
  std::string name;
  fs::path path;
};

// The files of a directory in the order of their names, without the manifest.
absl::StatusOr<std::vector<FileEntry>> ListFiles(const fs::path& directory) {
  std::vector<FileEntry> files;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kManifestName) continue;
    if (!fs::is_regular_file(it->symlink_status())) {
      return absl::FailedPreconditionError(
          absl::StrCat(it->path().string(), ": is not a regular file"));
    }
    files.push_back({name, it->path()});
  }
  if (error) return absl::UnavailableError(absl::StrCat(directory.string(), ": ", error.message()));
  std::sort(files.begin(), files.end(),
            [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
  return files;
}

std::string ManifestText(const Manifest& manifest) {
  Json files = Json::object();
  for (const auto& [name, record] : manifest.files) {
    files[name] = {{"size", record.size}, {"sha256", record.sha256}};
  }
  const Json json = {{"format", manifest.format},
                     {"job", manifest.job},
                     {"jobUid", manifest.job_uid},
                     {"kind", manifest.kind},
                     {"epoch", manifest.epoch},
                     {"step", manifest.step},
                     {"trainEpoch", manifest.train_epoch},
                     {"configDigest", manifest.config_digest},
                     {"files", std::move(files)}};
  return json.dump(2) + "\n";
}

// Throws nlohmann's exceptions for missing fields and wrong types.
Manifest ManifestFromJson(const Json& json) {
  Manifest manifest;
  manifest.format = json.at("format").get<int>();
  manifest.job = json.at("job").get<std::string>();
  manifest.job_uid = json.at("jobUid").get<std::string>();
  manifest.kind = json.at("kind").get<std::string>();
  manifest.epoch = json.at("epoch").get<int64_t>();
  manifest.step = json.at("step").get<int64_t>();
  manifest.train_epoch = json.at("trainEpoch").get<double>();
  manifest.config_digest = json.at("configDigest").get<std::string>();
  for (const auto& [name, record] : json.at("files").items()) {
    manifest.files[name] = {record.at("size").get<uint64_t>(),
                            record.at("sha256").get<std::string>()};
  }
  return manifest;
}

absl::Status CheckFile(const fs::path& path, const FileRecord& record) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (error) return absl::DataLossError(absl::StrCat(path.string(), ": ", error.message()));
  if (size != record.size) {
    return absl::DataLossError(
        absl::StrCat(path.string(), ": has ", size, " bytes, the manifest says ", record.size));
  }
  G2LL_ASSIGN_OR_RETURN(const std::string sha256, Sha256OfFile(path));
  if (sha256 != record.sha256) {
    return absl::DataLossError(absl::StrCat(path.string(),
                                            ": content differs from the manifest (SHA-256 ", sha256,
                                            " instead of ", record.sha256, ")"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckpointWriter> CheckpointWriter::Create(const fs::path& parent,
                                                          const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint name '", name, "' is not allowed"));
  }
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) return absl::UnavailableError(absl::StrCat(parent.string(), ": ", error.message()));
  std::string temporary = (parent / absl::StrCat(".", name, ".tmp-XXXXXX")).string();
  if (mkdtemp(temporary.data()) == nullptr) return Unavailable(temporary, "cannot be made");
  CheckpointWriter writer(temporary, parent / name);
  // mkdtemp leaves the directory to its owner alone; storage is often read by others.
  if (chmod(temporary.c_str(), 0755) != 0) return Unavailable(temporary, "cannot be opened up");
  return writer;
}

CheckpointWriter::CheckpointWriter(fs::path temporary, fs::path final)
    : temporary_(std::move(temporary)), final_(std::move(final)) {}

CheckpointWriter::CheckpointWriter(CheckpointWriter&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})), final_(std::exchange(other.final_, {})) {}

CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&& other) noexcept {
  std::swap(temporary_, other.temporary_);
  std::swap(final_, other.final_);
  return *this;
}

CheckpointWriter::~CheckpointWriter() {
  std::error_code ignored;  // what stays behind is a hidden folder that nobody reads
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

absl::Status CheckpointWriter::WriteFile(const std::string& name, std::string_view content) const {
  const fs::path path = temporary_ / name;
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) return Unavailable(path, "cannot be written");
  return absl::OkStatus();
}

absl::StatusOr<CheckpointSummary> CheckpointWriter::Finish(Manifest fields) {
  if (temporary_.empty()) return absl::FailedPreconditionError("checkpoint is finished already");
  CheckpointSummary summary;
  G2LL_ASSIGN_OR_RETURN(const auto files, ListFiles(temporary_));
  fields.files.clear();
  for (const FileEntry& file : files) {
    G2LL_RETURN_IF_ERROR(Sync(file.path));
    std::error_code error;
    FileRecord record;
    record.size = fs::file_size(file.path, error);
    if (error)
      return absl::UnavailableError(absl::StrCat(file.path.string(), ": ", error.message()));
    G2LL_ASSIGN_OR_RETURN(record.sha256, Sha256OfFile(file.path));
    summary.total_bytes += record.size;
    fields.files[file.name] = std::move(record);
  }
  const std::string text = ManifestText(fields);
  G2LL_RETURN_IF_ERROR(WriteFile(std::string(kManifestName), text));
  G2LL_RETURN_IF_ERROR(Sync(temporary_ / kManifestName));
  G2LL_RETURN_IF_ERROR(Sync(temporary_));
  // rename() replaces an empty directory without a word, so look first; only this
  // attempt writes below its own epoch, so nobody comes in between.
  std::error_code error;
  if (fs::exists(fs::symlink_status(final_, error))) {
    return absl::AlreadyExistsError(absl::StrCat(final_.string(), ": exists already"));
  }
  if (rename(temporary_.c_str(), final_.c_str()) != 0) {
    return Unavailable(final_, "cannot be put in place");
  }
  temporary_.clear();
  G2LL_RETURN_IF_ERROR(Sync(final_.parent_path()));
  summary.directory = final_;
  summary.manifest_sha256 = Sha256Of(text);
  summary.total_bytes += text.size();
  return summary;
}

absl::StatusOr<Manifest> ReadManifest(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(directory.string(), ": is not a checkpoint (it has no ",
                                            std::string(kManifestName), ")"));
  }
  if (fs::file_size(path, error) > kMaxManifestBytes || error) {
    return absl::DataLossError(absl::StrCat(path.string(), ": is too large for a manifest"));
  }
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream && !stream.eof()) return Unavailable(path, "cannot be read");
  try {
    Manifest manifest = ManifestFromJson(Json::parse(text));
    if (manifest.format != 1) {
      return absl::DataLossError(absl::StrCat(path.string(), ": format ", manifest.format,
                                              " is not known to this version"));
    }
    return manifest;
  } catch (const nlohmann::json::exception& fault) {
    return absl::DataLossError(absl::StrCat(path.string(), ": damaged: ", fault.what()));
  }
}

absl::Status VerifyCheckpoint(const fs::path& directory) {
  G2LL_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(directory));
  G2LL_ASSIGN_OR_RETURN(const auto files, ListFiles(directory));
  for (const FileEntry& file : files) {
    if (!manifest.files.contains(file.name)) {
      return absl::DataLossError(absl::StrCat(file.path.string(), ": is not in the manifest"));
    }
  }
  for (const auto& [name, record] : manifest.files) {
    const auto it = std::find_if(files.begin(), files.end(),
                                 [&](const FileEntry& file) { return file.name == name; });
    if (it == files.end()) {
      return absl::DataLossError(absl::StrCat((directory / name).string(), ": is missing"));
    }
    G2LL_RETURN_IF_ERROR(CheckFile(it->path, record));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Sha256OfFile(const fs::path& path) {
  const OpenFile file(path);
  if (file.fd() < 0) {
    return errno == ENOENT ? absl::NotFoundError(absl::StrCat(path.string(), ": no such file"))
                           : Unavailable(path, "cannot be opened");
  }
  Digest digest;
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t count = read(file.fd(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Unavailable(path, "cannot be read");
    if (count == 0) return digest.Hex();
    digest.Add(std::string_view(buffer.data(), static_cast<size_t>(count)));
  }
}

std::string Sha256Of(std::string_view bytes) {
  Digest digest;
  digest.Add(bytes);
  return digest.Hex();
}

}  // namespace g2ll::checkpoint
