// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/text_ids.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trainer/counting/word_list.h"
#include "trainer/text/sentence_splitter.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"
#include "trainer/text/text_chunks.h"
#include "trainer/text/vocabulary_file.h"

namespace lmserve {
namespace {

constexpr size_t kSelfTestSentences = 3;
constexpr size_t kSelfTestWords = 100;
constexpr size_t kMaxIdBytes = 5;       // of a 32-bit number of variable size
constexpr size_t kBlockHeadBytes = 12;  // the size of a block, and its thread

// Reads chunks of a text on one thread.
class ChunkCounter {
 public:
  ChunkCounter(const CountOptions& options, std::string name, int thread,
               absl::Span<const std::string> vocabulary)
      : rules_(options.text.rules),
        name_(std::move(name)),
        thread_(thread),
        is_fixed_(!options.text.vocabulary_file.empty()),
        sketch_(options.order) {
    for (const std::string& word : vocabulary) table_->Add(word, 0, 0);
    UpdateHashes();
  }

  // Reads a chunk and appends its words to a file, which may be null. Empties
  // the chunk.
  absl::Status Count(TextChunk& chunk, SharedFile* file) {
    const std::unique_ptr<LineReader> lines =
        LineReader::OfLines(name_, chunk.lines_before, std::move(chunk.lines));
    SentenceSplitter splitter(*lines, rules_);
    block_.resize(kBlockHeadBytes);
    used_ = kBlockHeadBytes;
    uint64_t offset = chunk.offset;
    absl::string_view line;
    while (lines->Next(&line)) {
      absl::Status status = splitter.Split(line, &sentence_);
      if (!status.ok()) return status;
      AddSentence(line, offset);
      offset += line.size() + 1;
    }
    unwanted_.Add(splitter.unwanted());
    return file == nullptr ? absl::OkStatus() : WriteBlock(*file);
  }

  const WordTable& table() const { return *table_; }

  // About the memory that grows with the number of words.
  uint64_t MemoryBytes() const {
    return table_->MemoryBytes() + word_hashes_.size() * sizeof(uint64_t);
  }

