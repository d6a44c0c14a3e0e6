#ifndef WORKER_DATA_REGION_CONTRAST_H_
#define WORKER_DATA_REGION_CONTRAST_H_

#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/mask/region_map.h"

namespace g2ll::data {

// Fills in the contrast of every region of `regions` (method section 2.5): the mean
// distance in Lab of its patches' mean colors to the median color, channel by channel, of
// the patches at the border. A region without a patch of its own is measured by the mean
// color of its pixels. `pixels` is the label map of `image` that `regions` were made from;
// `patch` is the side of a patch in pixels. The same bits on every machine.
void MeasureContrast(const Image& image, const LabelMap& pixels, int patch,
                     mask::RegionMap& regions);

}  // namespace g2ll::data

#endif  // WORKER_DATA_REGION_CONTRAST_H_
