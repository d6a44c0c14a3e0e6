#include "worker/data/superpixel_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

namespace fs = std::filesystem;

// A small picture and its regions, different for every number.
struct Sample {
  explicit Sample(uint64_t index) : image(SyntheticImage({1, index, 32})) {
    key = SuperpixelCache::KeyOf(image, {});
    map = SlicRegions(image, {});
  }
  Image image;
  std::string key;
  LabelMap map;
};

std::unique_ptr<SuperpixelCache> OpenCache(const std::string& folder,
                                           int64_t max_bytes = int64_t{1} << 20) {
  auto cache = SuperpixelCache::Open(folder, max_bytes);
  EXPECT_TRUE(cache.ok()) << cache.status();
  return *std::move(cache);
}

std::string EntryPath(const std::string& folder, const std::string& key) {
  return folder + "/" + key.substr(0, 2) + "/" + key + ".spx";
}

std::vector<fs::path> Files(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) files.push_back(file.path());
  }
  return files;
}

int64_t Bytes(const std::string& folder) {
  int64_t bytes = 0;
  for (const fs::path& file : Files(folder)) bytes += static_cast<int64_t>(fs::file_size(file));
  return bytes;
}

std::vector<fs::path> TemporaryFiles(const std::string& folder) {
  std::vector<fs::path> files = Files(folder);
  std::erase_if(files, [](const fs::path& file) { return file.extension() == ".spx"; });
  return files;
}

// Runs `work` in a process of its own and returns how that ended, as waitpid tells.
template <typename Work>
pid_t Fork(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  EXPECT_GT(child, 0);
  return child;
}

