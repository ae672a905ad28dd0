// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/vocabulary_builder.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "trainer/text/vocabulary_file.h"

namespace lmserve {

VocabularyBuilder::VocabularyBuilder() {
  for (absl::string_view marker :
       {kUnknownWord, kBeginSentence, kEndSentence}) {
    AddNew(marker);
  }
}

absl::Status VocabularyBuilder::Fix(const std::string& file) {
  const absl::StatusOr<std::vector<std::string>> words =
      ReadVocabularyFile(file);
  if (!words.ok()) return words.status();
  for (const std::string& word : *words) AddNew(word);
  is_fixed_ = true;
  return absl::OkStatus();
}

WordId VocabularyBuilder::Add(absl::string_view word) {
  const auto found = ids_.find(word);
  if (found != ids_.end()) return found->second;
  return is_fixed_ ? kUnknownId : AddNew(word);
}

WordId VocabularyBuilder::AddNew(absl::string_view word) {
  const WordId id = static_cast<WordId>(names_.size());
  names_.push_back(ids_.emplace(word, id).first->first);
  counts_.push_back(0);
  return id;
}

absl::StatusOr<VocabularyBuilder::Result> VocabularyBuilder::Build(
    uint64_t min_count) const {
  std::vector<WordId> ids(names_.size(), kUnknownId);
  std::vector<absl::string_view> names;
  for (WordId id : Order(min_count)) {
    ids[id] = static_cast<WordId>(names.size());
    names.push_back(names_[id]);
  }
  absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(names);
  if (!vocabulary.ok()) return vocabulary.status();
  return Result{*std::move(vocabulary), std::move(ids)};
}

std::vector<WordId> VocabularyBuilder::Order(uint64_t min_count) const {
  std::vector<WordId> ids(names_.size());
  std::iota(ids.begin(), ids.end(), 0u);
  if (is_fixed_) return ids;
  ids.erase(std::remove_if(ids.begin() + kMarkerIds, ids.end(),
                           [&](WordId id) { return counts_[id] < min_count; }),
            ids.end());
  std::stable_sort(ids.begin() + kMarkerIds, ids.end(),
                   [&](WordId a, WordId b) { return counts_[a] > counts_[b]; });
  return ids;
}

}  // namespace lmserve
