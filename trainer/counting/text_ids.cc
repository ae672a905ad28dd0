// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/text_ids.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trainer/counting/chunk_counter.h"
#include "trainer/counting/word_list.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"
#include "trainer/text/text_chunks.h"
#include "trainer/text/vocabulary_file.h"

namespace lmserve {
namespace {

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
    for (WordId id : order) {
      result.counts.push_back(merged.word(id).count);
      result.word_bytes += merged.word(id).text.size();
    }
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

}  // namespace lmserve
