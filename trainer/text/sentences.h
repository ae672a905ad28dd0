// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_SENTENCES_H_
#define LMSERVE_TRAINER_TEXT_SENTENCES_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/vocabulary.h"
#include "text_io/line_reader.h"
#include "trainer/text/progress.h"
#include "trainer/text/sentence_splitter.h"

namespace lmserve {

// Returns an error: the text has no sentence.
absl::Status NoSentenceError(const LineReader& lines);

// Consecutive sentences as word ids, each followed by its </s>.
struct SentenceBatch {
  std::vector<WordId> words;
  std::vector<size_t> ends;  // the index in `words` after each </s>
};

// Reads a text with one sentence per line, in batches that are large enough for
// an efficient call of Score(). Does not own its arguments, which must outlive
// it. Not thread-safe.
class SentenceReader {
 public:
  SentenceReader(const Vocabulary& vocabulary, LineReader& lines,
                 const TextRules& rules, Progress& progress)
      : vocabulary_(vocabulary),
        lines_(lines),
        form_(rules.form),
        splitter_(lines, rules, vocabulary.Contains(kUnknownUppercase)),
        progress_(progress) {}

  // Reads the next sentences. Returns false at the end of the text, and when
  // status() is an error: reading failed, the rules refuse a line, or the text
  // has no sentence. At the end it prints what the rules left out.
  bool Next(SentenceBatch* batch);

  const absl::Status& status() const { return status_; }

  // The number of words read so far, including one </s> per sentence.
  uint64_t tokens() const { return tokens_; }
  // The number of blank lines read so far.
  uint64_t blank_lines() const { return blank_lines_; }

 private:
  absl::Status Add(absl::string_view line, SentenceBatch* batch);
  absl::Status Finish();

  const Vocabulary& vocabulary_;
  LineReader& lines_;
  const TextForm form_;
  SentenceSplitter splitter_;
  std::vector<absl::string_view> sentence_;
  Progress& progress_;
  absl::Status status_;
  uint64_t tokens_ = 0;
  uint64_t blank_lines_ = 0;
};

// Scores a text with one model, batch by batch. The model must outlive the
// scorer. Not thread-safe.
class TextScorer {
 public:
  TextScorer(const LanguageModel& model, TextForm form);

  // Returns ln P of each word of the next batch. In TextForm::kStream, a batch
  // continues the batch before.
  std::vector<float> Score(const SentenceBatch& batch);

  // Calls score() once with the queries of the next batch, which have the
  // sentences of the batch in order and log_probs for all words. It must move
  // the states like LanguageModel::Score().
  void ScoreBy(
      const SentenceBatch& batch,
      absl::FunctionRef<void(absl::Span<const LanguageModel::Query>)> score,
      absl::Span<float> log_probs);

 private:
  const LanguageModel& model_;
  const TextForm form_;
  std::vector<std::byte> state_;  // the model's state before the next batch
};

// Reads a whole text in the form of Corpus::words: <s> w1 ... wm </s> <s> ...
absl::StatusOr<std::vector<WordId>> ReadText(LineReader& lines,
                                             const Vocabulary& vocabulary,
                                             const TextRules& rules);
absl::StatusOr<std::vector<WordId>> ReadTextFile(const std::string& file,
                                                 const Vocabulary& vocabulary,
                                                 const TextRules& rules);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_SENTENCES_H_
