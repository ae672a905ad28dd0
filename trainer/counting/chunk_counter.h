// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_CHUNK_COUNTER_H_
#define LMSERVE_TRAINER_COUNTING_CHUNK_COUNTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/count_options.h"
#include "trainer/counting/ngram_sketch.h"
#include "trainer/counting/word_table.h"
#include "trainer/text/sentence_splitter.h"
#include "trainer/text/text_chunks.h"

namespace lmserve {

// A file of ids has blocks. A block has the sentences of a chunk of text as the
// provisional ids of the thread that has read it: u64 the number of bytes of
// the ids, u32 the number of the thread, and the ids in a variable size. Each
// sentence ends with that of </s>, and has no <s>.
inline constexpr size_t kIdBlockHeadBytes = 12;

// Returns how many sentences the self-test of a version has, and how many words
// of each.
inline constexpr size_t kSelfTestSentences = 3;
inline constexpr size_t kSelfTestWords = 100;

// Reads chunks of a text on one thread: counts words, gives them provisional
// ids in the order in which it meets them, and writes the ids. Not thread-safe.
class ChunkCounter {
 public:
  // `name` is the name of the text. `vocabulary` has the words of a fixed
  // vocabulary, if options.text.vocabulary_file is not empty.
  ChunkCounter(const CountOptions& options, std::string name, int thread,
               absl::Span<const std::string> vocabulary);

  // Reads a chunk, empties it, and appends its ids to a file, which may be
  // null.
  absl::Status Count(TextChunk& chunk, SharedFile* file);

  // Adds the words of another counter, which may be this one, to the table, and
  // returns the new id of each. The other counter loses its table.
  std::vector<WordId> Merge(ChunkCounter& other);

  // Adds to the count of <unk>.
  void AddUnknown(uint64_t count) { table_->Add(kUnknownWord, count, 0); }

  // About the memory that grows with the number of words.
  uint64_t MemoryBytes() const {
    return table_->MemoryBytes() + word_hashes_.size() * sizeof(uint64_t);
  }

  const WordTable& table() const { return *table_; }
  const NgramSketch& sketch() const { return sketch_; }
  const UnwantedCounts& unwanted() const { return unwanted_; }
  uint64_t sentences() const { return sentences_; }
  uint64_t tokens() const { return tokens_; }  // all words but <s>
  uint64_t blank_lines() const { return blank_lines_; }

  // The first sentences of this thread: their places in the text, and the ids
  // of their first words.
  const std::vector<std::pair<uint64_t, std::vector<WordId>>>& first_sentences()
      const {
    return first_sentences_;
  }

 private:
  // Adds sentence_, the words of a line at an offset of the text.
  void AddSentence(absl::string_view line, uint64_t offset);
  WordId IdOf(absl::string_view word, absl::string_view line, uint64_t offset);
  void WriteIds();
  void UpdateHashes();
  absl::Status AppendBlock(SharedFile& file);

  const TextRules rules_;
  const std::string name_;
  const int thread_;
  const bool is_fixed_;
  std::unique_ptr<WordTable> table_ = std::make_unique<WordTable>();
  std::vector<uint64_t> word_hashes_;  // the SketchHash() of each word
  NgramSketch sketch_;
  UnwantedCounts unwanted_;
  uint64_t sentences_ = 0;
  uint64_t tokens_ = 0;
  uint64_t blank_lines_ = 0;
  std::vector<std::pair<uint64_t, std::vector<WordId>>> first_sentences_;

  // Of one sentence.
  std::vector<absl::string_view> sentence_;
  std::vector<WordId> ids_;
  std::vector<uint64_t> hashes_;
  // Of one chunk.
  std::string block_;
  size_t used_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_CHUNK_COUNTER_H_
