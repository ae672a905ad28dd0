#ifndef LMSERVE_TESTS_BENCH_BENCH_DATA_H_
#define LMSERVE_TESTS_BENCH_BENCH_DATA_H_

#include <string>
#include <vector>

#include "model_store/loaded_version.h"
#include "models/ngram/ngram_model.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {

// What the benchmarks run on: WikiText-2, with <unk> as the ordinary word
// _UNK_, or, where the real corpora are not at hand, the demo corpus; and the
// order-5 model that lm_trainer makes of it. One for the whole run, made when
// first asked for; read-only from then on.
class BenchData {
 public:
  static const BenchData& Get();

  // What it is: "wikitext-2" or "demo corpus".
  const std::string& corpus() const { return corpus_; }
  const std::string& store() const { return directory_.path(); }

  // How lm_trainer fared: the whole process, from the text file to the
  // published version.
  double training_seconds() const { return training_seconds_; }
  double training_peak_bytes() const { return training_peak_bytes_; }
  // Tokens trained on, a </s> a sentence.
  size_t training_tokens() const { return training_tokens_; }

  const LoadedVersion& loaded() const { return *handle_; }
  const NgramModel& model() const { return *model_; }
  size_t ngrams() const;

  // The test text: sentences as ids, </s> at the end of each.
  const std::vector<std::vector<WordId>>& sentences() const {
    return sentences_;
  }
  size_t test_tokens() const { return test_tokens_; }

 private:
  BenchData();

  void Train(const std::vector<std::string>& lines);
  void Encode(const std::vector<std::string>& lines);

  const TemporaryDirectory directory_;
  std::string corpus_;
  double training_seconds_ = 0;
  double training_peak_bytes_ = 0;
  size_t training_tokens_ = 0;
  ModelHandle handle_;
  const NgramModel* model_ = nullptr;
  std::vector<std::vector<WordId>> sentences_;
  size_t test_tokens_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_BENCH_BENCH_DATA_H_
