#ifndef WORKER_EVALUATE_POSTPROCESS_H_
#define WORKER_EVALUATE_POSTPROCESS_H_

#include "worker/data/image.h"

namespace g2ll::evaluate {

// Keeps the largest connected lesion and fills its holes; a dermoscopy picture shows
// one contiguous lesion (method section 6.2, rank 7).
//
// Lesion pixels are connected to their eight neighbours, skin pixels to their four,
// so a diagonal line of lesion encloses what lies behind it. A hole is skin, or a
// smaller lesion, from which no path leads to the border of the picture. Of several
// lesions of one size the first in row order stays. Without lesion: nothing changes.
void KeepLargestComponent(data::LesionMask& mask);

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_POSTPROCESS_H_
