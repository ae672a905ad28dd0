// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/sort_windows.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "trainer/counting/window_file.h"
#include "trainer/counting/window_key.h"

namespace lmserve {
namespace {

// A window in memory.
template <int K>
struct PlainRecord {
  WindowKey<K> key;

  void set_count(uint64_t) {}
  uint64_t count() const { return 1; }
  bool operator<(const PlainRecord& other) const { return key < other.key; }
};

template <int K>
struct CountedRecord {
  WindowKey<K> key;
  uint64_t number;

  void set_count(uint64_t count) { number = count; }
  uint64_t count() const { return number; }
  bool operator<(const CountedRecord& other) const { return key < other.key; }
};

// The number of records per bucket that the first and the second distribution
// aim at.
constexpr uint64_t kFirstBucketRecords = 4096;
constexpr uint64_t kSecondBucketRecords = 8;
constexpr int kMaxFirstBits = 11;
constexpr int kMaxSecondBits = 10;
// Smaller buckets are sorted by comparisons, and so are larger ones, which the
// numbers of OrderedHash have not divided well.
constexpr uint64_t kMinDistributed = 48;
constexpr uint64_t kMaxDistributed = uint64_t{1} << 16;

// Returns the number of bits that divide `records` into buckets of about
// `bucket` records.
int BucketBits(uint64_t records, uint64_t bucket, int max_bits) {
  int bits = 0;
  while (bits < max_bits && records >> bits > bucket) ++bits;
  return bits;
}

template <typename Record, int K>
class PartitionSorter {
 public:
  PartitionSorter(const Partition& partition, const SpillFormat& format,
                  const OrderedHash& hash, uint64_t memory, std::string path)
      : partition_(partition),
        format_(format),
        hash_(hash),
        packing_(format.order, format.vocabulary),
        memory_(memory),
        path_(std::move(path)) {}

  absl::Status Sort() {
    absl::StatusOr<std::unique_ptr<ByteReader>> file =
        ByteReader::Open(partition_.path);
    if (!file.ok()) return file.status();
    PlanRuns((*file)->size());
    int runs = 0;
    do {
      absl::Status status = ReadRun(**file);
      if (!status.ok()) return status;
      const bool is_only = runs == 0 && read_rows_ == partition_.rows;
      status = WriteRun(is_only ? path_ : RunPath(runs), is_only);
      if (!status.ok() || is_only) return status;
      ++runs;
    } while (read_rows_ < partition_.rows);
    FreeMemory();
    return MergeRuns(runs);
  }

 private:
  std::string RunPath(int run) const {
    return absl::StrCat(path_, ".run-", run);
  }

  // Divides the memory between the bytes that are read, the numbers of their
  // buckets, and the records.
  void PlanRuns(uint64_t file_bytes) {
    const double row_bytes =
        static_cast<double>(file_bytes) /
        static_cast<double>(std::max<uint64_t>(partition_.rows, 1));
    constexpr uint64_t kScratchBytes = kMaxDistributed * sizeof(Record);
    const uint64_t memory =
        memory_ > 2 * kScratchBytes ? memory_ - kScratchBytes : memory_ / 2;
    run_rows_ = std::min(
        partition_.rows,
        static_cast<uint64_t>(static_cast<double>(memory) /
                              (row_bytes + sizeof(uint16_t) + sizeof(Record))) +
            1);
    const auto run_bytes = static_cast<uint64_t>(row_bytes * run_rows_) + 1;
    bytes_.resize(std::min(file_bytes, run_bytes) + 2 * kMaxSpillBytes);
    first_bits_ = BucketBits(run_rows_, kFirstBucketRecords, kMaxFirstBits);
  }

