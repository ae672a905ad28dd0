#ifndef LMSERVE_TRAINER_TEXT_SENTENCES_H_
#define LMSERVE_TRAINER_TEXT_SENTENCES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/language_model.h"
#include "models/vocabulary.h"
#include "trainer/text/line_reader.h"
#include "trainer/text/progress.h"

namespace lmserve {

// How the lines of a text belong together.
enum class TextForm {
  kSentences,  // each starts after <s>; blank lines are left out
  kStream,     // each goes on from the one before; blank lines are empty ones
};

// What is wrong with a text: a sentence marker in the reader's last line; that
// there was no sentence.
absl::Status MarkerError(const LineReader& lines, absl::string_view word);
absl::Status NoSentenceError(const LineReader& lines);

// Sentences as word ids, one after the other, each with its </s>.
struct SentenceBatch {
  std::vector<WordId> words;
  std::vector<size_t> ends;  // of each sentence, in words
};

// Reads a text in the words of a model, a sentence a line, so many sentences at
// once as are worth a call of Score(). All that it is given must outlive it.
// One thread at a time.
class SentenceReader {
 public:
  SentenceReader(const Vocabulary& vocabulary, LineReader& lines, TextForm form,
                 Progress& progress)
      : vocabulary_(vocabulary),
        lines_(lines),
        form_(form),
        progress_(progress) {}

  // Sets the next sentences. False at the end, and where the text is wrong, of
  // which status() tells: <s> or </s> in a line, or no sentence at all.
  bool Next(SentenceBatch* batch);

  const absl::Status& status() const { return status_; }

  // Of what was read so far.
  uint64_t tokens() const { return tokens_; }  // with a </s> a sentence
  uint64_t blank_lines() const { return blank_lines_; }

 private:
  absl::Status Add(absl::string_view line, SentenceBatch* batch);
  absl::Status Finish();

  const Vocabulary& vocabulary_;
  LineReader& lines_;
  const TextForm form_;
  Progress& progress_;
  absl::Status status_;
  uint64_t tokens_ = 0;
  uint64_t blank_lines_ = 0;
};

// Scores a text by one model, batch after batch. The model must outlive it. One
// thread at a time.
class TextScorer {
 public:
  TextScorer(const LanguageModel& model, TextForm form);

  // ln P of each word of the next batch. Every sentence starts after <s> or, of
  // a stream, goes on from the one before.
  std::vector<float> Score(const SentenceBatch& batch);

 private:
  const LanguageModel& model_;
  const TextForm form_;
  std::vector<std::byte> state_;  // before the next batch
};

// A whole text, as Corpus::words has it: <s> w1 ... wm </s> <s> ...; or that of
// a file.
absl::StatusOr<std::vector<WordId>> ReadText(LineReader& lines,
                                             const Vocabulary& vocabulary,
                                             TextForm form);
absl::StatusOr<std::vector<WordId>> ReadTextFile(const std::string& file,
                                                 const Vocabulary& vocabulary,
                                                 TextForm form);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_SENTENCES_H_
