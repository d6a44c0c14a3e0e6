#include "worker/report/page.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/report/chart.h"
#include "worker/report/html.h"
#include "worker/report/overlay_picture.h"
#include "worker/report/page_style.h"

namespace g2ll::report {
namespace {

// More rows than this make the page slow; per_image.csv has them all.
constexpr size_t kMaxTableRows = 1000;

std::string Row(std::string_view css, std::initializer_list<std::string> cells) {
  std::string row;
  for (const std::string& cell : cells) {
    row += Element("td", "", cell);
  }
  return Element("tr", css, row) + "\n";
}

std::string HeadRow(std::initializer_list<std::string_view> names) {
  std::string row;
  for (const std::string_view name : names) {
    row += Element("th", "", name);
  }
  return Element("thead", "", Element("tr", "", row));
}

std::string Table(const std::string& head, const std::string& rows) {
  return Element("div", "card scroll", Element("table", "", head + Element("tbody", "", rows)));
}

std::string Number(std::string_view name, const Summary& summary, std::string_view below) {
  return Element(
      "div", "card number",
      absl::StrCat(
          Element("span", "name", name), Element("b", "", FormatFixed(summary.mean, 3)),
          Element("span", "soft",
                  absl::StrFormat("95 %% interval %s to %s<br>%s", FormatFixed(summary.ci_low, 3),
                                  FormatFixed(summary.ci_high, 3), below))));
}

std::string Numbers(const ReportInput& input) {
  const std::string network =
      absl::StrFormat("at %d x %d pixels", input.image_size, input.image_size);
  const std::string native = "at the images' own size";
  return Element(
      "div", "numbers",
      absl::StrCat(Number("Dice", input.dice, network), Number("IoU", input.iou, network),
                   Number("Dice, native", input.dice_native, native),
                   Number("IoU, native", input.iou_native, native)));
}

std::string ScoreCell(double value) {
  return absl::StrFormat("<meter min=\"0\" max=\"1\" value=\"%.4f\"></meter>%s", value,
                         FormatFixed(value, 3));
}

std::string BaselineRow(std::string_view name, const Baseline& baseline) {
  std::string label(name);
  if (!baseline.description.empty()) {
    absl::StrAppend(&label, " <span class=\"soft\">", EscapeHtml(baseline.description), "</span>");
  }
  return Row("", {label, ScoreCell(baseline.dice), ScoreCell(baseline.iou)});
}

std::string Baselines(const ReportInput& input) {
  const std::string rows = absl::StrCat(
      Row("own", {"This model", ScoreCell(input.dice.mean), ScoreCell(input.iou.mean)}),
      BaselineRow("Constant mask", input.constant_mask),
      BaselineRow("Centred ellipse", input.centered_ellipse));
  return absl::StrCat(
      Element("h2", "", "Against predictions that ignore the image"),
      Table(HeadRow({"Prediction", "Dice", "IoU"}), rows),
      Element("p", "soft",
              absl::StrCat("Means over the same ", input.images.size(), " images at network size. ",
                           EscapeHtml(input.baseline_note))));
}

bool StartsWith(const std::string& name, std::string_view prefix) {
  return std::string_view(name).substr(0, prefix.size()) == prefix;
}

// A chart of the run's series that `wanted` names; empty when it has none.
template <typename Predicate>
std::string RunChart(const RunHistory& run, std::string_view title, Predicate wanted,
                     std::optional<std::pair<double, double>> y_range) {
  LineChart chart{absl::StrCat(std::string(title), ", ", run.job), "step", {}, y_range};
  for (const auto& [name, points] : run.series) {
    if (!wanted(name) || points.empty() || chart.series.size() == 4) {
      continue;
    }
    ChartSeries series{name, {}};
    for (const auto& [step, value] : points) {
      series.points.emplace_back(static_cast<double>(step), value);
    }
    chart.series.push_back(std::move(series));
  }
  return chart.series.empty() ? "" : DrawLineChart(chart);
}

std::string Curves(const ReportInput& input) {
  std::string charts;
  for (const RunHistory& run : input.runs) {
    const std::string phase = run.kind == "PretrainJob" ? "Pre-training" : "Fine-tuning";
    absl::StrAppend(
        &charts,
        RunChart(
            run, phase + " loss",
            // In fine-tuning `loss/segmentation` is `loss` under another name.
            [](const std::string& name) {
              return name == "loss" || (StartsWith(name, "loss/") && name != "loss/segmentation");
            },
            std::pair(0.0, 0.0)),
        RunChart(
            run, "Validation", [](const std::string& name) { return StartsWith(name, "val/"); },
            std::pair(0.0, 1.0)));
  }
  return charts.empty() ? ""
                        : absl::StrCat(Element("h2", "", "How it was trained"),
                                       Element("div", "charts", charts));
}

std::string DiceHistogram(const ReportInput& input) {
  Histogram histogram;
  histogram.title = "How many images have which Dice";
  histogram.x_label = "Dice of an image at network size";
  histogram.y_label = "images";
  histogram.marker = input.dice.mean;
  histogram.marker_label = "mean " + FormatFixed(input.dice.mean, 3);
  for (const ImageScore& score : input.images) {
    histogram.values.push_back(score.dice);
  }
  return absl::StrCat(Element("h2", "", "Spread over the images"),
                      Element("div", "charts", DrawHistogram(histogram)));
}

std::string Picture(const Thumbnail& thumbnail) {
  const std::string id = EscapeHtml(thumbnail.score.id);
  return absl::StrFormat(
      "<figure class=\"card picture\"><img alt=\"%s with both outlines\" "
      "src=\"data:image/png;base64,%s\"><figcaption>%s<br><b>Dice %s</b> "
      "<span class=\"soft\">IoU %s</span></figcaption></figure>\n",
      id, Base64(thumbnail.png), id, FormatFixed(thumbnail.score.dice, 3),
      FormatFixed(thumbnail.score.iou, 3));
}

std::string Pictures(const std::vector<Thumbnail>& thumbnails) {
  if (thumbnails.empty()) {
    return "";
  }
  std::string html = Element("h2", "", "Pictures");
  absl::StrAppendFormat(&html,
                        "<p class=\"legend\"><span><i class=\"key\" style=\"background:%s\"></i>"
                        "outline drawn by a person</span><span><i class=\"key\" "
                        "style=\"background:%s\"></i>outline of this model</span></p>\n",
                        kTruthColor, kPredictionColor);
  const std::pair<OverlayGroup, std::string_view> groups[] = {{OverlayGroup::kBest, "Best"},
                                                              {OverlayGroup::kMiddle, "Middle"},
                                                              {OverlayGroup::kWorst, "Worst"}};
  for (const auto& [group, name] : groups) {
    std::string pictures;
    for (const Thumbnail& thumbnail : thumbnails) {
      if (thumbnail.group == group) {
        pictures += Picture(thumbnail);
      }
    }
    if (!pictures.empty()) {
      absl::StrAppend(&html, Element("h3", "", name), Element("div", "pictures", pictures));
    }
  }
  return html;
}

std::string Phases(const ReportInput& input) {
  std::string rows;
  for (const RunHistory& run : input.runs) {
    rows += Row("", {PhaseName(run.kind), EscapeHtml(run.job), FormatDuration(run.seconds),
                     absl::StrCat(run.images), FormatFixed(run.images_per_second, 1)});
  }
  return absl::StrCat(Element("h2", "", "What was run"),
                      Table(HeadRow({"Phase", "Job", "Time", "Images", "Images/s"}), rows));
}

std::string Fact(std::string_view name, std::string_view value) {
  return absl::StrCat(Element("dt", "", name), Element("dd", "", value));
}

std::string Facts(const ReportInput& input) {
  std::string seen = "No pre-training stands in this model's history.";
  if (input.pretrain_disjoint_from_test) {
    seen = *input.pretrain_disjoint_from_test
               ? "No image of this evaluation was seen in pre-training."
               : "Some images of this evaluation were seen (without masks) in pre-training.";
  }
  return Element(
      "dl", "card",
      absl::StrCat(Fact("Data", EscapeHtml(input.data_source)),
                   Fact("Split", absl::StrCat(EscapeHtml(input.split), ", ", input.images.size(),
                                              " images with masks")),
                   Fact("Held out", seen),
                   Fact("Checkpoint",
                        Element("span", "mono", "SHA-256 " + EscapeHtml(input.checkpoint_sha256))),
                   Fact("Scores",
                        "Dice and IoU are taken per image and then averaged; the "
                        "intervals are percentile bootstraps over images.")));
}

std::string ImageTable(const ReportInput& input) {
  std::vector<const ImageScore*> order;
  for (const ImageScore& score : input.images) {
    order.push_back(&score);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const ImageScore* a, const ImageScore* b) { return a->dice < b->dice; });
  std::string rows;
  for (size_t i = 0; i < std::min(order.size(), kMaxTableRows); ++i) {
    const ImageScore& score = *order[i];
    rows += Row("", {EscapeHtml(score.id), FormatFixed(score.dice, 3), FormatFixed(score.iou, 3),
                     FormatFixed(score.dice_native, 3), FormatFixed(score.iou_native, 3)});
  }
  const std::string head = HeadRow({"Image", "Dice", "IoU", "Dice, native", "IoU, native"});
  return absl::StrCat(
      Element("h2", "", "Every image"),
      Element("details", "card",
              absl::StrCat(
                  Element("summary", "", "Scores, worst first"),
                  Element("div", "scroll", Element("table", "", head + Element("tbody", "", rows))),
                  Element("p", "soft", "The same numbers stand in per_image.csv."))));
}

}  // namespace

std::string PhaseName(const std::string& kind) {
  if (kind == "PretrainJob") {
    return "pretrain";
  }
  if (kind == "FinetuneJob") {
    return "finetune";
  }
  return kind == "EvaluateJob" ? "evaluate" : kind;
}

std::string BuildPage(const ReportInput& input, const std::vector<Thumbnail>& thumbnails) {
  const std::string title = EscapeHtml(input.title);
  const std::string body = absl::StrCat(
      Element("h1", "", title),
      Element("p", "soft wrap",
              absl::StrCat(input.images.size(), " images of the ", EscapeHtml(input.split),
                           " split of ", EscapeHtml(input.data_source))),
      Numbers(input), Baselines(input), Pictures(thumbnails), DiceHistogram(input), Curves(input),
      absl::StrCat(Phases(input), "<br>", Facts(input), ImageTable(input)));
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
      Element("title", "", title), "\n", Element("style", "", kPageStyle), "\n</head>\n<body>\n",
      Element("main", "", body), "\n</body>\n</html>\n");
}

}  // namespace g2ll::report
