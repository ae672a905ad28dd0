// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/suffix_links.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/shared_progress.h"
#include "trainer/counting/trie_slices.h"

namespace lmserve {
namespace {

constexpr uint64_t kContextsPerCheck = 1 << 18;
// The contexts and the children of a slice have 32-bit numbers.
constexpr uint64_t kMaxSliceBytes = uint64_t{1} << 34;
// The files of all slices are open at a time.
constexpr size_t kMaxSlices = 256;

// Looks up the n-grams of order k whose contexts have their suffixes in one
// slice.
class SliceLinker {
 public:
  SliceLinker(const TrieShape& shape, int k, const Slice& slice,
              const StopFlag* stop, const WorkDirectory& work)
      : shape_(shape), k_(k), slice_(slice), stop_(stop), work_(work) {}

  // Writes the files of the slice.
  absl::Status Link(size_t number) {
    absl::Status status = LoadChildren();
    if (!status.ok()) return status;
    auto ranks =
        ByteWriter::Create(work_.File(SliceFile(TrieRanksFile(k_), number)));
    if (!ranks.ok()) return ranks.status();
    ranks_ = *std::move(ranks);
    if (k_ < shape_.order()) {
      auto links =
          ByteWriter::Create(work_.File(SliceFile(TrieLinksFile(k_), number)));
      if (!links.ok()) return links.status();
      links_ = *std::move(links);
    }
    status = LinkAll();
    if (status.ok()) status = ranks_->Close();
    if (status.ok() && links_ != nullptr) status = links_->Close();
    if (status.ok()) status = WriteAdjusted(number);
    return status;
  }

 private:
  // A child that is to be looked up.
  struct Wanted {
    uint32_t context;  // in the slice
    WordId word;
  };
  // So many look-ups wait for memory at a time.
  static constexpr size_t kBatch = 64;

  absl::Status LoadChildren() {
    auto degrees = ByteReader::Open(work_.File(TrieDegreesFile(k_ - 2)),
                                    slice_.degrees_offset);
    if (!degrees.ok()) return degrees.status();
    const int word_bytes = shape_.word_bytes();
    auto words = ByteReader::Open(work_.File(TrieWordsFile(k_ - 1)),
                                  slice_.children_begin * word_bytes);
    if (!words.ok()) return words.status();
    const uint64_t contexts = slice_.contexts_end - slice_.contexts_begin;
    begins_.reserve(contexts + 1);
    begins_.push_back(0);
    for (uint64_t i = 0; i < contexts; ++i) {
      begins_.push_back(begins_.back() + (*degrees)->ReadVarint());
    }
    const uint64_t children = slice_.children_end - slice_.children_begin;
    if (begins_.back() != children) {
      return (*degrees)->Damaged("the degrees do not match the n-grams");
    }
    words_.resize(children);
    for (WordId& word : words_) word = (*words)->ReadFixed(word_bytes);
    counters_.assign(children, 0);
    return (*words)->status().ok() ? (*degrees)->status() : (*words)->status();
  }

  absl::Status LinkAll() {
    absl::StatusOr<ContextReader> contexts =
        ContextReader::Open(shape_, k_, work_);
    if (!contexts.ok()) return contexts.status();
    auto words = ByteReader::Open(work_.File(TrieWordsFile(k_)));
    if (!words.ok()) return words.status();
    const int word_bytes = shape_.word_bytes();
    const uint64_t size = slice_.contexts_end - slice_.contexts_begin;
    for (uint64_t i = 0; i < shape_.ngrams[k_ - 2]; ++i) {
      if (i % kContextsPerCheck == 0) {
        absl::Status status = CheckStop(stop_);
        if (!status.ok()) return status;
      }
      contexts->Next();
      const uint64_t children = contexts->children();
      const uint64_t suffix = contexts->suffix() - slice_.contexts_begin;
      if (suffix >= size) {
        if (children > 0) (*words)->Skip(children * word_bytes);
        continue;
      }
      if (children > 0) __builtin_prefetch(&begins_[suffix]);
      for (uint64_t j = 0; j < children; ++j) {
        wanted_[wanted_size_++] = {
            static_cast<uint32_t>(suffix),
            static_cast<WordId>((*words)->ReadFixed(word_bytes))};
        if (wanted_size_ == kBatch) {
          absl::Status status = LookUp();
          if (!status.ok()) return status;
        }
      }
    }
    absl::Status status = LookUp();
    if (status.ok()) status = contexts->status();
    return status.ok() ? (*words)->status() : status;
  }

  // Looks up what is wanted.
  absl::Status LookUp() {
    Search();
    for (size_t i = 0; i < wanted_size_; ++i) {
      if (found_[i] == nullptr) continue;  // only if the counts are damaged
      __builtin_prefetch(counters_.data() + (found_[i] - words_.data()), 1);
    }
    const int index_bytes = shape_.index_bytes(k_ - 1);
    for (size_t i = 0; i < wanted_size_; ++i) {
      if (found_[i] == nullptr || *found_[i] != wanted_[i].word) {
        return absl::DataLossError(
            absl::StrCat(work_.path(), ": an n-gram of order ", k_,
                         " has no suffix; the counts are damaged"));
      }
      const uint64_t child = found_[i] - words_.data();
      ++counters_[child];
      ranks_->WriteVarint(child - begins_[wanted_[i].context]);
      if (links_ != nullptr) {
        links_->WriteFixed(slice_.children_begin + child, index_bytes);
      }
    }
    wanted_size_ = 0;
    return absl::OkStatus();
  }

