// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/sort_partitions.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/counting/sort_windows.h"
#include "trainer/counting/window_key.h"

namespace lmserve {
namespace {

constexpr char kSpillStage[] = "spill";
constexpr char kSpillPrefix[] = "spill-";
constexpr int kMaxPartitions = 256;
// Below this number of windows one partition is sorted at once.
constexpr uint64_t kMinPartitionWindows = 1 << 16;
// Partitions are not of the same size: the largest may be larger by this
// factor before it is sorted in runs.
constexpr double kUnevenness = 1.6;
constexpr size_t kMinBufferBytes = 4096;
constexpr size_t kMaxBufferBytes = 256 << 10;

std::string PartName(int partition) {
  return absl::StrFormat("part-%05d", partition);
}

// The memory that is left for windows, besides what every thread reads.
uint64_t WindowMemory(const SortTask& task) {
  const uint64_t fixed = task.word_counts.size() * 2 * sizeof(uint64_t);
  return task.memory - std::min(task.memory / 2, fixed);
}

int CountPartitions(const SortTask& task, uint64_t spill_bytes) {
  const WindowPacking packing(task.format.order, task.format.vocabulary);
  // What SortWindows() needs for a window: bytes, bucket, record.
  const double memory =
      static_cast<double>(spill_bytes) +
      static_cast<double>(task.windows) *
          (2 + 8 * packing.parts() + (task.format.has_counts ? 8 : 0));
  const double needed = kUnevenness * memory * task.threads /
                        static_cast<double>(WindowMemory(task));
  double partitions = std::min<double>(needed + 1, kMaxPartitions);
  if (task.windows > kMinPartitionWindows * 4 * task.threads) {
    partitions = std::max(partitions, 4.0 * task.threads);
  }
  return static_cast<int>(partitions);
}

// Sorts the partitions, each on one of the threads.
class PartitionQueue {
 public:
  PartitionQueue(const SortTask& task, const OrderedHash& hash,
                 std::vector<uint64_t> rows, WorkDirectory& work,
                 const std::string& output)
      : task_(task),
        hash_(hash),
        rows_(std::move(rows)),
        work_(work),
        output_(output),
        progress_("sorting",
                  std::accumulate(rows_.begin(), rows_.end(), uint64_t{0})) {}

  absl::StatusOr<std::vector<CountsPart>> Sort() {
    const int threads = std::min(task_.threads, static_cast<int>(rows_.size()));
    memory_ = WindowMemory(task_) / threads;
    absl::Status status = RunThreads(threads, [this](int) { return Work(); });
    if (!status.ok()) return status;
    progress_.Finish();
    std::vector<CountsPart> parts;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const std::vector<uint64_t>& windows = *work_.Finished(PartName(i));
      if (windows.size() != 1) return work_.BadJournal(PartName(i));
      parts.push_back({PartName(i), windows.front()});
    }
    return parts;
  }

 private:
  absl::Status Work() {
    int partition;
    while (!failed_ && (partition = next_++) < static_cast<int>(rows_.size())) {
      absl::Status status = CheckStop(task_.stop);
      if (status.ok()) status = SortOne(partition);
      if (!status.ok()) {
        failed_ = true;
        return status;
      }
      progress_.Add(rows_[partition]);
    }
    return absl::OkStatus();
  }

  absl::Status SortOne(int partition) {
    const std::string name = PartName(partition);
    if (work_.Finished(name) != nullptr) return absl::OkStatus();
    const std::string spilled = absl::StrCat(kSpillPrefix, partition);
    absl::Status status = work_.CheckFile(spilled);
    if (!status.ok()) return status;
    const std::string path = absl::StrCat(output_, "/", name);
    status = SortWindows({.path = work_.File(spilled),
                          .rows = rows_[partition],
                          .index = partition,
                          .partitions = static_cast<int>(rows_.size())},
                         task_.format, hash_, memory_, path);
    if (!status.ok()) return status;
    // The end of the file says how many windows it has.
    const auto part =
        WindowReader::Open(path, task_.format.order, task_.format.vocabulary);
    if (!part.ok()) return part.status();
    status = work_.Finish(name, {}, {(*part)->rows()});
    if (status.ok()) work_.Remove(spilled);
    return status;
  }

  const SortTask& task_;
  const OrderedHash& hash_;
  const std::vector<uint64_t> rows_;
  WorkDirectory& work_;
  const std::string& output_;
  uint64_t memory_ = 0;  // of one thread
  std::atomic<int> next_ = 0;
  std::atomic<bool> failed_ = false;
  SharedProgress progress_;
};

}  // namespace

uint64_t EstimateSpillBytes(const SpillFormat& format, uint64_t windows,
                            absl::Span<const uint64_t> word_counts) {
  double bytes = 0, words = 0;
  for (size_t word = 0; word < word_counts.size(); ++word) {
    const auto count = static_cast<double>(word_counts[word]);
    words += count;
    bytes += count * (1 + (word > 0xFF) + (word > 0xFFFF) + (word > 0xFFFFFF));
  }
  const double window_bytes = format.length_bytes() +
                              format.order * bytes / std::max(words, 1.0) +
                              (format.has_counts ? 1 : 0);
  return static_cast<uint64_t>(static_cast<double>(windows) * window_bytes);
}

bool IsSpilled(const WorkDirectory& work) {
  return work.Finished(kSpillStage) != nullptr;
}

absl::Status SpillToPartitions(const SortTask& task, SpillWindows spill,
                               WorkDirectory& work) {
  if (IsSpilled(work)) return absl::OkStatus();
  const OrderedHash hash(task.word_counts);
  const int partitions = CountPartitions(
      task, EstimateSpillBytes(task.format, task.windows, task.word_counts));
  const uint64_t buffer_bytes =
      std::clamp<uint64_t>(task.memory / 4 / partitions / task.threads,
                           kMinBufferBytes, kMaxBufferBytes);
  auto files =
      SpillFiles::Create(work.File(kSpillPrefix), partitions, task.format);
  if (!files.ok()) return files.status();
  SharedProgress progress("distributing", task.windows);
  absl::Status status = RunThreads(task.threads, [&](int) {
    SpillWriter writer(**files, hash, buffer_bytes);
    absl::Status spilled = spill(writer, progress);
    absl::Status closed = writer.Close();
    return spilled.ok() ? closed : spilled;
  });
  if (!status.ok()) return status;
  progress.Finish();
  std::vector<std::string> names;
  std::vector<uint64_t> rows;
  for (int i = 0; i < partitions; ++i) {
    names.push_back(absl::StrCat(kSpillPrefix, i));
    rows.push_back((*files)->rows(i));
  }
  files->reset();
  const uint64_t found = std::accumulate(rows.begin(), rows.end(), uint64_t{0});
  if (found != task.windows) {
    return absl::DataLossError(absl::StrCat(
        "windows: expected ", task.windows, ", found ", found,
        "; the counts or the files in ", work.path(), " are damaged"));
  }
  return work.Finish(kSpillStage, names, rows);
}

absl::StatusOr<std::vector<CountsPart>> SortPartitions(
    const SortTask& task, WorkDirectory& work, const std::string& output) {
  const OrderedHash hash(task.word_counts);
  const std::vector<uint64_t>& rows = *work.Finished(kSpillStage);
  if (rows.empty() || rows.size() > kMaxPartitions ||
      std::accumulate(rows.begin(), rows.end(), uint64_t{0}) != task.windows) {
    return work.BadJournal(kSpillStage);
  }
  return PartitionQueue(task, hash, rows, work, output).Sort();
}

}  // namespace lmserve
