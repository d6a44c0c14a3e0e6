#include "worker/report/page.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/report/chart.h"
#include "worker/report/html.h"
#include "worker/report/overlay_picture.h"
#include "worker/report/page_parts.h"

namespace g2ll::report {
namespace {

// More rows than this make the page slow; per_image.csv has them all.
constexpr size_t kMaxTableRows = 1000;

std::string Number(std::string_view name, const Summary& summary, std::string_view below) {
  return NumberCard(name, FormatFixed(summary.mean, 3),
                    absl::StrFormat("95 %% interval %s to %s<br>%s", FormatFixed(summary.ci_low, 3),
                                    FormatFixed(summary.ci_high, 3), below));
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

std::string IntervalText(const Summary& summary, int digits) {
  return absl::StrCat(FormatFixed(summary.ci_low, digits), " to ",
                      FormatFixed(summary.ci_high, digits));
}

std::string FurtherScores(const ReportInput& input) {
  const auto mean_row = [](std::string_view name, const Summary& summary, int digits) {
    return Row(
        "", {std::string(name), FormatFixed(summary.mean, digits), IntervalText(summary, digits)});
  };
  const PooledScores& pooled = input.pooled;
  const std::string rows = absl::StrCat(
      mean_row("Threshold Jaccard (IoU, 0 below 0.65)", input.threshold_jaccard, 3),
      mean_row("Threshold Jaccard, native", input.threshold_jaccard_native, 3),
      mean_row("HD95, native, pixels", input.hd95_native, 1),
      Row("", {"Pooled Dice / IoU",
               FormatFixed(pooled.dice, 3) + " / " + FormatFixed(pooled.iou, 3), "-"}),
      Row("",
          {"Pooled Dice / IoU, native",
           FormatFixed(pooled.dice_native, 3) + " / " + FormatFixed(pooled.iou_native, 3), "-"}));
  std::string note =
      "HD95 is the 95th percentile of the distances between both outlines. Pooled scores count "
      "all pixels of all images together, as some papers do, and are not comparable with means "
      "over images.";
  if (input.hd95_excluded > 0) {
    absl::StrAppend(&note, " HD95 leaves out ", input.hd95_excluded,
                    " images in which only one of prediction and truth has a lesion.");
  }
  return absl::StrCat(Element("h2", "", "Further scores"),
                      Table(HeadRow({"Score", "Value", "95 % interval"}), rows),
                      Element("p", "soft", note));
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
      "<figure class=\"card picture\">%s<figcaption>%s<br><b>Dice %s</b> "
      "<span class=\"soft\">IoU %s</span></figcaption></figure>\n",
      InlinePicture(absl::StrCat(thumbnail.score.id, " with both outlines"), thumbnail.png), id,
      FormatFixed(thumbnail.score.dice, 3), FormatFixed(thumbnail.score.iou, 3));
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

// How many images pre-training saw too, and the first few of them.
std::string OverlapSentence(const std::vector<std::string>& ids) {
  constexpr size_t kMaxNamed = 3;
  std::string named;
  for (size_t i = 0; i < std::min(kMaxNamed, ids.size()); ++i) {
    absl::StrAppend(&named, i == 0 ? "" : ", ", EscapeHtml(ids[i]));
  }
  return absl::StrCat(ids.size(), ids.size() == 1 ? " image" : " images",
                      " of this evaluation were seen (without masks) in pre-training: ", named,
                      ids.size() > kMaxNamed ? ", ..." : "", ".");
}

std::string Facts(const ReportInput& input) {
  std::string seen = "No pre-training stands in this model's history.";
  if (input.pretrain_disjoint_from_test) {
    seen = *input.pretrain_disjoint_from_test
               ? "No image of this evaluation was seen in pre-training."
               : OverlapSentence(input.pretrain_overlap);
  }
  return Element(
      "dl", "card",
      absl::StrCat(
          Fact("Data", EscapeHtml(input.data_source)),
          Fact("Split", absl::StrCat(EscapeHtml(input.split), ", ", input.images.size(),
                                     " images with masks")),
          Fact("Held out", seen),
          Fact("Checkpoint",
               Element("span", "mono", "SHA-256 " + EscapeHtml(input.checkpoint_sha256))),
          Fact("Protocol", absl::StrFormat("lesion where the probability exceeds %g, test-time "
                                           "augmentation %s, postprocessing %s",
                                           input.protocol.threshold, EscapeHtml(input.protocol.tta),
                                           EscapeHtml(input.protocol.postprocess))),
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
                     FormatFixed(score.dice_native, 3), FormatFixed(score.iou_native, 3),
                     FormatFixed(score.hd95_native, 1)});
  }
  const std::string head =
      HeadRow({"Image", "Dice", "IoU", "Dice, native", "IoU, native", "HD95, native"});
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
  const std::string body = absl::StrCat(
      Element("h1", "", EscapeHtml(input.title)),
      Element("p", "soft wrap",
              absl::StrCat(input.images.size(), " images of the ", EscapeHtml(input.split),
                           " split of ", EscapeHtml(input.data_source))),
      Numbers(input), Baselines(input), FurtherScores(input), Pictures(thumbnails),
      DiceHistogram(input), Curves(input),
      absl::StrCat(Phases(input), "<br>", Facts(input), ImageTable(input)));
  return Document(input.title, body);
}

}  // namespace g2ll::report
