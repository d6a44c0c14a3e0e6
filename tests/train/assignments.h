#ifndef TESTS_TRAIN_ASSIGNMENTS_H_
#define TESTS_TRAIN_ASSIGNMENTS_H_

#include <string>

#include "g2ll/trainer/v1/trainer.pb.h"

namespace g2ll::test {

// A job of `recipe: smoke` on 48 generated images with all its defaults, on one
// CPU rank of one thread, in global batches of so many images.
trainer::v1::Assignment SmokePretrain(const std::string& storage_root, int batch = 8,
                                      v1::PretrainSpec::Method method = v1::PretrainSpec::G2LL);
trainer::v1::Assignment SmokeFinetune(const std::string& storage_root, int batch = 8);
trainer::v1::Assignment SmokeEvaluate(const std::string& storage_root, int batch = 8);

// Makes it rank `rank` of `world_size` that meet at the store on `port`.
void PlaceRank(trainer::v1::Assignment& assignment, int rank, int world_size, int port);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_ASSIGNMENTS_H_