  // Reads the windows of a run and distributes them to the first buckets.
  absl::Status ReadRun(ByteReader& file) {
    const uint64_t capacity = bytes_.size() - kMaxSpillBytes;
    const uint64_t wanted =
        std::min(capacity - bytes_left_, file.size() - file.position());
    file.Read(&bytes_[bytes_left_], wanted);
    if (!file.status().ok()) return file.status();
    bytes_left_ += wanted;
    const bool is_last = file.position() == file.size();
    // A window that is not complete belongs to the next run.
    const uint64_t end =
        is_last ? bytes_left_
                : bytes_left_ - std::min<uint64_t>(bytes_left_, kMaxSpillBytes);
    const char* const begin = bytes_.data();
    const char* in = begin;
    const int bucket_shift = 64 - first_bits_;
    bucket_ends_.assign((size_t{1} << first_bits_) + 1, 0);
    buckets_.clear();
    buckets_.reserve(run_rows_);
    Window window;
    uint64_t count;
    while (in < begin + end && buckets_.size() < run_rows_) {
      in = GetSpilled(format_, in, window.data(), &count);
      if (count == 0) return file.Damaged("not a window");
      const uint64_t place = PlaceOf(window);
      const auto bucket =
          static_cast<uint16_t>(first_bits_ == 0 ? 0 : place >> bucket_shift);
      buckets_.push_back(bucket);
      ++bucket_ends_[bucket + 1];
    }
    if (in > begin + bytes_left_ ||
        (in == begin && read_rows_ < partition_.rows) ||
        read_rows_ + buckets_.size() > partition_.rows) {
      return file.Damaged("the windows do not end with the file");
    }
    const char* const read_end = in;
    for (size_t i = 1; i < bucket_ends_.size(); ++i) {
      bucket_ends_[i] += bucket_ends_[i - 1];
    }
    // While records are distributed, bucket_ends_[b] is where the next one of
    // bucket b goes; in the end it is the end of the bucket.
    records_.resize(buckets_.size());
    in = begin;
    for (uint16_t bucket : buckets_) {
      in = GetSpilled(format_, in, window.data(), &count);
      Record& record = records_[bucket_ends_[bucket]++];
      record.key = packing_.template Pack<K>(window.data());
      record.set_count(count);
    }
    read_rows_ += buckets_.size();
    bytes_left_ -= read_end - begin;
    std::memmove(bytes_.data(), read_end, bytes_left_);
    return absl::OkStatus();
  }

  // Returns the place of a window in the partition's range, of 2^64.
  uint64_t PlaceOf(const Window& window) const {
    uint64_t number = 0;
    for (int i = std::min(format_.order, OrderedHash::kHashedWords) - 1; i >= 0;
         --i) {
      number = hash_.Extend(window[i], number);
    }
    return number * partition_.partitions;
  }

  absl::Status WriteRun(const std::string& path, bool is_durable) {
    absl::StatusOr<std::unique_ptr<WindowWriter>> writer =
        WindowWriter::Create(path, format_.order);
    if (!writer.ok()) return writer.status();
    has_pending_ = false;
    shared_ = 0;
    uint64_t begin = 0;
    for (size_t i = 0; i + 1 < bucket_ends_.size(); ++i) {
      SortBucket(begin, bucket_ends_[i], **writer);
      begin = bucket_ends_[i];
    }
    if (has_pending_) WritePending(**writer);
    return (*writer)->Close(is_durable);
  }

  void SortBucket(uint64_t begin, uint64_t end, WindowWriter& writer) {
    Record* const records = records_.data() + begin;
    const uint64_t size = end - begin;
    if (size < kMinDistributed || size > kMaxDistributed) {
      std::sort(records, records + size);
      Write(records, size, writer);
      return;
    }
    // A second distribution, within the cache.
    const int bits = BucketBits(size, kSecondBucketRecords, kMaxSecondBits);
    std::array<uint32_t, (size_t{1} << kMaxSecondBits) + 1> ends = {};
    scratch_.resize(std::max<size_t>(scratch_.size(), size));
    digits_.resize(std::max<size_t>(digits_.size(), size));
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t place = packing_.template Hash<K>(hash_, records[i].key) *
                             partition_.partitions;
      digits_[i] = static_cast<uint16_t>(place << first_bits_ >> (64 - bits));
      ++ends[digits_[i] + 1];
    }
    const size_t buckets = size_t{1} << bits;
    for (size_t i = 1; i <= buckets; ++i) ends[i] += ends[i - 1];
    for (uint64_t i = 0; i < size; ++i) {
      scratch_[ends[digits_[i]]++] = records[i];
    }
    uint32_t first = 0;
    for (size_t i = 0; i < buckets; ++i) {
      if (ends[i] - first > 1) {
        std::sort(scratch_.begin() + first, scratch_.begin() + ends[i]);
      }
      first = ends[i];
    }
    Write(scratch_.data(), size, writer);
  }

  // Writes sorted records, and adds up equal ones.
  void Write(const Record* records, uint64_t size, WindowWriter& writer) {
    for (uint64_t i = 0; i < size; ++i) {
      const Record& record = records[i];
      if (has_pending_ && record.key == pending_.key) {
        pending_count_ += record.count();
        continue;
      }
      int shared = 0;
      if (has_pending_) {
        WritePending(writer);
        shared = packing_.Shared(pending_.key, record.key);
      }
      has_pending_ = true;
      pending_ = record;
      pending_count_ = record.count();
      shared_ = shared;
    }
  }

