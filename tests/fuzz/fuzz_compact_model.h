// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_FUZZ_COMPACT_MODEL_H_
#define LMSERVE_TESTS_FUZZ_FUZZ_COMPACT_MODEL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/distribution.h"
#include "models/language_model.h"
#include "models/vocabulary.h"
#include "tests/fuzz/require.h"

// What the fuzzers of both compact layouts of ngram.bin do with a file.
namespace lmserve {

// A vocabulary of any words.
inline Vocabulary NumberedWords(WordId words) {
  std::string text = "<unk>\n<s>\n</s>\n";
  for (WordId w = 3; w < words; ++w) absl::StrAppend(&text, "w", w, "\n");
  return Vocabulary::Parse(text).value();
}

inline bool HaveSameBits(const std::vector<float>& a,
                         const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What a layout refuses in a file.
struct CompactChecks {
  bool wrong_best;          // wrong lists of the likeliest children
  bool positive_log_probs;  // after back-off
};

// Compares Score(), Distribution() and TopK() along a text.
template <typename Model>
void CompareAnswers(const Model& model, const CompactChecks& checks) {
  const WordId words = model.vocabulary().size();
  std::minstd_rand random(words);
  std::vector<std::byte> state(model.state_size()), whole(model.state_size());
  model.Start(state.data());
  model.Start(whole.data());
  std::vector<WordId> text;
  std::vector<float> scores;
  std::vector<float> logs(words);
  std::vector<ScoredWord> best(std::min<size_t>(words, 70));
  std::vector<ScoredWord> sorted(best.size());
  for (int i = 0; i < 24; ++i) {
    const std::byte* row = state.data();
    model.Distribution({&row, 1}, logs.data());
    for (float log : logs) {
      Require(!checks.positive_log_probs || log <= 0,
              "a log-probability is at most 0");
    }
    model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
    TakeBest(logs, absl::MakeSpan(sorted));
    Require(!checks.wrong_best || best == sorted,
            "the best words are those of the distribution");
    WordId word = i % 2 == 0 ? best[random() % best.size()].word
                             : static_cast<WordId>(random() % words);
    // With a floor, <s> has a score, but no probability.
    if (word == model.vocabulary().begin_sentence()) word = 0;
    text.push_back(word);
    scores.emplace_back();
    const LanguageModel::Query query = {
        state.data(), {&text.back(), 1}, state.data(), {&scores.back(), 1}};
    model.Score({&query, 1});
    Require(HaveSameBits({scores.back()}, {logs[word]}),
            "a word's score is that of the distribution");
  }
  std::vector<float> batch(text.size());
  const LanguageModel::Query query = {whole.data(), text, whole.data(),
                                      absl::MakeSpan(batch)};
  model.Score({&query, 1});
  Require(HaveSameBits(batch, scores), "a text has the scores of its words");
  Require(whole == state, "a text leads to the state after its words");
  for (int k = 1; k <= model.order(); ++k) {
    uint64_t count = 0;
    model.ForEach(k, [&](const auto&) { ++count; });
    Require(count <= model.Count(k), "no n-gram is listed twice");
  }
}

// Loads a file and compares the answers of its model, if it is accepted. The
// size in the file's header is set to that of the input.
template <typename Model, typename Header>
void FuzzCompactModel(const uint8_t* data, size_t size,
                      const CompactChecks& checks) {
  constexpr WordId kMostWords = 500;
  if (size < sizeof(Header)) return;
  Header header;
  std::memcpy(&header, data, sizeof(header));
  header.file_size = size;
  if (header.vocabulary_size < 3 || header.vocabulary_size > kMostWords) return;
  std::vector<uint64_t> aligned(size / 8 + 1);
  std::memcpy(aligned.data(), data, size);
  std::memcpy(aligned.data(), &header, sizeof(header));
  const auto model =
      Model::Create(NumberedWords(header.vocabulary_size),
                    {reinterpret_cast<const char*>(aligned.data()), size});
  if (model.ok()) CompareAnswers(**model, checks);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_FUZZ_COMPACT_MODEL_H_
