#ifndef TESTS_GOLDEN_GOLDEN_CASE_H_
#define TESTS_GOLDEN_GOLDEN_CASE_H_

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace g2ll::golden {

// One case of the manifest: its stored tensors, tolerances and settings. What it
// is asked for and does not have is a std::runtime_error, which fails the case.
class GoldenCase {
 public:
  // Tensors by the names of the manifest's rows.
  using Lookup = std::function<torch::Tensor(const std::string&)>;

  // `manifest` outlives the object; `name` is a key of its `cases`.
  GoldenCase(const std::filesystem::path& directory, const nlohmann::json& manifest,
             const std::string& name);

  const nlohmann::json& config() const { return entry_.at("config"); }
  const std::string& salt() const { return salt_; }
  std::string Key(const std::string& name) const { return salt_ + name; }

  // A stored tensor that the case takes as given. It counts as looked at.
  torch::Tensor Input(const std::string& name);

  // Names of the rows of a stored tensor.
  std::vector<std::string> Rows(const std::string& name) const;

  // Compares one tensor, of any real dtype, with the stored one: shape and values.
  void Check(const std::string& name, const torch::Tensor& actual);
  void Check(const std::string& name, double actual);

  // Compares `name`.stats and `name`.samples with the tensors that `lookup` gives
  // for the rows.
  void CheckRows(const std::string& name, const Lookup& lookup);

  // To be called last: a stored tensor that nobody looked at is a failure.
  void CheckNothingIsLeft();

  const std::vector<std::string>& failures() const { return failures_; }
  size_t comparisons() const { return comparisons_; }

 private:
  const torch::Tensor& Stored(const std::string& name) const;
  bool IsSkipped(const std::string& row) const;
  void Compare(const std::string& name, const torch::Tensor& actual,
               const torch::Tensor& counted_rows);
  void Fail(const std::string& text) { failures_.push_back(name_ + ": " + text); }

  std::string name_;
  std::string salt_;
  const nlohmann::json& entry_;
  std::vector<std::string> skipped_suffixes_;
  std::map<std::string, torch::Tensor> tensors_;
  std::set<std::string> seen_;
  std::vector<std::string> failures_;
  size_t comparisons_ = 0;
};

}  // namespace g2ll::golden

#endif  // TESTS_GOLDEN_GOLDEN_CASE_H_