  void WritePending(WindowWriter& writer) {
    packing_.Unpack(pending_.key, window_.data());
    writer.Add(window_.data(), shared_, pending_count_);
  }

  void FreeMemory() {
    bytes_ = {};
    std::vector<uint16_t>().swap(buckets_);
    std::vector<Record>().swap(records_);
    std::vector<Record>().swap(scratch_);
  }

  // Merges sorted files into one.
  absl::Status MergeRuns(int runs) {
    std::vector<std::unique_ptr<WindowReader>> readers;
    const auto is_later = [&](int a, int b) {
      const WordId* x = readers[a]->window();
      const WordId* y = readers[b]->window();
      const int order = format_.order;
      return std::lexicographical_compare(y, y + order, x, x + order);
    };
    std::priority_queue<int, std::vector<int>, decltype(is_later)> next(
        is_later);
    const size_t buffer_bytes =
        std::clamp<uint64_t>(memory_ / (runs + 1), 4096, kFileBufferBytes);
    for (int i = 0; i < runs; ++i) {
      auto reader = WindowReader::Open(RunPath(i), format_.order,
                                       format_.vocabulary, buffer_bytes);
      if (!reader.ok()) return reader.status();
      readers.push_back(*std::move(reader));
      if (readers[i]->Next()) next.push(i);
    }
    absl::StatusOr<std::unique_ptr<WindowWriter>> writer =
        WindowWriter::Create(path_, format_.order);
    if (!writer.ok()) return writer.status();
    Window last = {};
    uint64_t count = 0;
    int shared = 0;
    while (!next.empty()) {
      const int i = next.top();
      next.pop();
      const WordId* const window = readers[i]->window();
      const int equal = static_cast<int>(
          std::mismatch(window, window + format_.order, last.begin()).first -
          window);
      if (count > 0 && equal == format_.order) {
        count += readers[i]->count();
      } else {
        if (count > 0) (*writer)->Add(last.data(), shared, count);
        shared = count > 0 ? equal : 0;
        count = readers[i]->count();
        std::copy_n(window, format_.order, last.begin());
      }
      if (readers[i]->Next()) next.push(i);
      if (!readers[i]->status().ok()) return readers[i]->status();
    }
    if (count > 0) (*writer)->Add(last.data(), shared, count);
    readers.clear();
    for (int i = 0; i < runs; ++i) unlink(RunPath(i).c_str());
    return (*writer)->Close(/*is_durable=*/true);
  }

  const Partition& partition_;
  const SpillFormat format_;
  const OrderedHash& hash_;
  const WindowPacking packing_;
  const uint64_t memory_;
  const std::string path_;
  uint64_t run_rows_ = 0;   // the most windows of a run
  uint64_t read_rows_ = 0;  // the number of windows of all runs so far
  int first_bits_ = 0;

  std::string bytes_;  // of the file: those of a run, and of the next window
  uint64_t bytes_left_ = 0;
  std::vector<uint16_t> buckets_;  // of each window of the run
  std::vector<uint64_t> bucket_ends_;
  std::vector<Record> records_;
  std::vector<Record> scratch_;
  std::vector<uint16_t> digits_;

  // The last window, whose count may grow.
  bool has_pending_ = false;
  Record pending_ = {};
  uint64_t pending_count_ = 0;
  int shared_ = 0;  // words that it has in common with the window before
  Window window_ = {};
};

template <int K>
absl::Status SortWithKeys(const Partition& partition, const SpillFormat& format,
                          const OrderedHash& hash, uint64_t memory,
                          const std::string& path) {
  if (format.has_counts) {
    return PartitionSorter<CountedRecord<K>, K>(partition, format, hash, memory,
                                                path)
        .Sort();
  }
  return PartitionSorter<PlainRecord<K>, K>(partition, format, hash, memory,
                                            path)
      .Sort();
}

}  // namespace

absl::Status SortWindows(const Partition& partition, const SpillFormat& format,
                         const OrderedHash& hash, uint64_t memory,
                         const std::string& path) {
  const int parts = WindowPacking(format.order, format.vocabulary).parts();
  const auto sort = parts <= 1   ? SortWithKeys<1>
                    : parts <= 2 ? SortWithKeys<2>
                    : parts <= 4 ? SortWithKeys<4>
                    : parts <= 8 ? SortWithKeys<8>
                                 : SortWithKeys<16>;
  return sort(partition, format, hash, memory, path);
}

}  // namespace lmserve
