#ifndef WORKER_REPORT_REPORT_JSON_H_
#define WORKER_REPORT_REPORT_JSON_H_

#include <string>

#include "worker/report/report.h"

namespace g2ll::report {

// The text of report.json with the fields of the product surface. Numbers that
// are not finite are written as "NaN", "Infinity", "-Infinity".
std::string BuildReportJson(const ReportInput& input);

// The text of per_image.csv: `image,dice,iou,diceNative,iouNative`, then the further
// fields of ImageScore, a row an image in the input's order. Fields are quoted where
// commas, quotes or line ends need it; a distance that does not exist is `NaN`.
std::string BuildPerImageCsv(const ReportInput& input);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_REPORT_JSON_H_
