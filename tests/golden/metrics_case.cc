// metrics: scores of pairs of masks, and their two ways to one number.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "worker/metric/overlap.h"

namespace g2ll::golden {
namespace {

using Score = double (*)(const metric::OverlapCounts&);

double ThresholdJaccard(const metric::OverlapCounts& counts) {
  return metric::ThresholdJaccard(counts);
}

// [B] float64.
torch::Tensor Scores(const std::vector<metric::OverlapCounts>& images, Score score) {
  std::vector<double> values;
  for (const metric::OverlapCounts& counts : images) values.push_back(score(counts));
  return torch::tensor(values, torch::kFloat64);
}

}  // namespace

void CheckMetrics(GoldenCase& golden) {
  const std::vector<metric::OverlapCounts> images =
      metric::CountOverlap(golden.Input("pred"), golden.Input("truth"));
  const torch::Tensor dice = Scores(images, &metric::Dice);
  const torch::Tensor iou = Scores(images, &metric::IoU);
  golden.Check("dice", dice);
  golden.Check("iou", iou);
  golden.Check("mean", torch::stack({dice.mean(), iou.mean()}));
  golden.Check("threshold_jaccard", Scores(images, &ThresholdJaccard));
  const std::vector<metric::OverlapCounts> pool = {metric::Pool(images)};
  golden.Check("pooled", torch::cat({Scores(pool, &metric::Dice), Scores(pool, &metric::IoU)}));
  golden.Check("positive", metric::IsLesion(golden.Input("logits")));
}

}  // namespace g2ll::golden