int WaitFor(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

// A child that is killed by the kernel when the file it writes reaches `bytes`.
void StoreUntilCutOff(const std::string& folder, const Sample& sample, rlim_t bytes) {
  const pid_t child = Fork([&] {
    const auto cache = OpenCache(folder);
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    const rlimit limit = {bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    cache->Store(sample.key, sample.map);
  });
  const int status = WaitFor(child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(WTERMSIG(status), SIGXFSZ);
}

TEST(LabelMapFileTest, ComesBackAsItWasAndDamageIsNoticed) {
  const LabelMap map = SlicRegions(SyntheticImage({1, 2, 64}), {});
  const std::string bytes = EncodeLabelMap(map);
  ASSERT_TRUE(DecodeLabelMap(bytes).has_value());
  EXPECT_EQ(DecodeLabelMap(bytes)->labels, map.labels);
  for (size_t at = 0; at < bytes.size(); at += 5) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(DecodeLabelMap(damaged).has_value()) << at;
    EXPECT_FALSE(DecodeLabelMap(bytes.substr(0, at)).has_value()) << at;
  }
}

TEST(SuperpixelCacheTest, FindsWhatWasStoredUnderTheSamePixelsOnly) {
  const test::TemporaryFolder folder;
  const auto cache = OpenCache(folder / "a/b");
  const Sample sample(5);
  EXPECT_FALSE(cache->Find(sample.key).has_value());

  cache->Store(sample.key, sample.map);

  ASSERT_TRUE(cache->Find(sample.key).has_value());
  EXPECT_EQ(cache->Find(sample.key)->labels, sample.map.labels);
  Image changed = sample.image;
  changed.pixels[100] ^= 1;
  EXPECT_NE(SuperpixelCache::KeyOf(changed, {}), sample.key);
  changed = sample.image;
  changed.height = 16;
  changed.width = 64;
  EXPECT_NE(SuperpixelCache::KeyOf(changed, {}), sample.key);
}

TEST(SuperpixelCacheTest, EveryOptionIsPartOfTheKey) {
  const Image image = SyntheticImage({1, 5, 32});
  std::vector<SlicOptions> all(9);
  all[1].regions = 9;
  all[2].mode = SlicMode::kSlic;
  all[3].layout = SlicLayout::kGrid;
  all[4].iterations = 9;
  all[5].compactness = 10.000001;
  all[6].blur = false;
  all[7].min_size_percent = 24;
  all[8].exact = true;

  std::set<std::string> keys;
  for (const SlicOptions& options : all) keys.insert(SuperpixelCache::KeyOf(image, options));

  EXPECT_EQ(keys.size(), all.size());
  // A field more changes the size: add it above and to the key.
  EXPECT_EQ(sizeof(SlicOptions), 40U);
}

TEST(SuperpixelCacheTest, ADamagedEntryCountsAsAbsentAndIsWrittenAnew) {
  const test::TemporaryFolder folder;
  const auto cache = OpenCache(folder.path());
  const Sample sample(3);
  const std::string path = EntryPath(folder.path(), sample.key);
  const std::string good = EncodeLabelMap(sample.map);
  std::string flipped = good;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);

  for (const std::string& damaged :
       {std::string(), good.substr(0, 10), good.substr(0, good.size() - 1), flipped, good + "x"}) {
    test::WriteBytes(path, damaged);
    EXPECT_FALSE(cache->Find(sample.key).has_value()) << damaged.size();

    cache->Store(sample.key, sample.map);

    ASSERT_TRUE(cache->Find(sample.key).has_value()) << damaged.size();
    EXPECT_EQ(cache->Find(sample.key)->labels, sample.map.labels);
  }
}

TEST(SuperpixelCacheTest, StaysWithinItsBound) {
  const test::TemporaryFolder folder;
  constexpr int64_t kBound = 8'000;
  const auto cache = OpenCache(folder.path(), kBound);
  for (uint64_t i = 0; i < 40; ++i) {
    const Sample sample(i);
    cache->Store(sample.key, sample.map);
    EXPECT_LE(Bytes(folder.path()), kBound);
  }
  EXPECT_GT(Bytes(folder.path()), kBound / 2);
  const Sample last(39);
  EXPECT_TRUE(cache->Find(last.key).has_value());
}

TEST(SuperpixelCacheTest, AnotherCachesEntriesCountToo) {
  const test::TemporaryFolder folder;
  constexpr int64_t kBound = 16'000;
  const auto cache = OpenCache(folder.path(), kBound);
  const auto other = OpenCache(folder.path(), kBound);
  int64_t largest = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    const Sample sample(i);
    (i % 2 == 0 ? cache : other)->Store(sample.key, sample.map);
    largest = std::max<int64_t>(
        largest, static_cast<int64_t>(fs::file_size(EntryPath(folder.path(), sample.key))));
  }
  EXPECT_LE(Bytes(folder.path()), kBound + 2 * (kBound / 16 + largest));
}

TEST(SuperpixelCacheTest, AWriterKilledInMidWriteLeavesNoEntry) {
  const test::TemporaryFolder folder;
  const Sample sample(7);

  StoreUntilCutOff(folder.path(), sample, 60);

  const std::vector<fs::path> left = TemporaryFiles(folder.path());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(fs::file_size(left[0]), 60U);
  EXPECT_EQ(Files(folder.path()).size(), 1U);
  const auto cache = OpenCache(folder.path());
  EXPECT_FALSE(cache->Find(sample.key).has_value());
  cache->Store(sample.key, sample.map);
  EXPECT_TRUE(cache->Find(sample.key).has_value());
}

TEST(SuperpixelCacheTest, WhatAKilledWriterLeftIsCollectedOnceItIsOld) {
  const test::TemporaryFolder folder;
  StoreUntilCutOff(folder.path(), Sample(7), 60);
  const std::vector<fs::path> left = TemporaryFiles(folder.path());
  ASSERT_EQ(left.size(), 1U);
  OpenCache(folder.path());
  EXPECT_TRUE(fs::exists(left[0])) << "it may belong to a writer that is alive";
  fs::last_write_time(left[0], fs::file_time_type::clock::now() - std::chrono::hours(2));

  OpenCache(folder.path());

  EXPECT_FALSE(fs::exists(left[0]));
}

