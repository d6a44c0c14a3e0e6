#ifndef TESTS_TRAIN_SPOILED_LOADER_H_
#define TESTS_TRAIN_SPOILED_LOADER_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"

namespace g2ll::test {

// The batches of another loader after `spoil` changed them.
template <typename Loader, typename Batch>
class SpoiledLoader final : public Loader {
 public:
  using Spoil = std::function<void(Batch&)>;

  SpoiledLoader(std::unique_ptr<Loader> inner, Spoil spoil)
      : inner_(std::move(inner)), spoil_(std::move(spoil)) {}

  absl::StatusOr<Batch> Next() override {
    auto batch = inner_->Next();
    if (batch.ok()) spoil_(*batch);
    return batch;
  }

 private:
  std::unique_ptr<Loader> inner_;
  Spoil spoil_;
};

template <typename Loader, typename Spoil>
std::unique_ptr<Loader> Spoiled(std::unique_ptr<Loader> inner, Spoil spoil) {
  using Batch = typename decltype(inner->Next())::value_type;
  return std::make_unique<SpoiledLoader<Loader, Batch>>(std::move(inner), std::move(spoil));
}

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_SPOILED_LOADER_H_
