#ifndef TESTS_SERVER_TEMPORARY_DIRECTORY_H_
#define TESTS_SERVER_TEMPORARY_DIRECTORY_H_

#include <cstdlib>
#include <filesystem>
#include <string>

namespace g2ll::testing {

// A new directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "g2ll-test-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_TEMPORARY_DIRECTORY_H_
