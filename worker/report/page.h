#ifndef WORKER_REPORT_PAGE_H_
#define WORKER_REPORT_PAGE_H_

#include <string>
#include <vector>

#include "worker/report/report.h"

namespace g2ll::report {

// A picture as it stands in the page.
struct Thumbnail {
  OverlayGroup group = OverlayGroup::kMiddle;
  ImageScore score;
  std::string png;  // file bytes
};

// `PretrainJob` -> `pretrain` and so on; what report.json calls the phase.
std::string PhaseName(const std::string& kind);

// The whole of report.html: one file, style and pictures inside, no scripts, nothing
// from a network. All text that comes from outside is escaped.
std::string BuildPage(const ReportInput& input, const std::vector<Thumbnail>& thumbnails);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_PAGE_H_
