// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/trie_files.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trainer/counting/byte_file.h"
#include "trainer/text/progress.h"

namespace lmserve {
namespace {

constexpr char kTrieStage[] = "trie";
constexpr uint64_t kWindowsPerCheck = 1 << 16;
// There are three files for each order.
constexpr size_t kTrieBufferBytes = 64 << 10;

// The number of bytes of numbers below `limit`.
int BytesBelow(uint64_t limit) {
  int bytes = 1;
  while (bytes < 8 && limit > uint64_t{1} << 8 * bytes) ++bytes;
  return bytes;
}

// Writes the files of all orders. An n-gram is written when the next one of its
// order begins, since only then its count and the number of its children are
// known.
class TrieWriter {
 public:
  TrieWriter(const CountsManifest& manifest, WorkDirectory& work)
      : order_(manifest.order), work_(work), levels_(manifest.order) {
    shape_.vocabulary = manifest.vocabulary;
    shape_.ngrams.assign(order_, 0);
    shape_.begins.assign(order_, 0);
    shape_.ends.assign(order_, 0);
  }

  absl::Status Create() {
    for (int k = 1; k <= order_; ++k) {
      Level& level = levels_[k - 1];
      absl::Status status = Create(TrieWordsFile(k), &level.words);
      if (status.ok()) status = Create(TrieCountsFile(k), &level.counts);
      if (status.ok() && k < order_) {
        status = Create(TrieDegreesFile(k), &level.degrees);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Adds a window; see WindowReader.
  void Add(const WordId* window, int shared, uint64_t count) {
    for (int k = 1; k <= order_; ++k) {
      const WordId word = window[k - 1];
      if (k > shared) Begin(k, word, window[0]);
      levels_[k - 1].count += count;
      if (word == kEndId) break;
    }
  }

  absl::StatusOr<TrieShape> Finish() {
    while (shape_.ngrams[0] < shape_.vocabulary) {
      Append(1, static_cast<WordId>(shape_.ngrams[0]));
    }
    std::vector<uint64_t> numbers = {shape_.vocabulary};
    for (int k = 1; k <= order_; ++k) {
      Level& level = levels_[k - 1];
      if (shape_.ngrams[k - 1] > 0) Write(level);
      absl::Status status = level.words->Close();
      if (status.ok()) status = level.counts->Close();
      if (status.ok() && k < order_) status = level.degrees->Close();
      if (!status.ok()) return status;
      numbers.insert(numbers.end(), {shape_.ngrams[k - 1], shape_.begins[k - 1],
                                     shape_.ends[k - 1]});
    }
    absl::Status status = work_.Finish(kTrieStage, files_, numbers);
    if (!status.ok()) return status;
    return shape_;
  }

 private:
  struct Level {
    std::unique_ptr<ByteWriter> words, counts, degrees;
    // The last n-gram.
    WordId word = 0;
    uint64_t count = 0;
    uint64_t children = 0;
  };

  absl::Status Create(const std::string& name,
                      std::unique_ptr<ByteWriter>* file) {
    auto created = ByteWriter::Create(work_.File(name), /*hashed=*/false,
                                      kTrieBufferBytes);
    if (!created.ok()) return created.status();
    *file = *std::move(created);
    files_.push_back(name);
    return absl::OkStatus();
  }

  // Begins an n-gram whose first word is `first`.
  void Begin(int k, WordId word, WordId first) {
    // Words that do not occur in the text.
    while (k == 1 && shape_.ngrams[0] < word) {
      Append(1, static_cast<WordId>(shape_.ngrams[0]));
    }
    if (first == kBeginId) {
      if (shape_.ends[k - 1] == 0) shape_.begins[k - 1] = shape_.ngrams[k - 1];
      shape_.ends[k - 1] = shape_.ngrams[k - 1] + 1;
    }
    if (k > 1) ++levels_[k - 2].children;
    Append(k, word);
  }

  void Append(int k, WordId word) {
    Level& level = levels_[k - 1];
    if (shape_.ngrams[k - 1]++ > 0) Write(level);
    level.word = word;
    level.count = 0;
    level.children = 0;
  }

  void Write(Level& level) {
    level.words->WriteFixed(level.word, shape_.word_bytes());
    level.counts->WriteVarint(level.count);
    if (level.degrees != nullptr) level.degrees->WriteVarint(level.children);
  }

  const int order_;
  WorkDirectory& work_;
  std::vector<Level> levels_;
  std::vector<std::string> files_;
  TrieShape shape_;
};

}  // namespace

int TrieShape::word_bytes() const { return BytesBelow(vocabulary); }

int TrieShape::index_bytes(int k) const { return BytesBelow(ngrams[k - 1]); }

std::string TrieWordsFile(int k) { return absl::StrCat("trie-words-", k); }
std::string TrieDegreesFile(int k) { return absl::StrCat("trie-degrees-", k); }
std::string TrieCountsFile(int k) { return absl::StrCat("trie-counts-", k); }
std::string TrieLinksFile(int k) { return absl::StrCat("trie-links-", k); }
std::string TrieRanksFile(int k) { return absl::StrCat("trie-ranks-", k); }
std::string TrieAdjustedFile(int k) {
  return absl::StrCat("trie-adjusted-", k);
}

namespace {

// Returns the shape of the trie that the work directory has already. The files
// must be as large as it says: tables are as large as the shape.
absl::StatusOr<TrieShape> FinishedShape(const std::vector<uint64_t>& numbers,
                                        const CountsManifest& manifest,
                                        const WorkDirectory& work) {
  const int order = manifest.order;
  if (numbers.size() != 1 + 3 * static_cast<size_t>(order) ||
      numbers.front() != manifest.vocabulary ||
      numbers[1] != manifest.vocabulary) {
    return work.BadJournal(kTrieStage);
  }
  TrieShape shape;
  shape.vocabulary = manifest.vocabulary;
  for (size_t i = 1; i < numbers.size(); i += 3) {
    shape.ngrams.push_back(numbers[i]);
    shape.begins.push_back(numbers[i + 1]);
    shape.ends.push_back(numbers[i + 2]);
  }
  for (int k = 1; k <= order; ++k) {
    absl::Status status = work.CheckFile(TrieWordsFile(k));
    status.Update(work.CheckFile(TrieCountsFile(k)));
    if (k < order) status.Update(work.CheckFile(TrieDegreesFile(k)));
    if (!status.ok()) return status;
    if (work.IsRemoved(TrieWordsFile(k))) continue;
    auto words = ByteReader::Open(work.File(TrieWordsFile(k)));
    if (!words.ok()) return words.status();
    const uint64_t size = (*words)->size();
    if (size % shape.word_bytes() != 0 ||
        size / shape.word_bytes() != shape.ngrams[k - 1]) {
      return work.BadJournal(kTrieStage);
    }
  }
  return shape;
}

}  // namespace

absl::StatusOr<TrieShape> WriteTrie(const std::string& counts_directory,
                                    const CountsManifest& manifest,
                                    const StopFlag* stop, WorkDirectory& work) {
  if (const std::vector<uint64_t>* numbers = work.Finished(kTrieStage)) {
    return FinishedShape(*numbers, manifest, work);
  }
  absl::Status status = CheckWords(counts_directory, manifest);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<CountsReader>> reader =
      CountsReader::Open(counts_directory, manifest);
  if (!reader.ok()) return reader.status();
  TrieWriter writer(manifest, work);
  status = writer.Create();
  if (!status.ok()) return status;
  Progress progress("building the trie");
  while ((*reader)->Next()) {
    writer.Add((*reader)->window(), (*reader)->shared(), (*reader)->count());
    if ((*reader)->windows_read() % kWindowsPerCheck == 0) {
      status = CheckStop(stop);
      if (!status.ok()) return status;
      progress.Show((*reader)->windows_read(),
                    static_cast<double>((*reader)->windows_read()) /
                        static_cast<double>((*reader)->windows()));
    }
  }
  if (!(*reader)->status().ok()) return (*reader)->status();
  progress.Finish((*reader)->windows_read());
  return writer.Finish();
}

}  // namespace lmserve
