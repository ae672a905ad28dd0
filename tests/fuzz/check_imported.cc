// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/check_imported.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "models/language_model.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "ngram_files/arpa.h"
#include "tests/fuzz/require.h"

namespace lmserve {
namespace {

// Repeatedly predicts all words and continues with one of them.
void Walk(const NgramModel& model) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  const WordId size = model.vocabulary().size();
  std::vector<float> log_probs(size);
  std::vector<ScoredWord> best(std::min<size_t>(size, 5));
  std::minstd_rand random(size);
  for (int t = 0; t < 12; ++t) {
    const std::byte* row = state.data();
    model.Distribution({&row, 1}, log_probs.data());
    for (float log_prob : log_probs) {
      Require(log_prob < std::numeric_limits<float>::infinity(),
              "a log-probability is a number");
    }
    model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
    const WordId word =
        t % 3 == 2 ? random() % size : best[random() % best.size()].word;
    const float scored = model.ScoreWord(state.data(), word).log_prob;
    Require(scored == log_probs[word] ||
                word == model.vocabulary().begin_sentence(),
            "a word has its score in the distribution");
  }
}

}  // namespace

void CheckImported(ImportedNgrams imported) {
  const auto bytes = BuildNgramFile(imported.table);
  RequireOk(bytes.status(), "a model that was read can be built");
  const std::string vocabulary(imported.vocabulary.text());
  const auto model = NgramModel::Create(std::move(imported.vocabulary), *bytes);
  RequireOk(model.status(), "a model that was built can be loaded");
  Walk(**model);

  std::ostringstream written;
  RequireOk(WriteArpa(**model, written),
            "a model that was read can be written");
  const auto again =
      ReadArpa(*LineReader::FromString(written.str()), ArpaOptions());
  RequireOk(again.status(), "a file that was written can be read");
  const WordId unknown = again->vocabulary.unknown();
  const bool warns_of_unknown =
      again->table.levels[0].log_probs[unknown] == kImpossible;
  Require(again->warnings.size() == (warns_of_unknown ? 1 : 0),
          "a file that was written causes no other warning");
  Require(again->vocabulary.text() == vocabulary,
          "the vocabulary is unchanged");
  const auto same = BuildNgramFile(again->table);
  Require(same.ok() && *same == *bytes, "the model is unchanged");
}

}  // namespace lmserve
