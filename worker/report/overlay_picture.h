#ifndef WORKER_REPORT_OVERLAY_PICTURE_H_
#define WORKER_REPORT_OVERLAY_PICTURE_H_

#include "worker/data/image.h"

namespace g2ll::report {

// Colours of the contours, as in a style sheet. Sky blue and yellow: told apart
// with every kind of colour blindness, and by brightness alone.
inline constexpr char kTruthColor[] = "#56b4e9";
inline constexpr char kPredictionColor[] = "#f0e442";

// The image with the outline of the truth and of the prediction on it, each with
// a dark rim so that it shows on light skin. Masks have the image's size; an
// empty `truth` (height 0) is left out. The picture is scaled so that its longer
// side lies between `min_side` and `max_side` pixels; lines are drawn afterwards.
data::Image DrawOverlay(const data::Image& image, const data::LesionMask& truth,
                        const data::LesionMask& prediction, int min_side, int max_side);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_OVERLAY_PICTURE_H_