  // Adds the words of another counter, which may be this one, to the table, and
  // returns the id of each. The other counter loses its table.
  std::vector<WordId> Merge(ChunkCounter& other) {
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
  // Adds to the count of <unk>.
  void AddUnknown(uint64_t count) { table_->Add(kUnknownWord, count, 0); }
  const NgramSketch& sketch() const { return sketch_; }
  const UnwantedCounts& unwanted() const { return unwanted_; }
  uint64_t sentences() const { return sentences_; }
  uint64_t tokens() const { return tokens_; }
  uint64_t blank_lines() const { return blank_lines_; }
  // The first sentences of this thread, with their places.
  const auto& first_sentences() const { return first_sentences_; }

 private:
  void AddSentence(absl::string_view line, uint64_t offset) {
    if (sentence_.empty()) {
      ++blank_lines_;
      if (rules_.form == TextForm::kSentences) return;
    }
    if (block_.size() - used_ < kMaxIdBytes * (sentence_.size() + 1)) {
      block_.resize(2 * block_.size() + kMaxIdBytes * (sentence_.size() + 1));
    }
    ids_.clear();
    ids_.push_back(kBeginId);
    for (absl::string_view word : sentence_) {
      // A word of the line, or the constant <unk>, which every table has.
      ids_.push_back(
          is_fixed_
              ? table_->Count(word)
              : table_->Add(word, 1, offset + (word.data() - line.data())));
    }
    ids_.push_back(kEndId);
    table_->Count(kBeginSentence);
    table_->Count(kEndSentence);
    ++sentences_;
    tokens_ += sentence_.size() + 1;
    UpdateHashes();
    hashes_.clear();
    char* out = &block_[used_];
    for (WordId id : ids_) {
      hashes_.push_back(word_hashes_[id]);
      if (id != kBeginId) out = PutVarint(id, out);
    }
    used_ = out - block_.data();
    sketch_.AddSentence(hashes_);
    if (first_sentences_.size() < kSelfTestSentences) {
      first_sentences_.emplace_back(offset, ids_);
      first_sentences_.back().second.resize(
          std::min(ids_.size(), kSelfTestWords + 1));
    }
  }

  void UpdateHashes() {
    while (word_hashes_.size() < table_->size()) {
      const auto id = static_cast<WordId>(word_hashes_.size());
      word_hashes_.push_back(SketchHash(table_->word(id).text));
    }
  }

  absl::Status WriteBlock(SharedFile& file) {
    const uint64_t bytes = used_ - kBlockHeadBytes;
    const uint32_t thread = thread_;
    std::memcpy(block_.data(), &bytes, sizeof bytes);
    std::memcpy(block_.data() + sizeof bytes, &thread, sizeof thread);
    return file.Append({block_.data(), used_});
  }

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

// Reads a text with several ChunkCounters.
class TextIdWriter {
 public:
  TextIdWriter(const CountOptions& options, LineReader& lines)
      : options_(options),
        lines_(lines),
        progress_("reading"),
        chunks_(lines, progress_, options.shard, options.shards) {}

  absl::Status Read(const std::string& ids_file) {
    std::vector<std::string> vocabulary;
    if (!options_.text.vocabulary_file.empty()) {
      auto words = ReadVocabularyFile(options_.text.vocabulary_file);
      if (!words.ok()) return words.status();
      vocabulary = *std::move(words);
    }
    for (int i = 0; i < options_.threads; ++i) {
      counters_.push_back(std::make_unique<ChunkCounter>(
          options_, lines_.name(), i, vocabulary));
    }
    std::unique_ptr<SharedFile> file;
    if (!ids_file.empty()) {
      auto created = SharedFile::Create(ids_file);
      if (!created.ok()) return created.status();
      file = *std::move(created);
    }
    absl::Status status = RunThreads(options_.threads, [&](int i) {
      return ReadChunks(*counters_[i], file.get());
    });
    if (!status_.ok()) return status_;
    if (status.ok()) status = chunks_.status();
    if (!status.ok()) return status;
    progress_.Finish(words_);
    return Report();
  }

  // Merges the tables and writes the vocabulary.
  absl::StatusOr<TextIds> Merge(const std::string& words_file) {
    TextIds result;
    NgramSketch sketch(options_.order);
    for (const auto& counter : counters_) {
      sketch.Merge(counter->sketch());
      result.ids.push_back(counters_[0]->Merge(*counter));
    }
    const WordTable& merged = counters_[0]->table();
    std::vector<WordId> order = FinalOrder(merged);
    absl::Status status = CheckLongestWord(merged, order);
    if (!status.ok()) return status;
    if (order.size() == kMarkerIds) {
      WarnAboutNoWords(lines_.name(), options_.text.min_count);
    }
    std::vector<WordId> final_ids(merged.size(), kUnknownId);
    for (size_t id = 0; id < order.size(); ++id) final_ids[order[id]] = id;
    for (std::vector<WordId>& ids : result.ids) {
      for (WordId& id : ids) id = final_ids[id];
    }
    SetTotals(merged, order, final_ids, &result);
    // Words that become <unk> are counted as <unk>.
    counters_[0]->AddUnknown(result.totals.unknown -
                             merged.word(kUnknownId).count);
    for (WordId id : order) result.counts.push_back(merged.word(id).count);
    for (int k = 1; k <= options_.order; ++k) {
      result.ngrams.push_back(static_cast<uint64_t>(sketch.Estimate(k)));
    }
    if (!words_file.empty()) status = WriteWordList(words_file, merged, order);
    if (!status.ok()) return status;
    return result;
  }

 private:
  absl::Status ReadChunks(ChunkCounter& counter, SharedFile* file) {
    TextChunk chunk;
    while (NextChunk(&chunk)) {
      const uint64_t tokens = counter.tokens();
      absl::Status status = counter.Count(chunk, file);
      if (status.ok()) status = CheckStop(options_.stop);
      if (status.ok() &&
          counter.MemoryBytes() * options_.threads > options_.memory / 3 * 2) {
        status = absl::ResourceExhaustedError(
            absl::StrCat(lines_.name(),
                         ": the tables of words need more than --memory; "
                         "give more, use fewer --threads, or fix the words by "
                         "--vocabulary"));
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      words_ += counter.tokens() - tokens;
      // The error of the first chunk is reported, as if one thread had read
      // the text.
      if (!status.ok() && chunk.number < failed_chunk_) {
        failed_chunk_ = chunk.number;
        status_ = std::move(status);
      }
    }
    return absl::OkStatus();
  }

  bool NextChunk(TextChunk* chunk) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!status_.ok()) return false;
    chunks_.set_words(words_);
    return chunks_.Next(chunk);
  }

  // Prints what was left out and replaced. Fails if there is no sentence.
  absl::Status Report() {
    UnwantedCounts unwanted;
    uint64_t sentences = 0, tokens = 0;
    for (const auto& counter : counters_) {
      unwanted.Add(counter->unwanted());
      sentences += counter->sentences();
      tokens += counter->tokens();
    }
    const std::string summary = unwanted.Summary(lines_.name());
    if (!summary.empty()) PrintMessage(summary);
    if (sentences == 0 && options_.shards == 1) return NoSentenceError(lines_);
    WarnAboutUnknown(lines_.name(), unwanted.unknown, tokens);
    return absl::OkStatus();
  }

  std::vector<WordId> FinalOrder(const WordTable& merged) const {
    if (options_.text.vocabulary_file.empty()) {
      return FrequencyOrder(merged, options_.text.min_count);
    }
    std::vector<WordId> order(merged.size());
    std::iota(order.begin(), order.end(), 0u);
    return order;
  }

  // A vocabulary names the problem of a word that is too long.
  static absl::Status CheckLongestWord(const WordTable& merged,
                                       absl::Span<const WordId> order) {
    const bool fits = std::all_of(order.begin(), order.end(), [&](WordId id) {
      return merged.word(id).text.size() <= kMaxWordSize;
    });
    if (fits) return absl::OkStatus();
    std::vector<absl::string_view> words;
    for (WordId id : order) words.push_back(merged.word(id).text);
    return Vocabulary::Create(words).status();
  }

  void SetTotals(const WordTable& merged, absl::Span<const WordId> order,
                 absl::Span<const WordId> final_ids, TextIds* result) const {
    TextTotals& totals = result->totals;
    for (size_t i = 0; i < counters_.size(); ++i) {
      totals.sentences += counters_[i]->sentences();
      totals.tokens += counters_[i]->tokens();
      totals.blank_lines += counters_[i]->blank_lines();
      for (const auto& [place, ids] : counters_[i]->first_sentences()) {
        std::vector<absl::string_view> words;
        for (WordId id : ids) {
          if (id == kBeginId || id == kEndId) continue;
          words.push_back(merged.word(order[result->ids[i][id]]).text);
        }
        totals.self_test.push_back({place, absl::StrJoin(words, " ")});
      }
    }
    KeepFirstSentences(&totals.self_test);
    for (WordId id = 0; id < merged.size(); ++id) {
      if (final_ids[id] == kUnknownId) totals.unknown += merged.word(id).count;
    }
  }

  const CountOptions& options_;
  LineReader& lines_;
  std::mutex mutex_;  // guards what is below up to the counters
  Progress progress_;
  ChunkReader chunks_;
  uint64_t words_ = 0;
  absl::Status status_;
  uint64_t failed_chunk_ = std::numeric_limits<uint64_t>::max();
  std::vector<std::unique_ptr<ChunkCounter>> counters_;
};

}  // namespace

void KeepFirstSentences(std::vector<FirstSentence>* sentences) {
  std::sort(sentences->begin(), sentences->end());
  sentences->resize(std::min(sentences->size(), kSelfTestSentences));
}

absl::StatusOr<TextIds> ReadTextIds(const CountOptions& options,
                                    const std::string& ids_file,
                                    const std::string& words_file) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  TextIdWriter writer(options, **lines);
  absl::Status status = writer.Read(ids_file);
  if (!status.ok()) return status;
  return writer.Merge(words_file);
}

absl::StatusOr<std::unique_ptr<IdReader>> IdReader::Open(
    const std::string& path, const std::vector<std::vector<WordId>>& ids) {
  absl::StatusOr<std::unique_ptr<ByteReader>> file = ByteReader::Open(path);
  if (!file.ok()) return file.status();
  return std::unique_ptr<IdReader>(new IdReader(*std::move(file), ids));
}

absl::StatusOr<bool> IdReader::Next(IdBlock* block) {
  block->clear();
  std::string bytes;
  size_t thread;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (file_->AtEnd()) return false;
    const uint64_t size = file_->ReadFixed(8);
    thread = file_->ReadFixed(4);
    if (thread >= ids_.size() || size > file_->size() - file_->position()) {
      return file_->Damaged("not a block of ids");
    }
    bytes.resize(size + kMaxVarintBytes);
    file_->Read(bytes.data(), size);
    if (!file_->status().ok()) return file_->status();
    bytes.resize(size);
  }
  const std::vector<WordId>& ids = ids_[thread];
  for (size_t i = 0; i < bytes.size();) {
    uint64_t id = 0;
    int shift = 0;
    uint8_t byte;
    do {
      byte = static_cast<uint8_t>(bytes[i++]);
      id |= uint64_t{byte & 0x7Fu} << shift;
      shift += 7;
    } while (byte >= 0x80 && shift < 35 && i < bytes.size());
    if (id >= ids.size()) return file_->Damaged("an id that does not exist");
    block->push_back(ids[id]);
  }
  return true;
}

double IdReader::Progress() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return file_->size() == 0 ? 1
                            : static_cast<double>(file_->position()) /
                                  static_cast<double>(file_->size());
}

}  // namespace lmserve
