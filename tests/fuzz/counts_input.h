// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_COUNTS_INPUT_H_
#define LMSERVE_TESTS_FUZZ_COUNTS_INPUT_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What the input of the fuzzer of counts is: its first byte, modulo
// kCountsInputs. All but kText have pieces after it.
enum class CountsInput : uint8_t {
  // A directory of counts: counts.json, the list of words, and the parts
  // part-0, part-1, ..., each without the digest at its end.
  kDirectory,
  // A text as one byte for each word, and changes of its windows; see
  // WriteTextCounts().
  kText,
  // The files of the work directory of a trie, of a merge and of a text, which
  // are named by WorkFiles().
  kTrie,
  kMerge,
  kCount,
};
inline constexpr int kCountsInputs = 5;

// The names of the files of a work directory that an input may have.
std::vector<std::string> WorkFiles(CountsInput kind);

// The pieces of an input. Each has its length before it, in 2 bytes. Any input
// can be split, into at most kMaxPieces.
inline constexpr size_t kMaxPieces = 64;
std::string JoinPieces(CountsInput kind,
                       const std::vector<std::string>& pieces);
std::vector<std::string> SplitPieces(absl::string_view rest);

// Writes a directory of counts from the pieces of CountsInput::kDirectory.
void WriteCounts(const std::vector<std::string>& pieces,
                 const std::string& directory);

// Reads a directory of counts as pieces.
std::vector<std::string> ReadCountsPieces(const std::string& directory);

// Writes a directory of the counts of a text: its windows are those of
// FORMAT.md, but for some that are changed, so that other counts than those of
// a text are tried too. `rest` has the order and the number of changes (a byte
// each); the changes (3 bytes each: which window, what, how much); and the
// words.
void WriteTextCounts(absl::string_view rest, const std::string& directory);

// Changes `size` bytes that have space for `max_size`, and returns the new
// size.
using PieceMutator =
    absl::FunctionRef<size_t(char* data, size_t size, size_t max_size)>;

// Returns the input with a change of one piece.
std::string MutatePieces(std::minstd_rand& random, CountsInput kind,
                         absl::string_view rest, PieceMutator mutate);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_COUNTS_INPUT_H_
