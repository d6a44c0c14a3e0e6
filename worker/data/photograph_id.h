#ifndef WORKER_DATA_PHOTOGRAPH_ID_H_
#define WORKER_DATA_PHOTOGRAPH_ID_H_

#include <string_view>

namespace g2ll::data {

// The name that all releases have for one photograph: ISIC-2019 calls 2,025 of
// ISIC-2017's images `ISIC_x_downsampled`. Ids are compared by it, case and all,
// wherever one set is held against another.
constexpr std::string_view PhotographId(std::string_view id) {
  constexpr std::string_view kReduced = "_downsampled";
  if (id.ends_with(kReduced)) id.remove_suffix(kReduced.size());
  return id;
}

}  // namespace g2ll::data

#endif  // WORKER_DATA_PHOTOGRAPH_ID_H_
