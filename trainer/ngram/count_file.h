// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_COUNT_FILE_H_
#define LMSERVE_TRAINER_NGRAM_COUNT_FILE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Counts of n-grams as text, in the form of SRILM and of Google's n-grams: a
// line for each n-gram of each order has its words, separated by spaces, a tab
// and the count.

// Writes the n-grams that occur, order by order, in the order of the levels. A
// line whose first word begins with a byte order mark, which readers pass over
// at the start of a line, begins with a space. The caller must check the state
// of the stream.
void WriteCounts(const Vocabulary& vocabulary, const NgramCounts& counts,
                 std::ostream& out);

struct CountedText {
  Vocabulary vocabulary;
  NgramCounts counts = {};
  // What the user should know, one sentence each.
  std::vector<std::string> warnings = {};
};

// Reads counts of the orders 1 to `order` from files, plain or compressed; "-"
// is the standard input. Lines may be in any order, words may be separated by
// any white space, and the counts of an n-gram that has several lines are
// added. N-grams of higher orders are left out.
//
// The words get the ids that ReadCorpus() gives them if the 1-grams are in the
// order of their first occurrence or of WriteCounts(): <unk>, <s>, </s>, then
// the others by falling frequency, equal ones in the order of the files. Of the
// options, vocabulary_file and min_count are used as for a text. So the counts
// of a text that were written are read as they were, except for words of a
// vocabulary_file that do not occur.
//
// Fails with INVALID_ARGUMENT, naming the file and line or the n-gram, for
// - a line of another form, a count of 0 or above 2^32 - 1, invalid UTF-8,
// - <s> after the first word of an n-gram or </s> before the last one,
// - counts without <s> or </s>,
// - an n-gram whose first or last words are not an n-gram of the order below,
//   and an order without n-grams although sentences are long enough.
// Warns if the n-grams after a context occur less or more often than the
// context: counts with a cut-off give other discounts than those of a text.
absl::StatusOr<CountedText> ReadCounts(absl::Span<const std::string> files,
                                       int order, const CorpusOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_COUNT_FILE_H_