  // Sets found_ to the last child that is not above the wanted word, or the
  // first child, or null if there are none. All binary searches take one step
  // in turn, so that they wait for memory together.
  void Search() {
    std::array<uint32_t, kBatch> sizes;
    std::array<uint8_t, kBatch> active;  // those with more than one child left
    size_t active_size = 0;
    for (size_t i = 0; i < wanted_size_; ++i) {
      const uint32_t begin = begins_[wanted_[i].context];
      sizes[i] = begins_[wanted_[i].context + 1] - begin;
      found_[i] = sizes[i] == 0 ? nullptr : words_.data() + begin;
      __builtin_prefetch(found_[i] + sizes[i] / 2);
      active[active_size] = i;
      active_size += sizes[i] > 1;
    }
    while (active_size > 0) {
      size_t left = 0;
      for (size_t j = 0; j < active_size; ++j) {
        const uint8_t i = active[j];
        const uint32_t half = sizes[i] / 2;
        found_[i] += found_[i][half] <= wanted_[i].word ? half : 0;
        sizes[i] -= half;
        __builtin_prefetch(found_[i] + sizes[i] / 2);
        active[left] = i;
        left += sizes[i] > 1;
      }
      active_size = left;
    }
  }

  absl::Status WriteAdjusted(size_t number) {
    auto file = ByteWriter::Create(
        work_.File(SliceFile(TrieAdjustedFile(k_ - 1), number)));
    if (!file.ok()) return file.status();
    for (uint32_t count : counters_) (*file)->WriteVarint(count);
    return (*file)->Close();
  }

  const TrieShape& shape_;
  const int k_;
  const Slice slice_;
  const StopFlag* const stop_;
  const WorkDirectory& work_;
  std::vector<uint32_t> begins_;    // of each context's children
  std::vector<WordId> words_;       // the children
  std::vector<uint32_t> counters_;  // of n-grams with the child as suffix
  std::array<Wanted, kBatch> wanted_;
  std::array<const WordId*, kBatch> found_;  // of each that is wanted
  size_t wanted_size_ = 0;
  std::unique_ptr<ByteWriter> ranks_, links_;
};

std::string LinkStage(int k) { return absl::StrCat("links-", k); }

// The adjusted count of a word is the number of bigrams that end in it.
absl::Status AdjustWords(const TrieShape& shape, const WorkDirectory& work) {
  auto words = ByteReader::Open(work.File(TrieWordsFile(2)));
  if (!words.ok()) return words.status();
  std::vector<uint32_t> counters(shape.vocabulary);
  for (uint64_t i = 0; i < shape.ngrams[1]; ++i) {
    const uint64_t word = (*words)->ReadFixed(shape.word_bytes());
    if (word >= counters.size()) {
      return (*words)->Damaged("a word that does not exist");
    }
    ++counters[word];
  }
  if (!(*words)->status().ok()) return (*words)->status();
  auto file = ByteWriter::Create(work.File(TrieAdjustedFile(1)));
  if (!file.ok()) return file.status();
  for (uint32_t count : counters) (*file)->WriteVarint(count);
  return (*file)->Close();
}

// Links order k, which is at least 3.
absl::Status LinkOrder(const TrieShape& shape, int k, uint64_t memory,
                       int threads, const StopFlag* stop, WorkDirectory& work) {
  // At least one slice for each thread.
  const uint64_t all =
      kContextBytes * shape.ngrams[k - 3] + kChildBytes * shape.ngrams[k - 2];
  const uint64_t slice_bytes =
      std::min({memory / threads, all / threads + 1, kMaxSliceBytes});
  absl::StatusOr<std::vector<Slice>> slices =
      PlanSlices(shape, k, slice_bytes, work);
  if (!slices.ok()) return slices.status();
  if (slices->size() > kMaxSlices) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("linking order %d needs at least %d MB of --memory", k,
                        (all / kMaxSlices * threads >> 20) + 1));
  }
  std::atomic<size_t> next = 0;
  SharedProgress progress(absl::StrCat("linking order ", k),
                          shape.ngrams[k - 2]);
  absl::Status status = RunThreads(
      std::min<int>(threads, static_cast<int>(slices->size())), [&](int) {
        size_t i;
        while ((i = next++) < slices->size()) {
          const Slice& slice = (*slices)[i];
          absl::Status linked =
              SliceLinker(shape, k, slice, stop, work).Link(i);
          if (!linked.ok()) return linked;
          progress.Add(slice.children_end - slice.children_begin);
        }
        return absl::OkStatus();
      });
  if (status.ok()) status = MergeSlices(shape, k, *slices, work);
  if (status.ok()) progress.Finish();
  return status;
}

}  // namespace

absl::Status LinkSuffixes(const TrieShape& shape, uint64_t memory, int threads,
                          const StopFlag* stop, WorkDirectory& work) {
  for (int k = 2; k <= shape.order(); ++k) {
    std::vector<std::string> files = {TrieAdjustedFile(k - 1)};
    if (k > 2) files.push_back(TrieRanksFile(k));
    if (k > 2 && k < shape.order()) files.push_back(TrieLinksFile(k));
    absl::Status status;
    if (work.Finished(LinkStage(k)) != nullptr) {
      for (const std::string& file : files) status.Update(work.CheckFile(file));
      if (!status.ok()) return status;
      continue;
    }
    status = k == 2 ? AdjustWords(shape, work)
                    : LinkOrder(shape, k, memory, threads, stop, work);
    if (!status.ok()) return status;
    status = work.Finish(LinkStage(k), files, {});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace lmserve
