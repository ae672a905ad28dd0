#ifndef LMSERVE_TRAINER_NGRAM_ARPA_H_
#define LMSERVE_TRAINER_NGRAM_ARPA_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/ngram/ngram_model.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"
#include "trainer/text/line_reader.h"

namespace lmserve {

// ARPA files: what KenLM, SRILM and IRSTLM write is read, and what is written
// they read. The one place where logarithms have base 10.

inline constexpr double kLn10 = 2.302585092994045684;
inline constexpr double kLog10OfZero = -99;  // as SRILM writes it

struct ArpaOptions {
  // log10 P(<unk>) where the file has none; KenLM's value.
  double unknown_log10 = -100;
  // Take a positive log-probability (a known slip of IRSTLM) as 0.
  bool clamp_positive = false;
};

struct ArpaModel {
  Vocabulary vocabulary;  // in the order of the file's 1-grams
  NgramTable table;
  std::vector<std::string> warnings;  // for people, a sentence each
};

// Reads a model. Fields may be parted by tabs or spaces; text before \data\ and
// after \end\ is passed over; a missing back-off is 0; -99 stands for
// probability 0; <UNK> for <unk>; n-grams with <s> past their first word, which
// can never be asked for, are left out; a count in the header that is wrong is
// a warning. Fails, naming the line, on a number that is none or positive, a
// word that is no 1-gram, an n-gram given twice or without its context.
absl::StatusOr<ArpaModel> ReadArpa(LineReader& lines,
                                   const ArpaOptions& options);

// Writes a model. Fails with FAILED_PRECONDITION for a model above order 1
// whose rule for unseen words an ARPA file cannot tell (additive, stupid
// back-off). The caller checks the stream.
absl::Status WriteArpa(const NgramModel& model, std::ostream& out);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_ARPA_H_
