// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_VOCABULARY_BUILDER_H_
#define LMSERVE_TRAINER_TEXT_VOCABULARY_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/vocabulary.h"
#include "trainer/text/marker_ids.h"

namespace lmserve {

// Collects the words of a training text with their counts. Words get
// preliminary ids in the order of their first occurrence, after the markers,
// which have their final ids; Build() renumbers the others. Not thread-safe.
class VocabularyBuilder {
 public:
  VocabularyBuilder();

  // Reads the vocabulary from a file (see CorpusOptions::vocabulary_file). All
  // other words are unknown from now on. Fails with INVALID_ARGUMENT, naming
  // the file, if it is not a list of words.
  absl::Status Fix(const std::string& file);

  // Returns the preliminary id of a word.
  WordId Add(absl::string_view word);

  // Adds occurrences of a word, by its preliminary id.
  void Count(WordId id, uint64_t occurrences = 1) {
    counts_[id] += occurrences;
  }

  uint64_t count(WordId id) const { return counts_[id]; }
  absl::string_view word(WordId id) const { return names_[id]; }

  // Returns the vocabulary: the markers, then the words that occur at least
  // min_count times, by falling frequency. Words of equal frequency keep their
  // order, and so do all words of a file. Fails as Vocabulary::Create() does.
  struct Result {
    Vocabulary vocabulary;
    std::vector<WordId> ids;  // the final ids, by preliminary id
  };
  absl::StatusOr<Result> Build(uint64_t min_count) const;

 private:
  WordId AddNew(absl::string_view word);

  // Returns the preliminary ids in the order of the final ids.
  std::vector<WordId> Order(uint64_t min_count) const;

  bool is_fixed_ = false;
  absl::node_hash_map<std::string, WordId> ids_;
  std::vector<absl::string_view> names_;  // views of the keys of ids_
  std::vector<uint64_t> counts_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_VOCABULARY_BUILDER_H_
