#include "worker/report/training_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/common/status_macros.h"
#include "worker/data/image_codec.h"
#include "worker/report/chart.h"
#include "worker/report/html.h"
#include "worker/report/overlay_picture.h"
#include "worker/report/page_parts.h"

namespace g2ll::report {
namespace {

// Sides of pictures in the page, in pixels.
constexpr int kPatchPictureSide = 256;
constexpr int kOverlaySide = 256;
// Ids that a page lists; report.json has them all.
constexpr size_t kMaxListedIds = 1000;

// How a metric is shown. Those that are not here get their own name and no words.
struct MetricText {
  std::string_view name, title, meaning;
};
constexpr std::array kMetrics = {
    MetricText{"loss", "Loss", "what is minimised: the weighted sum of its parts"},
    MetricText{"loss/mim", "Reconstruction loss", "error of the decoder on hidden patches"},
    MetricText{"loss/distill", "Self-distillation loss",
               "cross entropy between teacher and student, in nats"},
    MetricText{"loss/ibot", "Patch distillation loss",
               "the same for hidden patches of one view, in nats"},
    MetricText{"loss/koleo", "KoLeo loss", "low where class features are spread out"},
    MetricText{"loss/bce", "Cross entropy", "of the pixels, in nats"},
    MetricText{"loss/dice", "Dice loss", ""},
    MetricText{"teacher_entropy", "Teacher entropy", "of the centred, sharpened output, in nats"},
    MetricText{"val/balanced_accuracy", "Balanced accuracy", "mean recall over the classes"},
    MetricText{"val/dice", "Dice on validation images", "mean over the images"},
    MetricText{"val/iou", "IoU on validation images", "mean over the images"},
    MetricText{"teacher_student_kl", "Teacher against student", "KL divergence, in nats"},
    MetricText{"feature_std", "Spread of the features",
               "deviation of the student's normalised class features; healthy about 1 over the "
               "root of their width, near 0 all images look the same to it"},
    MetricText{"center_norm", "Length of the centre", "of the teacher's logits"},
    MetricText{"accuracy", "Accuracy", "on the training batch"},
    MetricText{"val/accuracy", "Accuracy on validation images", ""},
    MetricText{"lr", "Learning rate", ""},
    MetricText{"grad_norm", "Gradient norm", "of all gradients together, before clipping"},
    MetricText{"grad_norm/mim", "Gradient norm, reconstruction", "of this loss on the encoder"},
    MetricText{"grad_norm/distill", "Gradient norm, self-distillation",
               "of this loss on the encoder"},
    MetricText{"images_per_second", "Images per second", "over all ranks"},
};

using Points = std::vector<std::pair<int64_t, double>>;

// What stands under a curve, as the method makes it.
std::string MeaningOf(const MetricText& metric, const TrainingReport& report) {
  if (metric.name == "teacher_entropy" && report.num_prototypes) {
    return absl::StrFormat("%s; near 0 or near ln %d = %.3f the teacher has collapsed",
                           std::string(metric.meaning), *report.num_prototypes,
                           std::log(static_cast<double>(*report.num_prototypes)));
  }
  if (metric.name == "loss/mim" && report.is_target_normalized) {
    return absl::StrCat(std::string(metric.meaning),
                        ", each normalised by its own mean and "
                        "variance");
  }
  return std::string(metric.meaning);
}

std::optional<std::pair<double, double>> RangeOf(std::string_view name,
                                                 const TrainingReport& report) {
  if (name == "teacher_entropy" && report.num_prototypes) {
    return std::pair(0.0, std::log(static_cast<double>(*report.num_prototypes)));
  }
  if (name.substr(0, 4) == "val/") return std::pair(0.0, 1.0);
  return std::pair(0.0, 0.0);
}

std::string Chart(const MetricText& metric, const Points& points, const TrainingReport& report) {
  const std::string meaning = MeaningOf(metric, report);
  LineChart chart{std::string(metric.title), "step", {}, RangeOf(metric.name, report)};
  ChartSeries series{std::string(metric.name), {}};
  for (const auto& [step, value] : points) {
    series.points.emplace_back(static_cast<double>(step), value);
  }
  chart.series.push_back(std::move(series));
  chart.note = meaning;
  return DrawLineChart(chart);
}

std::string Charts(const TrainingReport& report) {
  std::map<std::string, Points> rest = report.run.series;
  // These are `loss` under another name.
  rest.erase("loss/segmentation");
  rest.erase("loss/classification");
  std::string charts;
  for (const MetricText& metric : kMetrics) {
    const auto found = rest.find(std::string(metric.name));
    if (found == rest.end()) continue;
    if (!found->second.empty()) charts += Chart(metric, found->second, report);
    rest.erase(found);
  }
  for (const auto& [name, points] : rest) {
    if (!points.empty()) charts += Chart({name, name, ""}, points, report);
  }
  if (charts.empty()) return "";
  return absl::StrCat(Element("h2", "", "How it was trained"), Element("div", "charts", charts));
}

// The newest value of a curve as text; `-` where there is none.
std::string Newest(const RunHistory& run, const std::string& name, int digits) {
  const auto found = run.series.find(name);
  if (found == run.series.end() || found->second.empty()) return "-";
  return FormatFixed(found->second.back().second, digits);
}

std::string Numbers(const TrainingReport& report) {
  const RunHistory& run = report.run;
  std::string cards = NumberCard("Loss", Newest(run, "loss", 4), "at the end");
  for (const auto& [name, title] : {std::pair("val/dice", "Dice"), std::pair("val/iou", "IoU"),
                                    std::pair("val/balanced_accuracy", "Balanced accuracy")}) {
    if (run.series.contains(name)) {
      cards += NumberCard(title, Newest(run, name, 3), "on validation images, at the end");
    }
  }
  absl::StrAppend(&cards, NumberCard("Time", FormatDuration(run.seconds), "of training"),
                  NumberCard("Images", absl::StrCat(run.images),
                             absl::StrCat(FormatFixed(run.images_per_second, 1), " a second")));
  return Element("div", "numbers", cards);
}

// One sentence where self-distillation ended without telling images apart.
std::string Collapse(const TrainingReport& report) {
  const auto found = report.run.series.find("teacher_entropy");
  if (!report.num_prototypes || found == report.run.series.end() || found->second.empty()) {
    return "";
  }
  const double entropy = found->second.back().second;
  const double uniform = std::log(static_cast<double>(*report.num_prototypes));
  if (!(entropy < 0.05 || entropy > 0.99 * uniform)) return "";
  return Element("p", "card warning",
                 absl::StrFormat("The teacher has collapsed: at the end it gives %s (entropy %.3f "
                                 "of at most %.3f nats).",
                                 entropy > 0.05 ? "all prototypes the same weight"
                                                : "one prototype nearly all the weight",
                                 entropy, uniform));
}

absl::StatusOr<std::string> Panel(const data::Image& image, std::string_view alt,
                                  std::string_view caption) {
  G2LL_ASSIGN_OR_RETURN(const std::string png, data::EncodePng(image));
  return Element("div", "panel",
                 absl::StrCat(InlinePicture(alt, png), Element("span", "soft", caption)));
}

bool HidesPatches(const StudentView& view) {
  return std::find(view.patches.masked.begin(), view.patches.masked.end(), true) !=
         view.patches.masked.end();
}

// The pictures of one view, side by side.
absl::StatusOr<std::string> Panels(const StudentView& view, const std::string& name,
                                   const std::string& ordinal) {
  const data::Image input = Enlarge(view.input, kPatchPictureSide);
  G2LL_ASSIGN_OR_RETURN(std::string panels, Panel(input, name, ordinal));
  const bool has_regions = !view.patches.regions.empty();
  if (HidesPatches(view) || has_regions) {
    const std::string what = has_regions ? "regions, hidden patches" : "hidden patches";
    G2LL_ASSIGN_OR_RETURN(const std::string panel,
                          Panel(DrawPatches(input, view.patches),
                                absl::StrCat(name, ", ", what, ": hidden ones are grey"), what));
    panels += panel;
  }
  if (view.reconstruction) {
    G2LL_ASSIGN_OR_RETURN(
        const std::string panel,
        Panel(Enlarge(*view.reconstruction, kPatchPictureSide),
              absl::StrCat(name, ", hidden patches filled by the decoder"), "reconstruction"));
    panels += panel;
  }
  return panels;
}

absl::StatusOr<std::string> Picture(const TrainingPicture& picture) {
  std::string panels;
  int num_panels = 0;
  for (size_t i = 0; i < picture.views.size(); ++i) {
    const StudentView& view = picture.views[i];
    const std::string ordinal = picture.views.size() == 1 ? "view" : absl::StrCat("view ", i + 1);
    G2LL_ASSIGN_OR_RETURN(const std::string of_view,
                          Panels(view, absl::StrCat(picture.image, ", ", ordinal), ordinal));
    panels += of_view;
    num_panels = 1 + ((HidesPatches(view) || !view.patches.regions.empty()) ? 1 : 0) +
                 (view.reconstruction ? 1 : 0);
  }
  if (num_panels == 1) num_panels = static_cast<int>(picture.views.size());
  std::string caption = EscapeHtml(picture.image);
  if (!picture.note.empty()) {
    absl::StrAppend(&caption, " ", Element("span", "soft", EscapeHtml(picture.note)));
  }
  return absl::StrCat("<figure class=\"card strip\">",
                      Element("div", absl::StrCat("panels p", num_panels), panels),
                      Element("figcaption", "", caption), "</figure>\n");
}

absl::StatusOr<std::string> Pictures(const TrainingReport& report) {
  if (report.pictures.empty()) return "";
  std::string figures;
  bool is_reconstructed = false, has_regions = false, hides = false;
  size_t num_views = 0;
  for (const TrainingPicture& picture : report.pictures) {
    G2LL_ASSIGN_OR_RETURN(const std::string figure, Picture(picture));
    figures += figure;
    num_views = std::max(num_views, picture.views.size());
    for (const StudentView& view : picture.views) {
      is_reconstructed |= view.reconstruction.has_value();
      has_regions |= !view.patches.regions.empty();
      hides |= HidesPatches(view);
    }
  }
  std::string note = "Images of the last pass over the data, after their random changes.";
  if (hides) note += " Grey patches were hidden from the student.";
  if (has_regions) note += " Yellow lines part the superpixel regions.";
  if (is_reconstructed) {
    note += report.is_target_normalized
                ? " The decoder predicts patches that are normalised by their own mean and "
                  "variance (mim.normPix); in its pictures they got the mean and variance of the "
                  "hidden patch back, which it does not know."
                : " In the reconstruction only the hidden patches are the decoder's.";
  }
  const bool is_small = num_views == 1 && !hides && !has_regions;
  return absl::StrCat(Element("h2", "", "What the student saw"), Element("p", "soft", note),
                      Element("div", is_small ? "pictures" : "strips", figures));
}

absl::StatusOr<std::string> ValidationPictures(const TrainingReport& report) {
  if (report.overlays.empty()) return "";
  std::string figures;
  for (const Overlay& overlay : report.overlays) {
    G2LL_ASSIGN_OR_RETURN(
        const std::string png,
        data::EncodePng(DrawOverlay(overlay.image, overlay.truth, overlay.prediction, kOverlaySide,
                                    kOverlaySide)));
    absl::StrAppend(
        &figures, "<figure class=\"card picture\">",
        InlinePicture(overlay.score.id + " with both outlines", png),
        Element("figcaption", "",
                absl::StrCat(EscapeHtml(overlay.score.id), "<br><b>Dice ",
                             FormatFixed(overlay.score.dice, 3), "</b> ",
                             Element("span", "soft", "IoU " + FormatFixed(overlay.score.iou, 3)))),
        "</figure>\n");
  }
  return absl::StrCat(Element("h2", "", "On validation images"),
                      Element("p", "soft", "Blue: the truth. Yellow: the prediction."),
                      Element("div", "pictures", figures));
}

std::string SettingRow(const Setting& setting) {
  const std::string value = setting.value.empty() ? "-" : EscapeHtml(setting.value);
  return Row(setting.is_default ? "" : "own",
             {Element("span", "mono", EscapeHtml(setting.path)), Element("span", "mono", value),
              EscapeHtml(setting.source)});
}

std::string Settings(const TrainingReport& report) {
  if (report.settings.empty()) return "";
  std::string changed, all;
  for (const Setting& setting : report.settings) {
    const std::string row = SettingRow(setting);
    all += row;
    if (!setting.is_default) changed += row;
  }
  const std::string head = HeadRow({"Setting", "Value", "Source"});
  const std::string own =
      changed.empty() ? Element("p", "", "All settings are the recipe's.")
                      : absl::StrCat(Element("p", "soft", "Other than the recipe's defaults:"),
                                     Element("div", "settings", Table(head, changed)), "<br>");
  return absl::StrCat(
      Element("h2", "", "Settings"), own,
      Element("details", "card",
              absl::StrCat(Element("summary", "", "All settings with their sources"),
                           Element("p", "soft", EscapeHtml(report.settings_note)),
                           Element("div", "scroll settings",
                                   Element("table", "", head + Element("tbody", "", all))))));
}

std::string DataFacts(const TrainingReport& report) {
  std::string excluded = "none";
  if (!report.excluded_ids.empty()) {
    std::string ids;
    for (size_t i = 0; i < std::min(report.excluded_ids.size(), kMaxListedIds); ++i) {
      absl::StrAppend(&ids, i == 0 ? "" : " ", EscapeHtml(report.excluded_ids[i]));
    }
    if (report.excluded_ids.size() > kMaxListedIds) ids += " and so on, see report.json";
    excluded = absl::StrCat(
        report.excluded_ids.size(), " images",
        Element("details", "inline",
                Element("summary", "", "their ids") + Element("div", "mono wrap", ids)));
  }
  return absl::StrCat(
      Element("h2", "", "Data"),
      Element(
          "dl", "card",
          absl::StrCat(
              Fact("Source", EscapeHtml(report.data_source)),
              Fact("Images", absl::StrCat(report.images, " of split ", EscapeHtml(report.split))),
              Fact("Left out by data.excludeIds", excluded),
              report.checkpoint.empty()
                  ? ""
                  : Fact("Checkpoint", Element("span", "mono", EscapeHtml(report.checkpoint))))));
}

}  // namespace

absl::StatusOr<std::string> BuildTrainingPage(const TrainingReport& report) {
  G2LL_ASSIGN_OR_RETURN(const std::string pictures, Pictures(report));
  G2LL_ASSIGN_OR_RETURN(const std::string validation, ValidationPictures(report));
  const std::string body =
      absl::StrCat(Element("h1", "", EscapeHtml(report.title)),
                   Element("p", "soft wrap",
                           absl::StrCat("Method ", EscapeHtml(report.method), ", ", report.images,
                                        " images of the ", EscapeHtml(report.split), " split of ",
                                        EscapeHtml(report.data_source))),
                   Numbers(report), Collapse(report), pictures, validation, Charts(report),
                   Settings(report), DataFacts(report));
  return Document(report.title, body);
}

}  // namespace g2ll::report
