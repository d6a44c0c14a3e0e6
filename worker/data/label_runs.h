#ifndef WORKER_DATA_LABEL_RUNS_H_
#define WORKER_DATA_LABEL_RUNS_H_

#include <cstdint>
#include <cstring>

namespace g2ll::data {

// End of the run of equal labels that starts at `begin`, within a row of `width`.
// Regions are wide, so four labels are compared at once.
inline int RunEnd(const uint16_t* row, int begin, int width) {
  const uint16_t label = row[begin];
  const uint64_t four = label * uint64_t{0x0001'0001'0001'0001};
  int end = begin + 1;
  for (uint64_t word = 0; end + 4 <= width; end += 4) {
    std::memcpy(&word, row + end, sizeof word);
    if (word != four) break;
  }
  while (end < width && row[end] == label) ++end;
  return end;
}

}  // namespace g2ll::data

#endif  // WORKER_DATA_LABEL_RUNS_H_
