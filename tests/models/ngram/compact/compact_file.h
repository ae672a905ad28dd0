// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODELS_NGRAM_COMPACT_COMPACT_FILE_H_
#define LMSERVE_TESTS_MODELS_NGRAM_COMPACT_COMPACT_FILE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// The bytes of a file at an address that is a multiple of 8.
class AlignedBytes {
 public:
  explicit AlignedBytes(absl::string_view bytes)
      : words_(bytes.size() / 8 + 1), size_(bytes.size()) {
    std::memcpy(words_.data(), bytes.data(), bytes.size());
  }
  absl::string_view view() const {
    return {reinterpret_cast<const char*>(words_.data()), size_};
  }
  uint8_t& operator[](size_t i) {
    return reinterpret_cast<uint8_t*>(words_.data())[i];
  }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

// Uses an n-gram model in every way.
template <typename Model>
void UseModel(const Model& model, std::mt19937& random) {
  const WordId words = model.vocabulary().size();
  std::vector<std::byte> state(model.state_size());
  std::vector<float> logs(words);
  std::vector<ScoredWord> best(std::min<size_t>(words, 20));
  model.Start(state.data());
  for (int i = 0; i < 5; ++i) {
    const std::byte* row = state.data();
    model.Distribution({&row, 1}, logs.data());
    model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
    std::vector<WordId> text;
    for (int j = 0; j < 30; ++j) {
      text.push_back(random() % 2 == 0 ? best[random() % best.size()].word
                                       : random() % words);
    }
    std::vector<float> scores(text.size());
    const LanguageModel::Query query = {state.data(), text, state.data(),
                                        absl::MakeSpan(scores)};
    model.Score({&query, 1});
  }
  for (int k = 1; k <= model.order(); ++k) {
    model.ForEach(k, [](const auto&) {});
  }
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODELS_NGRAM_COMPACT_COMPACT_FILE_H_
