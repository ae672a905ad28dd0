// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/trie_reader.h"

#include <string>
#include <utility>

namespace lmserve {

absl::StatusOr<std::unique_ptr<TrieReader>> TrieReader::Open(
    const TrieShape& shape, int k, const WorkDirectory& work) {
  std::unique_ptr<TrieReader> reader(new TrieReader(shape, k));
  std::vector<std::pair<std::unique_ptr<ByteReader>*, std::string>> files = {
      {&reader->words_, TrieWordsFile(k)},
      {&reader->counts_, TrieCountsFile(k)}};
  if (k > 1) files.emplace_back(&reader->degrees_, TrieDegreesFile(k - 1));
  if (k > 2) files.emplace_back(&reader->ranks_, TrieRanksFile(k));
  if (k < shape.order()) {
    files.emplace_back(&reader->adjusted_, TrieAdjustedFile(k));
  }
  if (k == 3) {
    // The suffix of a bigram is its last word.
    files.emplace_back(&reader->links_, TrieWordsFile(2));
    reader->link_bytes_ = shape.word_bytes();
  } else if (k > 3) {
    files.emplace_back(&reader->links_, TrieLinksFile(k - 1));
    reader->link_bytes_ = shape.index_bytes(k - 2);
  }
  for (auto& [file, name] : files) {
    auto opened = ByteReader::Open(work.File(name));
    if (!opened.ok()) return opened.status();
    *file = *std::move(opened);
  }
  return reader;
}

bool TrieReader::Next() {
  const uint64_t contexts = k_ == 1 ? 1 : shape_.ngrams[k_ - 2];
  if (!status_.ok() || context_ == contexts) return false;
  ++context_;
  const uint64_t size =
      degrees_ == nullptr ? shape_.vocabulary : degrees_->ReadVarint();
  if (links_ != nullptr) suffix_ = links_->ReadFixed(link_bytes_);
  if (size > shape_.ngrams[k_ - 1] - ngram_) {
    status_ = words_->Damaged("fewer n-grams than their contexts say");
    return false;
  }
  if (k_ > 2 && suffix_ >= shape_.ngrams[k_ - 3]) {
    status_ = links_->Damaged("a suffix that does not exist");
    return false;
  }
  children_.resize(size);
  for (TrieChild& child : children_) {
    child.word = static_cast<WordId>(words_->ReadFixed(shape_.word_bytes()));
    if (child.word >= shape_.vocabulary) {
      status_ = words_->Damaged("a word that does not exist");
      return false;
    }
    child.rank = ranks_ == nullptr ? child.word : ranks_->ReadVarint();
    child.text_count = counts_->ReadVarint();
    child.count = child.text_count;
    if (adjusted_ != nullptr) {
      const uint64_t adjusted = adjusted_->ReadVarint();
      if (k_ == 1 || !IsInRange(ngram_)) child.count = adjusted;
    }
    ++ngram_;
  }
  status_ = UpdateStatus();
  if (status_.ok() && context_ == contexts && ngram_ < shape_.ngrams[k_ - 1]) {
    status_ = words_->Damaged("more n-grams than their contexts say");
  }
  return status_.ok();
}

absl::Status TrieReader::UpdateStatus() {
  absl::Status status;
  for (const ByteReader* file :
       {degrees_.get(), links_.get(), words_.get(), counts_.get(), ranks_.get(),
        adjusted_.get()}) {
    if (file != nullptr) status.Update(file->status());
  }
  return status;
}

}  // namespace lmserve
