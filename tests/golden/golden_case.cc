#include "tests/golden/golden_case.h"

#include <torch/torch.h>

#include <sstream>
#include <stdexcept>

#include "worker/checkpoint/tensor_file.h"

namespace g2ll::golden {
namespace {

// A row's tensor: whole, or for `NAME:q`, `:k`, `:v` a third of it.
torch::Tensor RowTensor(const GoldenCase::Lookup& lookup, const std::string& row) {
  const size_t colon = row.rfind(':');
  if (colon == std::string::npos) return lookup(row);
  const size_t part = std::string("qkv").find(row.substr(colon + 1));
  return lookup(row.substr(0, colon)).chunk(3)[part];
}

// sum, abs_sum, l2 in float64.
torch::Tensor StatsOf(const torch::Tensor& values) {
  return torch::stack({values.sum(), values.abs().sum(), values.norm()});
}

}  // namespace

GoldenCase::GoldenCase(const std::filesystem::path& directory, const nlohmann::json& manifest,
                       const std::string& name)
    : name_(name),
      salt_(manifest.at("salt").get<std::string>()),
      entry_(manifest.at("cases").at(name)),
      skipped_suffixes_(manifest.at("skip_rows_suffix").get<std::vector<std::string>>()) {
  auto tensors = checkpoint::LoadTensors(directory / entry_.at("file").get<std::string>());
  if (!tensors.ok()) throw std::runtime_error(std::string(tensors.status().message()));
  tensors_ = *std::move(tensors);
}

torch::Tensor GoldenCase::Input(const std::string& name) {
  seen_.insert(name);
  return Stored(name);
}

std::vector<std::string> GoldenCase::Rows(const std::string& name) const {
  const auto key = entry_.at("tensors").at(name).at("rows").get<std::string>();
  return entry_.at("rows").at(key).get<std::vector<std::string>>();
}

void GoldenCase::Check(const std::string& name, const torch::Tensor& actual) {
  Compare(name, actual, torch::Tensor());
}

void GoldenCase::Check(const std::string& name, double actual) {
  Check(name, torch::tensor(actual, torch::kFloat64));
}

void GoldenCase::CheckRows(const std::string& name, const Lookup& lookup) {
  const torch::Tensor index = Input(name + ".index").to(torch::kInt64);
  const std::vector<std::string> rows = Rows(name + ".stats");
  std::vector<torch::Tensor> stats;
  std::vector<torch::Tensor> samples;
  std::vector<bool> counted;
  for (size_t i = 0; i < rows.size(); ++i) {
    const torch::Tensor values =
        RowTensor(lookup, rows[i]).detach().cpu().reshape(-1).to(torch::kFloat64);
    stats.push_back(StatsOf(values));
    samples.push_back(values.index_select(0, index[static_cast<int64_t>(i)]));
    counted.push_back(!IsSkipped(rows[i]));
  }
  torch::Tensor mask = torch::empty({static_cast<int64_t>(rows.size()), 1}, torch::kBool);
  for (size_t i = 0; i < rows.size(); ++i) mask[static_cast<int64_t>(i)][0] = bool{counted[i]};
  Compare(name + ".stats", torch::stack(stats), mask);
  Compare(name + ".samples", torch::stack(samples), mask);
}

void GoldenCase::CheckNothingIsLeft() {
  for (const auto& [name, tensor] : tensors_) {
    if (!seen_.contains(name) && !name.ends_with(".tol")) Fail(name + " was not compared");
  }
}

const torch::Tensor& GoldenCase::Stored(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) throw std::runtime_error("no stored tensor " + name);
  return it->second;
}

bool GoldenCase::IsSkipped(const std::string& row) const {
  return std::any_of(skipped_suffixes_.begin(), skipped_suffixes_.end(),
                     [&](const std::string& suffix) { return row.ends_with(suffix); });
}

void GoldenCase::Compare(const std::string& name, const torch::Tensor& actual,
                         const torch::Tensor& counted_rows) {
  seen_.insert(name);
  ++comparisons_;
  const torch::Tensor expected = Stored(name).to(torch::kFloat64);
  const torch::Tensor given = actual.detach().cpu().to(torch::kFloat64);
  std::ostringstream text;
  text.precision(9);
  if (given.sizes() != expected.sizes()) {
    text << name << ": shape " << given.sizes() << " instead of " << expected.sizes();
    return Fail(text.str());
  }
  const nlohmann::json& tolerance = entry_.at("tensors").at(name).at("tolerance");
  const torch::Tensor allowed =
      tolerance.contains("tensor")
          ? Stored(tolerance.at("tensor").get<std::string>()).to(torch::kFloat64)
          : tolerance.at("atol").get<double>() +
                tolerance.at("rtol").get<double>() * expected.abs();
  const torch::Tensor gap = (given - expected).abs();
  torch::Tensor fits = gap <= allowed;  // false for NaN
  if (counted_rows.defined()) fits = fits.logical_or(counted_rows.logical_not());
  if (fits.all().item<bool>()) return;

  const torch::Tensor wrong = fits.logical_not().reshape(-1).nonzero().reshape(-1);
  const torch::Tensor excess = (gap - allowed).reshape(-1).index_select(0, wrong);
  const int64_t worst = wrong[excess.argmax()].item<int64_t>();
  text << name << ": " << wrong.numel() << " of " << given.numel() << " differ, worst at " << worst;
  if (counted_rows.defined()) {
    text << " (" << Rows(name)[static_cast<size_t>(worst / given.size(1))] << ")";
  }
  text << ": " << given.reshape(-1)[worst].item<double>() << " instead of "
       << expected.reshape(-1)[worst].item<double>() << ", allowed gap "
       << allowed.reshape(-1)[worst].item<double>();
  Fail(text.str());
}

}  // namespace g2ll::golden