TEST(SuperpixelCacheTest, EntriesSurviveWritersThatAreKilledAtAnyPoint) {
  const test::TemporaryFolder folder;
  std::vector<Sample> samples;
  for (uint64_t i = 0; i < 6; ++i) samples.emplace_back(i);
  for (int kill_after = 1; kill_after <= 12; ++kill_after) {
    int progress[2];
    ASSERT_EQ(pipe(progress), 0);
    // Stores again and again, and says so, until it is killed.
    const pid_t child = Fork([&] {
      const auto cache = OpenCache(folder.path());
      for (size_t i = 0; true; ++i) {
        const Sample& sample = samples[i % samples.size()];
        cache->Store(sample.key, sample.map);
        if (write(progress[1], "x", 1) != 1) _exit(1);
      }
    });
    for (int i = 0; i < kill_after; ++i) {
      char told = 0;
      ASSERT_EQ(read(progress[0], &told, 1), 1);
    }
    kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(WaitFor(child)));
    close(progress[0]);
    close(progress[1]);
    for (const fs::path& file : Files(folder.path())) {
      if (file.extension() != ".spx") continue;
      EXPECT_TRUE(DecodeLabelMap(test::ReadBytes(file)).has_value()) << file;
    }
  }
  const auto cache = OpenCache(folder.path());
  for (const Sample& sample : samples) {
    ASSERT_TRUE(cache->Find(sample.key).has_value());
    EXPECT_EQ(cache->Find(sample.key)->labels, sample.map.labels);
  }
}

TEST(SuperpixelCacheTest, SeveralProcessesMayShareAFolder) {
  const test::TemporaryFolder folder;
  constexpr int64_t kBound = 12'000;
  constexpr int kProcesses = 4;
  std::vector<Sample> samples;
  for (uint64_t i = 0; i < 24; ++i) samples.emplace_back(i);
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(Fork([&] {
      const auto cache = OpenCache(folder.path(), kBound);
      for (size_t i = 0; i < 4 * samples.size(); ++i) {
        const Sample& sample = samples[(i * 5 + static_cast<size_t>(process)) % samples.size()];
        const auto found = cache->Find(sample.key);
        if (found && found->labels != sample.map.labels) _exit(1);
        if (!found) cache->Store(sample.key, sample.map);
      }
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(WaitFor(child), 0);

  int64_t largest = 0;
  for (const fs::path& file : Files(folder.path())) {
    EXPECT_TRUE(DecodeLabelMap(test::ReadBytes(file)).has_value()) << file;
    largest = std::max(largest, static_cast<int64_t>(fs::file_size(file)));
  }
  EXPECT_LE(Bytes(folder.path()), kBound + kProcesses * (kBound / 16 + largest));
}

TEST(SuperpixelCacheTest, ManyThreadsMayUseOne) {
  const test::TemporaryFolder folder;
  const auto cache = OpenCache(folder.path(), 6'000);
  std::vector<Sample> samples;
  for (uint64_t i = 0; i < 12; ++i) samples.emplace_back(i);
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (size_t i = 0; i < 60; ++i) {
          const Sample& sample = samples[(i * 7 + thread) % samples.size()];
          const auto found = cache->Find(sample.key);
          EXPECT_TRUE(!found || found->labels == sample.map.labels);
          cache->Store(sample.key, sample.map);
        }
      });
    }
  }
  EXPECT_LE(Bytes(folder.path()), 6'000);
}

TEST(SuperpixelCacheTest, NamesAFolderThatCannotBeMade) {
  const test::TemporaryFolder folder;
  test::WriteBytes(folder / "file", "x");
  const auto cache = SuperpixelCache::Open(folder / "file/cache");
  ASSERT_FALSE(cache.ok());
  EXPECT_THAT(std::string(cache.status().message()), testing::HasSubstr(folder / "file/cache"));
}

}  // namespace
}  // namespace g2ll::data
