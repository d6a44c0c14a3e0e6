#ifndef WORKER_REPORT_TRAINING_REPORT_H_
#define WORKER_REPORT_TRAINING_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/data/image.h"
#include "worker/report/patch_picture.h"
#include "worker/report/report.h"

namespace g2ll::report {

// One setting of a job.
struct Setting {
  std::string path;    // `mask.gamma`
  std::string value;   // as a job file has it
  std::string source;  // of the recipe's default, or why it is another one
  bool is_default = true;
};

// One view of an image as the student got it.
struct StudentView {
  data::Image input;  // after all random changes
  PatchPlan patches;
  // The input with the decoder's output in place of hidden patches; absent where the
  // method has no decoder.
  std::optional<data::Image> reconstruction;
};

// One image of the last pass over the data.
struct TrainingPicture {
  std::string image;  // id
  std::string note;   // for example its class; may be empty
  std::vector<StudentView> views;
};

// Everything that the report of a training run shows.
struct TrainingReport {
  std::string title;
  std::string method;  // `g2ll`, ...; `segmentation` for fine-tuning
  std::string data_source;
  std::string split;
  int64_t images = 0;                     // of the data set
  std::vector<std::string> excluded_ids;  // images that `data.excludeIds` left out
  RunHistory run;                         // with the curves
  std::string checkpoint;                 // the last one, relative to the storage root
  std::optional<int64_t> num_prototypes;  // K of the projection head, where there is one
  bool is_target_normalized = false;      // mim.normPix
  std::vector<TrainingPicture> pictures;
  std::vector<Overlay> overlays;  // masks on validation images, of fine-tuning
  std::vector<Setting> settings;  // all, in the order of a job file
  std::string settings_note;      // how to read their sources
};

// Writes report.html (one file, no network) and report.json into `directory`, which
// must exist and be empty. Errors: Unavailable (a file cannot be written; names it).
absl::Status WriteTrainingReport(const TrainingReport& report, const std::string& directory);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_TRAINING_REPORT_H_
