#ifndef SERVER_STORAGE_SHA256_H_
#define SERVER_STORAGE_SHA256_H_

#include <memory>
#include <string>
#include <string_view>

namespace g2ll::storage {

// SHA-256 of a stream of bytes.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Add(std::string_view bytes);
  // Digest in lower-case hexadecimal; nothing may be added afterwards.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Digest of `bytes` in lower-case hexadecimal.
std::string Sha256Hex(std::string_view bytes);

// `size` bytes from the system's random source in hexadecimal.
std::string RandomHex(int size);

}  // namespace g2ll::storage

#endif  // SERVER_STORAGE_SHA256_H_
