// SPDX-License-Identifier: Apache-2.0
//
// score_in_process STORE MODEL TEXT: prints ln P(TEXT) by a model of a store.

#include <cstddef>
#include <iostream>
#include <vector>

#include "lmserve/model_store/model_store.h"
#include "lmserve/models/language_model.h"
#include "lmserve/models/text.h"

int main(int, char** argv) {
  const auto store = lmserve::ModelStore::Open(argv[1]);
  if (!store.ok()) return 1;
  const auto version = (*store)->Get(argv[2]);
  if (!version.ok()) return 1;
  const lmserve::LanguageModel& model = *(*version)->model().left_to_right();
  std::vector<lmserve::WordId> words;
  lmserve::ForEachWord(argv[3], [&](absl::string_view word) {
    words.push_back(model.vocabulary().Find(word));
  });
  std::vector<std::byte> state(model.state_size());
  std::vector<float> log_probs(words.size());
  model.Start(state.data());
  model.Score({{state.data(), words, nullptr, absl::MakeSpan(log_probs)}});
  double sum = 0;
  for (float log_prob : log_probs) sum += log_prob;
  std::cout << sum << "\n";
}
