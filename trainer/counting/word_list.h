// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_WORD_LIST_H_
#define LMSERVE_TRAINER_COUNTING_WORD_LIST_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/counting/word_table.h"

namespace lmserve {

// A file with the words of a vocabulary, in the order of the ids: a line for
// each, with the count of the word, its CountedWord::first, and the word,
// separated by tabs. (A word may begin with a byte order mark, so it is last.)
// See FORMAT.md.

// Writes the words of a table in an order.
absl::Status WriteWordList(const std::string& path, const WordTable& table,
                           absl::Span<const WordId> order);

// Reads a file and calls `visit` for each word. Fails, naming the line, if the
// file is damaged, if it has no markers at its start or one elsewhere, or if
// its counts are above kMaxCounted in all. It does not look for words that are
// there twice.
absl::Status ReadWordList(
    const std::string& path,
    absl::FunctionRef<absl::Status(const CountedWord&)> visit);

// Reads the counts of the words.
absl::StatusOr<std::vector<uint64_t>> ReadWordCounts(const std::string& path);

// Reads the words as a vocabulary.
absl::StatusOr<Vocabulary> ReadWordListVocabulary(const std::string& path);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_WORD_LIST_H_
