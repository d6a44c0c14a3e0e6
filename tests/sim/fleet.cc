#include "tests/sim/fleet.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace g2ll::sim {
namespace {

std::string ReadToken(const std::string& storage_root) {
  std::ifstream file(storage_root + "/.g2ll-storage-token");
  std::string token;
  file >> token;
  return token;
}

v1::DataCheckResult AllIsFine(const v1::DataCheck&) {
  v1::DataCheckResult result;
  result.set_ok(true);
  result.set_message("simulated");
  result.set_digest("simulated");
  result.set_images(100);
  return result;
}

}  // namespace

Fleet::Fleet(Options options) {
  shared_.loop = &loop_;
  shared_.address = std::move(options.address);
  shared_.storage_token = ReadToken(options.storage_root);
  shared_.storage_root = std::move(options.storage_root);
  shared_.script = std::move(options.script);
  if (!shared_.script) {
    shared_.script = [](const v1::DesiredAttempt&) { return AttemptScript(); };
  }
  shared_.check_data = std::move(options.check_data);
  if (!shared_.check_data) {
    shared_.check_data = AllIsFine;
  }
  shared_.count = [this](const std::function<void(FleetCounts&)>& change) {
    absl::MutexLock lock(&mutex_);
    change(counts_);
  };
  shared_.attempt_finished = [this](const AttemptKey& key, int exit_code) {
    for (const auto& [name, worker] : workers_) {
      worker->Finish(key, exit_code);
    }
  };
}

Fleet::~Fleet() {
  loop_.Run([this] {
    for (const auto& [name, worker] : workers_) {
      worker->Die();
    }
  });
  loop_.WaitForCalls();
  // Channels end here, on a thread that is not one of gRPC's.
  loop_.Run([this] { workers_.clear(); });
}

void Fleet::Add(const SimWorkerOptions& options) {
  loop_.Run([&] {
    auto worker = std::make_shared<SimWorker>(&shared_, options);
    worker->Connect();
    workers_[options.name] = std::move(worker);
  });
}

void Fleet::AddMany(int count, const std::string& prefix, int32_t slots) {
  for (int i = 0; i < count; ++i) {
    Add({.name = absl::StrCat(prefix, i), .slots = slots});
  }
}

void Fleet::With(const std::string& worker, const std::function<void(SimWorker&)>& action) {
  loop_.Run([&] {
    const auto found = workers_.find(worker);
    if (found == workers_.end()) {
      std::fprintf(stderr, "the fleet has no worker %s\n", worker.c_str());
      std::abort();
    }
    action(*found->second);
  });
}

void Fleet::WithAll(const std::function<void(SimWorker&)>& action) {
  loop_.Run([&] {
    for (const auto& [name, worker] : workers_) {
      action(*worker);
    }
  });
}

void Fleet::Disconnect(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Disconnect(); });
}
void Fleet::Connect(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Connect(); });
}
void Fleet::Die(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Die(); });
}
void Fleet::Restart(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Restart(); });
}
void Fleet::Stall(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Stall(); });
}
void Fleet::Wake(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Wake(); });
}
void Fleet::Drain(const std::string& worker) {
  With(worker, [](SimWorker& found) { found.Drain(); });
}
void Fleet::DisconnectAll() {
  WithAll([](SimWorker& worker) { worker.Disconnect(); });
}
void Fleet::ConnectAll() {
  WithAll([](SimWorker& worker) { worker.Connect(); });
}
void Fleet::FailRank(const std::string& job, int32_t rank, int exit_code) {
  WithAll([&](SimWorker& worker) { worker.FailRank(job, rank, exit_code); });
}
void Fleet::Release(const std::string& job) {
  WithAll([&](SimWorker& worker) { worker.Release(job); });
}

absl::Status Fleet::Commit(const std::string& worker, const std::string& job_uid, int64_t epoch,
                           int64_t step) {
  absl::Status answer;
  absl::Notification done;
  With(worker, [&](SimWorker& found) {
    found.Commit(job_uid, epoch, step, [&](const absl::Status& status) {
      answer = status;
      done.Notify();
    });
  });
  done.WaitForNotification();
  return answer;
}

int Fleet::TrainingWorkers(const std::string& job) {
  int training = 0;
  WithAll([&](SimWorker& worker) {
    for (const auto& [key, attempt] : worker.attempts()) {
      training += attempt->wanted().job() == job && attempt->training() ? 1 : 0;
    }
  });
  return training;
}

int64_t Fleet::StepOf(const std::string& job) {
  int64_t step = 0;
  WithAll([&](SimWorker& worker) {
    for (const auto& [key, attempt] : worker.attempts()) {
      if (attempt->wanted().job() == job && attempt->has_rank_zero()) {
        step = std::max(step, attempt->step());
      }
    }
  });
  return step;
}

FleetCounts Fleet::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

bool Fleet::WaitFor(const std::function<bool(const FleetCounts&)>& property,
                    absl::Duration limit) const {
  const auto holds = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return property(counts_); };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&holds), limit);
}

}  // namespace g2ll::sim
