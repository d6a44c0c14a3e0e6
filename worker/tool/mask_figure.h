#ifndef WORKER_TOOL_MASK_FIGURE_H_
#define WORKER_TOOL_MASK_FIGURE_H_

#include <string>
#include <vector>

#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::tool {

// One picture of a figure and what stands under it. ASCII only.
struct Panel {
  data::Image picture;
  std::string title;
  std::string note;  // a second line, smaller; may be empty
};

// Outlines each region in a color of its own, `width` pixels wide inside its border. With
// `only`, the regions that it names alone.
void OutlineRegions(const data::LabelMap& regions, int width, const std::vector<int>* only,
                    data::Image& image);

// Paints masked patches in even grey (128); the image's sides are multiples of `patch`.
void PaintMasked(const mask::PatchMask& mask, int patch, data::Image& image);

// The panels, all of one size, in a row on white, each with its text under it.
data::Image JoinPanels(const std::vector<Panel>& panels);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_MASK_FIGURE_H_
