// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/text_chunks.h"

namespace lmserve {
namespace {

constexpr size_t kChunkBytes = 256 << 10;

}  // namespace

bool ChunkReader::Next(TextChunk* chunk) {
  bool is_wanted = false;
  while (!is_wanted) {
    is_wanted = chunks_ % shards_ == shard_;
    chunk->number = chunks_;
    chunk->lines_before = lines_.line_number();
    chunk->offset = offset_;
    chunk->lines.clear();
    size_t bytes = 0;
    absl::string_view line;
    while (bytes < kChunkBytes && lines_.Next(&line)) {
      if (is_wanted)
        chunk->lines.append(line.data(), line.size()).push_back('\n');
      bytes += line.size() + 1;
      progress_.Update(words_, lines_.Progress());
    }
    if (bytes == 0) return false;
    ++chunks_;
    offset_ += bytes;
  }
  return true;
}

}  // namespace lmserve
