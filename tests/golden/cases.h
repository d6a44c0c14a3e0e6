#ifndef TESTS_GOLDEN_CASES_H_
#define TESTS_GOLDEN_CASES_H_

#include "tests/golden/golden_case.h"

namespace g2ll::golden {

// Each recomputes one case of the golden data with the product's code and
// compares every stored tensor. A new case is one file and one line in
// golden_test.cc.
void CheckFormula(GoldenCase& golden);
void CheckVit(GoldenCase& golden);
void CheckVisible(GoldenCase& golden);
void CheckMae(GoldenCase& golden);
void CheckMaeStep(GoldenCase& golden);
void CheckHead(GoldenCase& golden);
void CheckG2ll(GoldenCase& golden);
void CheckDino(GoldenCase& golden);
void CheckSeg(GoldenCase& golden);
void CheckMasking(GoldenCase& golden);
void CheckClassify(GoldenCase& golden);
void CheckLosses(GoldenCase& golden);
void CheckPos(GoldenCase& golden);
void CheckSchedules(GoldenCase& golden);
void CheckMetrics(GoldenCase& golden);

}  // namespace g2ll::golden

#endif  // TESTS_GOLDEN_CASES_H_
