// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/sentences.h"

#include "absl/strings/str_cat.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

constexpr size_t kBatchWords = 1 << 16;

}  // namespace

absl::Status NoSentenceError(const LineReader& lines) {
  return absl::InvalidArgumentError(absl::StrCat(
      lines.name(), ": expected at least one sentence, found none"));
}

bool SentenceReader::Next(SentenceBatch* batch) {
  batch->words.clear();
  batch->ends.clear();
  absl::string_view line;
  while (status_.ok() && batch->words.size() < kBatchWords) {
    if (!lines_.Next(&line)) break;
    status_ = Add(line, batch);
    progress_.Update(tokens_, lines_.Progress());
  }
  if (status_.ok() && batch->words.empty()) status_ = Finish();
  return status_.ok() && !batch->words.empty();
}

absl::Status SentenceReader::Add(absl::string_view line, SentenceBatch* batch) {
  absl::Status status = splitter_.Split(line, &sentence_);
  if (!status.ok()) return status;
  if (sentence_.empty()) {
    ++blank_lines_;
    if (form_ == TextForm::kSentences) return absl::OkStatus();
  }
  const size_t before = batch->words.size();
  batch->words.resize(before + sentence_.size());
  vocabulary_.FindAll(sentence_, batch->words.data() + before);
  batch->words.push_back(vocabulary_.end_sentence());
  batch->ends.push_back(batch->words.size());
  tokens_ += sentence_.size() + 1;
  return absl::OkStatus();
}

// Handles the end of the text.
absl::Status SentenceReader::Finish() {
  if (!lines_.status().ok()) return lines_.status();
  if (tokens_ == 0) return NoSentenceError(lines_);
  progress_.Finish(tokens_);
  if (!splitter_.Summary().empty()) PrintMessage(splitter_.Summary());
  return absl::OkStatus();
}

TextScorer::TextScorer(const LanguageModel& model, TextForm form)
    : model_(model), form_(form), state_(model.state_size()) {
  model.Start(state_.data());
}

std::vector<float> TextScorer::Score(const SentenceBatch& batch) {
  std::vector<float> log_probs(batch.words.size());
  const auto score = [this](absl::Span<const LanguageModel::Query> queries) {
    model_.Score(queries);
  };
  ScoreBy(batch, score, absl::MakeSpan(log_probs));
  return log_probs;
}

void TextScorer::ScoreBy(
    const SentenceBatch& batch,
    absl::FunctionRef<void(absl::Span<const LanguageModel::Query>)> score,
    absl::Span<float> log_probs) {
  std::vector<LanguageModel::Query> queries;
  if (form_ == TextForm::kStream) {
    queries.push_back({state_.data(), batch.words, state_.data(), log_probs});
  } else {
    size_t begin = 0;
    for (size_t end : batch.ends) {
      queries.push_back(
          {state_.data(),
           absl::MakeConstSpan(batch.words).subspan(begin, end - begin),
           nullptr, log_probs.subspan(begin, end - begin)});
      begin = end;
    }
  }
  score(queries);
}

absl::StatusOr<std::vector<WordId>> ReadText(LineReader& lines,
                                             const Vocabulary& vocabulary,
                                             const TextRules& rules) {
  Progress progress("reading");
  SentenceReader reader(vocabulary, lines, rules, progress);
  SentenceBatch batch;
  std::vector<WordId> words;
  while (reader.Next(&batch)) {
    size_t begin = 0;
    for (size_t end : batch.ends) {
      words.push_back(vocabulary.begin_sentence());
      words.insert(words.end(), batch.words.begin() + begin,
                   batch.words.begin() + end);
      begin = end;
    }
  }
  if (!reader.status().ok()) return reader.status();
  return words;
}

absl::StatusOr<std::vector<WordId>> ReadTextFile(const std::string& file,
                                                 const Vocabulary& vocabulary,
                                                 const TextRules& rules) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(file);
  if (!lines.ok()) return lines.status();
  return ReadText(**lines, vocabulary, rules);
}

}  // namespace lmserve
