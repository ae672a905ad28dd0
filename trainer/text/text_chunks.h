// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_TEXT_CHUNKS_H_
#define LMSERVE_TRAINER_TEXT_TEXT_CHUNKS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "text_io/line_reader.h"
#include "trainer/text/progress.h"

namespace lmserve {

// Consecutive whole lines of a text. Each ends with LF.
struct TextChunk {
  uint64_t number = 0;        // from 0
  uint64_t lines_before = 0;  // in the text
  // The number of bytes before the chunk, if each line ended with LF and none
  // began with a byte order mark.
  uint64_t offset = 0;
  std::string lines;
};

// Cuts a text into chunks, so that several threads can read it. The cuts depend
// on the text alone. Does not own its arguments, which must outlive it. Not
// thread-safe.
class ChunkReader {
 public:
  // Returns only every `shards`-th chunk: those whose number modulo `shards` is
  // `shard`.
  ChunkReader(LineReader& lines, Progress& progress, uint64_t shard = 0,
              uint64_t shards = 1)
      : lines_(lines), progress_(progress), shard_(shard), shards_(shards) {}

  // Reads the next chunk. Returns false at the end of the text and when reading
  // fails, as status() says.
  bool Next(TextChunk* chunk);

  const absl::Status& status() const { return lines_.status(); }

  // The number of chunks read so far, those of other shards included.
  uint64_t chunks() const { return chunks_; }

  // What the progress shows: the number of words read so far.
  void set_words(uint64_t words) { words_ = words; }

 private:
  LineReader& lines_;
  Progress& progress_;
  const uint64_t shard_;
  const uint64_t shards_;
  uint64_t chunks_ = 0;
  uint64_t offset_ = 0;
  uint64_t words_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_TEXT_CHUNKS_H_
