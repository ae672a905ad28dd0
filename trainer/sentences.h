#ifndef LMSERVE_TRAINER_SENTENCES_H_
#define LMSERVE_TRAINER_SENTENCES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "models/language_model.h"
#include "models/vocabulary.h"
#include "trainer/line_reader.h"
#include "trainer/progress.h"

namespace lmserve {

// Sentences as word ids, one after the other, each with its </s>.
struct SentenceBatch {
  std::vector<WordId> words;
  std::vector<size_t> ends;  // of each sentence, in words
};

// Reads a text in the words of a model, a sentence a line, so many sentences at
// once as are worth a call of Score(). Blank lines are left out. All that it is
// given must outlive it. One thread at a time.
class SentenceReader {
 public:
  SentenceReader(const Vocabulary& vocabulary, LineReader& lines,
                 Progress& progress)
      : vocabulary_(vocabulary), lines_(lines), progress_(progress) {}

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
  Progress& progress_;
  absl::Status status_;
  uint64_t tokens_ = 0;
  uint64_t blank_lines_ = 0;
};

// ln P of each word of the batch; every sentence starts after <s>.
std::vector<float> ScoreSentences(const LanguageModel& model,
                                  const SentenceBatch& batch);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_SENTENCES_H_
