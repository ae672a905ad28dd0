// SPDX-License-Identifier: Apache-2.0
#include "local/score_texts.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "models/find_words.h"
#include "models/score_gaps.h"

namespace lmserve {
namespace {

// Scores some of the texts. Lives on the thread that runs it.
class PartScorer {
 public:
  PartScorer(const AnyModel& model, const LocalScoreOptions& options)
      : model_(model), options_(options) {}

  absl::Status Score(absl::Span<const absl::string_view> texts,
                     absl::Span<const absl::string_view> sources,
                     absl::Span<LocalScore> scores) {
    size_t words = 0, begin = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      absl::Status status = Encode(texts[i], &scores[i]);
      if (!status.ok()) return status;
      words += std::max<size_t>(1, WordsOfText(ends_.size() - 1).size());
      if (words < kBatchWords && i + 1 < texts.size()) continue;
      const size_t count = i + 1 - begin;
      ScoreBatch(sources.size() == 1
                     ? sources
                     : sources.subspan(std::min(begin, sources.size()), count),
                 scores.subspan(begin, count));
      words_.clear();
      ends_.clear();
      begin = i + 1;
      words = 0;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Encode(absl::string_view text, LocalScore* score) {
    const Vocabulary& vocabulary = model_.vocabulary();
    absl::Status status = AppendWordsOf(vocabulary, text, &words_);
    if (!status.ok()) return status;
    ends_.push_back(words_.size());
    const absl::Span<const WordId> words = WordsOfText(ends_.size() - 1);
    score->words = words.size();
    score->unknown =
        std::count(words.begin(), words.end(), vocabulary.unknown());
    if (options_.end && model_.predicts_end()) {
      words_.push_back(vocabulary.end_sentence());
      ++ends_.back();
    }
    score->log_probs.resize(WordsOfText(ends_.size() - 1).size());
    return absl::OkStatus();
  }

  absl::Span<const WordId> WordsOfText(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return absl::MakeConstSpan(words_).subspan(begin, ends_[i] - begin);
  }

  void ScoreBatch(absl::Span<const absl::string_view> sources,
                  absl::Span<LocalScore> scores) {
    if (model_.kind() == ModelKind::kBidirectional) {
      for (size_t i = 0; i < ends_.size(); ++i) {
        ScoreGaps(*model_.bidirectional(), WordsOfText(i), 0,
                  absl::MakeSpan(scores[i].log_probs));
      }
      return;
    }
    const LanguageModel& reader = *model_.word_by_word();
    const size_t size = reader.state_size();
    std::vector<std::unique_ptr<const TranslationModel::Source>> read;
    std::vector<std::byte> starts(std::max<size_t>(1, sources.size()) * size);
    if (const TranslationModel* translation = model_.translation()) {
      for (size_t i = 0; i < sources.size(); ++i) {
        read.push_back(translation->Read(
            FindWords(translation->source_vocabulary(), sources[i])));
        read.back()->Start(starts.data() + i * size);
      }
    } else if (options_.begin) {
      reader.Start(starts.data());
    } else {
      reader.StartEmpty(starts.data());
    }
    std::vector<LanguageModel::Query> batch;
    batch.reserve(ends_.size());
    for (size_t i = 0; i < ends_.size(); ++i) {
      const size_t source = sources.size() <= 1 ? 0 : i;
      batch.push_back({starts.data() + source * size, WordsOfText(i), nullptr,
                       absl::MakeSpan(scores[i].log_probs)});
    }
    reader.Score(batch);
  }

  const AnyModel& model_;
  const LocalScoreOptions& options_;
  // Of the texts of a batch: the words, and where those of each text end.
  std::vector<WordId> words_;
  std::vector<size_t> ends_;
};

// Cuts texts into parts of about the same number of bytes for `threads`
// threads; returns their ends. There are several parts for each thread if they
// still have the words of a batch, so that threads that begin early take more
// of them.
std::vector<size_t> EndsOfParts(absl::Span<const absl::string_view> texts,
                                size_t threads) {
  constexpr size_t kBatchBytes = kBatchWords * 6;  // in English
  size_t total = 0;
  for (absl::string_view text : texts) total += text.size() + 1;
  const size_t parts =
      threads == 1 ? 1 : std::clamp(total / kBatchBytes, threads, texts.size());
  std::vector<size_t> ends;
  size_t bytes = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    bytes += texts[i].size() + 1;
    if (bytes * parts >= total * (ends.size() + 1)) ends.push_back(i + 1);
  }
  return ends;
}

}  // namespace

absl::Status AppendWordsOf(const Vocabulary& vocabulary, absl::string_view text,
                           std::vector<WordId>* words) {
  const size_t before = words->size();
  AppendWords(vocabulary, text, words);
  for (size_t i = before; i < words->size(); ++i) {
    const WordId word = (*words)[i];
    if (word != vocabulary.begin_sentence() &&
        word != vocabulary.end_sentence()) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "word ", i - before, ": expected no sentence marker, found ",
        vocabulary.word(word)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<WordId>> WordsOf(const Vocabulary& vocabulary,
                                            absl::string_view text) {
  std::vector<WordId> words;
  absl::Status status = AppendWordsOf(vocabulary, text, &words);
  if (!status.ok()) return status;
  return words;
}

absl::StatusOr<std::vector<LocalScore>> ScoreTexts(
    const AnyModel& model, absl::Span<const absl::string_view> texts,
    const LocalScoreOptions& options) {
  std::vector<LocalScore> scores(texts.size());
  if (texts.empty()) return scores;
  const size_t threads =
      std::min<size_t>(std::max(1, options.threads), texts.size());
  const std::vector<size_t> ends = EndsOfParts(texts, threads);
  std::vector<absl::Status> results(ends.size());
  const auto run = [&](size_t part) {
    const size_t begin = part == 0 ? 0 : ends[part - 1];
    const size_t count = ends[part] - begin;
    absl::Span<const absl::string_view> sources = options.sources;
    if (sources.size() > 1) sources = sources.subspan(begin, count);
    results[part] = PartScorer(model, options)
                        .Score(texts.subspan(begin, count), sources,
                               absl::MakeSpan(scores).subspan(begin, count));
  };
  std::atomic<size_t> next_part = 0;
  const auto run_parts = [&] {
    for (size_t part; (part = next_part++) < ends.size();) run(part);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, ends.size()); ++i) {
    try {
      others.emplace_back(run_parts);
    } catch (const std::system_error&) {
      break;  // The threads that there are score all parts.
    }
  }
  run_parts();
  for (std::thread& thread : others) thread.join();
  for (const absl::Status& result : results) {
    if (!result.ok()) return result;
  }
  return scores;
}

}  // namespace lmserve
