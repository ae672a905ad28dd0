// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/chunk_counter.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "text_io/line_reader.h"

namespace lmserve {
namespace {

constexpr size_t kMaxIdBytes = 5;  // of a 32-bit number of variable size

}  // namespace

ChunkCounter::ChunkCounter(const CountOptions& options, std::string name,
                           int thread, absl::Span<const std::string> vocabulary)
    : rules_(options.text.rules),
      name_(std::move(name)),
      thread_(thread),
      is_fixed_(!options.text.vocabulary_file.empty()),
      sketch_(options.order) {
  for (const std::string& word : vocabulary) table_->Add(word, 0, 0);
  UpdateHashes();
}

absl::Status ChunkCounter::Count(TextChunk& chunk, SharedFile* file) {
  const std::unique_ptr<LineReader> lines =
      LineReader::OfLines(name_, chunk.lines_before, std::move(chunk.lines));
  SentenceSplitter splitter(*lines, rules_);
  block_.resize(kIdBlockHeadBytes);
  used_ = kIdBlockHeadBytes;
  uint64_t offset = chunk.offset;
  absl::string_view line;
  while (lines->Next(&line)) {
    absl::Status status = splitter.Split(line, &sentence_);
    if (!status.ok()) return status;
    AddSentence(line, offset);
    offset += line.size() + 1;
  }
  unwanted_.Add(splitter.unwanted());
  return file == nullptr ? absl::OkStatus() : AppendBlock(*file);
}

void ChunkCounter::AddSentence(absl::string_view line, uint64_t offset) {
  if (sentence_.empty()) {
    ++blank_lines_;
    if (rules_.form == TextForm::kSentences) return;
  }
  ids_.clear();
  ids_.push_back(kBeginId);
  for (absl::string_view word : sentence_) {
    ids_.push_back(IdOf(word, line, offset));
  }
  ids_.push_back(kEndId);
  table_->Count(kBeginSentence);
  table_->Count(kEndSentence);
  ++sentences_;
  tokens_ += sentence_.size() + 1;
  UpdateHashes();
  hashes_.clear();
  for (WordId id : ids_) hashes_.push_back(word_hashes_[id]);
  sketch_.AddSentence(hashes_);
  WriteIds();
  if (first_sentences_.size() < kSelfTestSentences) {
    first_sentences_.emplace_back(offset, ids_);
    first_sentences_.back().second.resize(
        std::min(ids_.size(), kSelfTestWords + 1));
  }
}

// The word is a view of the line, except that the constant <unk> may replace
// it.
WordId ChunkCounter::IdOf(absl::string_view word, absl::string_view line,
                          uint64_t offset) {
  if (is_fixed_ || word == kUnknownWord) return table_->Count(word);
  return table_->Add(word, 1, offset + (word.data() - line.data()));
}

void ChunkCounter::WriteIds() {
  const size_t needed = kMaxIdBytes * ids_.size();
  if (block_.size() - used_ < needed) {
    block_.resize(2 * block_.size() + needed);
  }
  char* out = &block_[used_];
  for (size_t i = 1; i < ids_.size(); ++i) out = PutVarint(ids_[i], out);
  used_ = out - block_.data();
}

void ChunkCounter::UpdateHashes() {
  while (word_hashes_.size() < table_->size()) {
    const auto id = static_cast<WordId>(word_hashes_.size());
    word_hashes_.push_back(SketchHash(table_->word(id).text));
  }
}

absl::Status ChunkCounter::AppendBlock(SharedFile& file) {
  const uint64_t bytes = used_ - kIdBlockHeadBytes;
  const uint32_t thread = thread_;
  std::memcpy(block_.data(), &bytes, sizeof bytes);
  std::memcpy(block_.data() + sizeof bytes, &thread, sizeof thread);
  return file.Append({block_.data(), used_});
}

std::vector<WordId> ChunkCounter::Merge(ChunkCounter& other) {
  std::vector<uint64_t>().swap(other.word_hashes_);
  std::vector<WordId> ids(other.table_->size());
  if (&other == this) {
    std::iota(ids.begin(), ids.end(), 0u);
    return ids;
  }
  for (WordId id = 0; id < other.table_->size(); ++id) {
    const CountedWord& word = other.table_->word(id);
    ids[id] = table_->Add(word.text, word.count, word.first);
  }
  other.table_ = nullptr;
  return ids;
}

}  // namespace lmserve
