// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_BENCH_BENCH_DATA_H_
#define LMSERVE_TESTS_BENCH_BENCH_DATA_H_

#include <sys/resource.h>

#include <string>
#include <vector>

#include "model_store/loaded_version.h"
#include "models/language_model.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {

// The data of the benchmarks: WikiText-2, with <unk> as the ordinary word
// _UNK_, or the demo corpus if WikiText-2 is not available; and the n-gram
// model of order 5 that lm_trainer trains on it, in all layouts. Created once,
// by the first Get(), and read-only afterwards.
class BenchData {
 public:
  static const BenchData& Get();

  // Returns "wikitext-2" or "demo corpus".
  const std::string& corpus() const { return corpus_; }
  const std::string& store() const { return directory_.path(); }

  // Time and peak memory of lm_trainer: the whole process, from the text file
  // to the published version.
  double training_seconds() const { return training_seconds_; }
  double training_peak_bytes() const { return training_peak_bytes_; }
  // Number of training tokens, with one </s> per sentence.
  size_t training_tokens() const { return training_tokens_; }

  // A layout of ngram.bin.
  enum Layout {
    kFast,
    kCounts,     // compact
    kValues,     // compact, with probabilities instead of counts
    kQuantized,  // the same with 8 bits
  };
  static constexpr int kLayouts = 4;
  static const char* Name(Layout layout);

  const LoadedVersion& loaded(Layout layout = kFast) const {
    return *handles_[layout];
  }
  const LanguageModel& model(Layout layout = kFast) const {
    return *loaded(layout).model().left_to_right();
  }
  size_t ngrams() const { return ngrams_; }

  // The sentences of the test text, as ids with </s> at the end.
  const std::vector<std::vector<WordId>>& sentences() const {
    return sentences_;
  }
  size_t test_tokens() const { return test_tokens_; }

 private:
  BenchData();

  void WriteText(const std::vector<std::string>& lines);
  // Trains the model in the fast layout, and then in the others.
  void Train();
  // Runs lm_trainer with a model of the store. Returns what it has used.
  rusage RunTrainer(std::vector<std::string> arguments,
                    const char* model) const;
  void Encode(const std::vector<std::string>& lines);

  const TemporaryDirectory directory_;
  std::string corpus_;
  double training_seconds_ = 0;
  double training_peak_bytes_ = 0;
  size_t training_tokens_ = 0;
  ModelHandle handles_[kLayouts];
  size_t ngrams_ = 0;
  std::vector<std::vector<WordId>> sentences_;
  size_t test_tokens_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_BENCH_BENCH_DATA_H_
