#ifndef WORKER_DATA_DIGEST_H_
#define WORKER_DATA_DIGEST_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace g2ll::data {

// SHA-256 of a sequence of parts. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  // Adds bytes as they are.
  void AddBytes(const void* bytes, size_t size);
  // Adds a text and its length, so that ("ab", "c") differs from ("a", "bc").
  void AddField(std::string_view text);
  // 64 lower-case hexadecimal digits. Call once, last.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_DIGEST_H_
