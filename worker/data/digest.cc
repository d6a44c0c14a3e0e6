#include "worker/data/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>

namespace g2ll::data {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;

void Sha256::AddBytes(const void* bytes, size_t size) {
  EVP_DigestUpdate(context_->evp, bytes, size);
}

void Sha256::AddField(std::string_view text) {
  const uint64_t size = text.size();
  std::array<uint8_t, 8> length;
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<uint8_t>(size >> (8 * i));
  AddBytes(length.data(), length.size());
  AddBytes(text.data(), text.size());
}

std::string Sha256::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned size = 0;
  EVP_DigestFinal_ex(context_->evp, bytes.data(), &size);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hexadecimal;
  for (unsigned i = 0; i < size; ++i) {
    hexadecimal += kDigits[bytes[i] >> 4];
    hexadecimal += kDigits[bytes[i] & 15];
  }
  return hexadecimal;
}

}  // namespace g2ll::data
