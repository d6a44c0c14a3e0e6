#ifndef WORKER_TOOL_SEGMENT_H_
#define WORKER_TOOL_SEGMENT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/evaluate/picture_segmenter.h"

namespace g2ll::tool {

struct SegmentOptions {
  evaluate::PictureOptions model;
  std::vector<std::string> pictures;  // files and folders
  std::string folder;                 // of what is written
  std::string masks;                  // folder of true masks; empty: none
  int batch = 16;                     // pictures in one forward pass, at least 1
  bool is_forced = false;             // write into a folder that is not empty
  std::string output = "table";       // or `json`
};

// Where a run tells of itself.
struct SegmentStreams {
  std::ostream& out;   // lines or one JSON object
  std::ostream& talk;  // what was skipped; the progress bar
  bool has_bar = false;
  int width = 80;  // of the terminal with the bar
};

// What became of the pictures.
struct SegmentOutcome {
  int segmented = 0;
  int failed = 0;  // pictures skipped and masks that could not be used, each named
};

// For every picture writes `NAME_segmentation.png` (0 or 255, the picture's size),
// `NAME_overlay.png` (the outlines on the picture, its longer side between 256 and 1024
// pixels) and a row of `segment.csv`: `image,width,height,area,confidence`, with masks
// also `dice,iou` at the picture's size. NAME is the picture's stem; see FindPictures
// for stems that occur twice. A row is written as soon as its picture is done.
//
// A picture that is not readable is named and skipped. The truth of a picture is
// `NAME.png`, else `NAME_segmentation.png` in `masks`; where there is none, that is said
// and the row's last fields stay empty, which is no failure; one that cannot be used
// (unreadable, of another size) is.
//
// Errors, before anything is written: InvalidArgument (nothing to segment, no such
// device or mask folder), AlreadyExists (a folder that is not empty), and those of
// PictureSegmenter::Load. Unavailable: a file cannot be written; what was done before
// stays.
absl::StatusOr<SegmentOutcome> SegmentPictures(const SegmentOptions& options,
                                               const SegmentStreams& streams);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_SEGMENT_H_
