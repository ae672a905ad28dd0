// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_TEXT_IDS_H_
#define LMSERVE_TRAINER_COUNTING_TEXT_IDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/counting/count_options.h"
#include "trainer/counting/word_table.h"

namespace lmserve {

// The first stage of counting: a text is read once, by several threads, which
// replace its words by ids. Each thread has a table of words of its own, and
// its ids are provisional. Then the tables are merged, and the ids of the model
// are known.

// A sentence at the start of a text.
struct FirstSentence {
  // A number that is smaller the earlier the sentence is; see
  // CountedWord::first.
  uint64_t place = 0;
  // At most 100 words, separated by spaces; unknown ones are <unk>.
  std::string text;

  friend bool operator==(const FirstSentence&, const FirstSentence&) = default;
  // clang-tidy takes the zero in a defaulted <=> for a null pointer.
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const FirstSentence&, const FirstSentence&) = default;
};

// Keeps the first sentences: as many as the self-test of a version has.
void KeepFirstSentences(std::vector<FirstSentence>* sentences);

// The sizes of a text.
struct TextTotals {
  uint64_t sentences = 0;
  uint64_t tokens = 0;  // all words but <s>
  uint64_t unknown = 0;
  uint64_t blank_lines = 0;
  // The first sentences, in order, for the self-test of a version.
  std::vector<FirstSentence> self_test;
};

// What is known of a text after it was read.
struct TextIds {
  TextTotals totals;
  std::vector<uint64_t> counts;  // of each word of the vocabulary
  // The sum of the lengths of these words. Only set by ReadTextIds().
  uint64_t word_bytes = 0;
  // ids[t][i] is the id of the word with the provisional id i of thread t.
  std::vector<std::vector<WordId>> ids;
  // The estimated number of different n-grams of each order, from 1 on.
  std::vector<uint64_t> ngrams;
};

// Reads a text and writes its words, as provisional ids, to the file
// `ids_file`, which IdReader reads, and the vocabulary to the file
// `words_file`; see word_list.h. Without an `ids_file` it only counts. Fails as
// ReadCorpus() does, with RESOURCE_EXHAUSTED if the tables of words need too
// much memory, and with ABORTED if a stop is requested.
absl::StatusOr<TextIds> ReadTextIds(const CountOptions& options,
                                    const std::string& ids_file,
                                    const std::string& words_file);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_TEXT_IDS_H_
