#include "client/api/file_receiver.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

namespace fs = std::filesystem;

absl::Status WriteFailed(const fs::path& path, const std::string& why) {
  return net::WithReason(
      absl::UnavailableError(absl::StrCat("cannot write ", path.string(), ": ", why)),
      "LOCAL_WRITE_FAILED");
}

// Flushes a file or a folder to disk.
absl::Status Flush(const fs::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool is_flushed = file >= 0 && fsync(file) == 0;
  const int error = errno;
  if (file >= 0) close(file);
  return is_flushed ? absl::OkStatus() : WriteFailed(path, std::strerror(error));
}

fs::path FolderOf(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

// SHA-256 of the bytes so far.
class FileReceiver::Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void Add(const std::string& bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string Hex() {
    std::string digest(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), &size);
    digest.resize(size);
    return absl::BytesToHexString(digest);
  }

 private:
  EVP_MD_CTX* context_;
};

bool IsSafeRelativePath(const std::string& path) {
  if (path.empty() || path.size() > 1024) return false;
  if (std::any_of(path.begin(), path.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; })) {
    return false;
  }
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  return std::none_of(parts.begin(), parts.end(), [](const std::string& part) {
    return part.empty() || part == "." || part == "..";
  });
}

absl::StatusOr<std::unique_ptr<FileReceiver>> FileReceiver::Create(const std::string& dir) {
  std::error_code error;
  const fs::path target = fs::absolute(dir, error).lexically_normal();
  if (fs::exists(target, error) && !fs::is_directory(target, error)) {
    return WriteFailed(target, "it is a file; name a folder");
  }
  // A trailing slash would make the folder its own parent.
  const fs::path clean = target.has_filename() ? target : target.parent_path();
  fs::create_directories(clean.parent_path(), error);
  if (error) return WriteFailed(clean.parent_path(), error.message());
  std::string pattern = (clean.parent_path() / ("." + clean.filename().string() + ".XXXXXX"));
  if (mkdtemp(pattern.data()) == nullptr) {
    return WriteFailed(clean.parent_path(), std::strerror(errno));
  }
  return std::unique_ptr<FileReceiver>(new FileReceiver(clean, pattern));
}

FileReceiver::FileReceiver(fs::path target, fs::path staging)
    : target_(std::move(target)), staging_(std::move(staging)) {}

FileReceiver::~FileReceiver() {
  file_.close();
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
}

absl::Status FileReceiver::Begin(const v1::FileChunk& chunk) {
  if (!IsSafeRelativePath(chunk.path())) {
    return absl::DataLossError("the server sent a file name that leaves the folder");
  }
  if (chunk.offset() != 0 || chunk.total_size() < 0) {
    return absl::DataLossError(absl::StrCat(chunk.path(), ": does not begin at its start"));
  }
  const fs::path path = staging_ / chunk.path();
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (fs::exists(path, error)) {
    return absl::DataLossError(absl::StrCat(chunk.path(), ": was sent twice"));
  }
  file_.open(path, std::ios::binary);
  if (!file_) return WriteFailed(path, std::strerror(errno));
  path_ = chunk.path();
  received_ = 0;
  total_ = chunk.total_size();
  digest_ = std::make_unique<Digest>();
  ++num_files_;
  return absl::OkStatus();
}

absl::Status FileReceiver::Add(const v1::FileChunk& chunk) {
  if (path_.empty()) G2LL_RETURN_IF_ERROR(Begin(chunk));
  if (chunk.path() != path_ || chunk.offset() != received_ || chunk.total_size() != total_) {
    return absl::DataLossError(absl::StrCat(path_, ": its pieces came out of order"));
  }
  received_ += static_cast<int64_t>(chunk.data().size());
  if (received_ > total_) {
    return absl::DataLossError(absl::StrCat(path_, ": is larger than announced"));
  }
  digest_->Add(chunk.data());
  file_.write(chunk.data().data(), static_cast<std::streamsize>(chunk.data().size()));
  if (!file_) return WriteFailed(staging_ / path_, std::strerror(errno));
  return received_ == total_ ? Finish(chunk) : absl::OkStatus();
}

absl::Status FileReceiver::Finish(const v1::FileChunk& chunk) {
  file_.close();
  if (!file_) return WriteFailed(staging_ / path_, std::strerror(errno));
  const std::string digest = digest_->Hex();
  if (digest != chunk.sha256()) {
    return absl::DataLossError(
        absl::StrCat(path_, ": differs from its digest; it was damaged on the way"));
  }
  last_path_ = path_;
  path_.clear();
  return absl::OkStatus();
}

absl::Status FileReceiver::CheckComplete() const {
  if (!path_.empty()) return absl::DataLossError(absl::StrCat(path_, ": its end did not come"));
  if (num_files_ == 0) return absl::DataLossError("the server sent no file");
  return absl::OkStatus();
}

absl::Status FileReceiver::Publish() {
  std::error_code error;
  if (!fs::exists(target_, error)) {
    fs::rename(staging_, target_, error);
    if (error) return WriteFailed(target_, error.message());
    // mkdtemp makes folders for the owner alone; a result is like any other file.
    const mode_t mask = umask(0);
    umask(mask);
    fs::permissions(target_, static_cast<fs::perms>(0777 & ~mask), error);
    return absl::OkStatus();
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(staging_, error)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), staging_));
  }
  if (error) return WriteFailed(staging_, error.message());
  for (const fs::path& file : files) {
    fs::create_directories((target_ / file).parent_path(), error);
    fs::rename(staging_ / file, target_ / file, error);
    if (error) return WriteFailed(target_ / file, error.message());
  }
  return absl::OkStatus();
}

absl::Status FileReceiver::CheckFree(const std::string& file) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(file, error))) {
    return absl::AlreadyExistsError(absl::StrCat(file, " exists; name another file"));
  }
  if (!fs::is_directory(FolderOf(file), error)) {
    return WriteFailed(FolderOf(file), "no such folder");
  }
  return absl::OkStatus();
}

absl::Status FileReceiver::PublishAs(const std::string& file) {
  if (num_files_ != 1) return absl::DataLossError("the server sent several files for one");
  const fs::path from = staging_ / last_path_;
  G2LL_RETURN_IF_ERROR(Flush(from));
  // A link, unlike a rename, never replaces a file that came in the meantime.
  if (link(from.c_str(), file.c_str()) != 0) {
    return errno == EEXIST ? absl::AlreadyExistsError(absl::StrCat(file, " exists"))
                           : WriteFailed(file, std::strerror(errno));
  }
  return Flush(FolderOf(file));
}

}  // namespace g2ll::client
