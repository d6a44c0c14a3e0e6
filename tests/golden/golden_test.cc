// Compares the product's numbers with golden data that an independent reference
// computed: golden_test [--only CASE,CASE...] [--device cpu|cuda] DIR
//
// Everything comes from DIR/manifest.json. A case of the manifest that this
// program does not know is a failure, and so is a stored tensor that was not
// compared, or a manifest without any case. Exit code 0 when everything agrees, 1
// when not, 2 for wrong usage, 77 where there is no GPU for --device cuda.

#include <torch/torch.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "worker/dist/cuda_backend.h"

namespace g2ll::golden {
namespace {

using CaseFunction = void (*)(GoldenCase&);

const std::map<std::string, CaseFunction>& KnownCases() {
  static const std::map<std::string, CaseFunction> cases = {
      {"formula", &CheckFormula},   {"vit", &CheckVit},
      {"visible", &CheckVisible},   {"mae", &CheckMae},
      {"head", &CheckHead},         {"g2ll", &CheckG2ll},
      {"mae_step", &CheckMaeStep},  {"dino", &CheckDino},
      {"seg", &CheckSeg},           {"masking", &CheckMasking},
      {"classify", &CheckClassify}, {"losses", &CheckLosses},
      {"pos", &CheckPos},           {"schedules", &CheckSchedules},
      {"metrics", &CheckMetrics}};
  return cases;
}

bool RunCase(const std::filesystem::path& directory, const nlohmann::json& manifest,
             const std::string& name) {
  const auto known = KnownCases().find(name);
  if (known == KnownCases().end()) {
    std::cout << "FAIL " << name << ": this program does not know the case\n";
    return false;
  }
  try {
    GoldenCase golden(directory, manifest, name);
    known->second(golden);
    golden.CheckNothingIsLeft();
    for (const std::string& failure : golden.failures()) std::cout << "FAIL " << failure << "\n";
    if (!golden.failures().empty()) return false;
    std::cout << "ok   " << name << ": " << golden.comparisons() << " tensors\n";
    return true;
  } catch (const std::exception& error) {
    std::cout << "FAIL " << name << ": " << error.what() << "\n";
    return false;
  }
}

int Run(const std::filesystem::path& directory, const std::set<std::string>& only) {
  std::ifstream stream(directory / "manifest.json");
  const nlohmann::json manifest = nlohmann::json::parse(stream, nullptr, false);
  if (!manifest.is_object() || !manifest.contains("cases")) {
    std::cerr << (directory / "manifest.json").string() << ": is not a manifest\n";
    return 2;
  }
  torch::set_num_threads(2);  // as the reference
  bool passed = true;
  std::set<std::string> found;
  for (const auto& [name, entry] : manifest.at("cases").items()) {
    found.insert(name);
    if (only.empty() || only.contains(name)) passed = RunCase(directory, manifest, name) && passed;
  }
  if (found.empty()) {
    std::cout << "FAIL the manifest has no case\n";
    passed = false;
  }
  for (const std::string& name : only) {
    if (found.contains(name)) continue;
    std::cout << "FAIL " << name << ": not in the manifest\n";
    passed = false;
  }
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace g2ll::golden

int main(int argc, char** argv) {
  const std::string usage = "usage: golden_test [--only CASE,CASE...] [--device cpu|cuda] DIR\n";
  std::set<std::string> only;
  int next = 1;
  for (; next + 2 < argc; next += 2) {
    const std::string option = argv[next];
    const std::string value = argv[next + 1];
    if (option == "--only") {
      std::istringstream names(value);
      for (std::string name; std::getline(names, name, ',');) only.insert(name);
    } else if (option == "--device" && value == "cuda") {
      const absl::Status status = g2ll::dist::LoadCudaBackend(/*device_index=*/0);
      if (!status.ok()) {
        std::cerr << status.message() << "\n";
        return 77;
      }
      g2ll::golden::UseDevice(torch::kCUDA);
    } else if (option != "--device" || value != "cpu") {
      std::cerr << usage;
      return 2;
    }
  }
  if (argc != next + 1) {
    std::cerr << usage;
    return 2;
  }
  return g2ll::golden::Run(argv[next], only);
}
