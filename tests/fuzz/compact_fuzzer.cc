// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes n-gram models in the compact layout. A file must either be refused or
// give a model that answers every query, without undefined behavior and with
// the same bits whichever way is used. The size in the file's header is set to
// the size of the input.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/ngram/compact/count_model.h"
#include "tests/fuzz/require.h"

namespace lmserve {
namespace {

constexpr WordId kMostWords = 500;

Vocabulary MakeVocabulary(WordId words) {
  std::string text = "<unk>\n<s>\n</s>\n";
  for (WordId w = 3; w < words; ++w) absl::StrAppend(&text, "w", w, "\n");
  return Vocabulary::Parse(text).value();
}

// Compares Score(), Distribution() and TopK() along a text.
void Use(const CountModel& model) {
  const WordId words = model.vocabulary().size();
  std::minstd_rand random(words);
  std::vector<std::byte> state(model.state_size()), whole(model.state_size());
  model.Start(state.data());
  model.Start(whole.data());
  std::vector<WordId> text;
  std::vector<float> scores;
  std::vector<float> logs(words);
  std::vector<ScoredWord> best(std::min<size_t>(words, 70));
  for (int i = 0; i < 24; ++i) {
    const std::byte* row = state.data();
    model.Distribution({&row, 1}, logs.data());
    model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
    for (float log : logs) Require(log <= 0, "a log-probability is at most 0");
    const WordId word = i % 2 == 0 ? best[random() % best.size()].word
                                   : static_cast<WordId>(random() % words);
    text.push_back(word);
    scores.emplace_back();
    const LanguageModel::Query query = {
        state.data(), {&text.back(), 1}, state.data(), {&scores.back(), 1}};
    model.Score({&query, 1});
    Require(std::bit_cast<uint32_t>(scores.back()) ==
                std::bit_cast<uint32_t>(logs[word]),
            "a word's score is that of the distribution");
  }
  std::vector<float> batch(text.size());
  const LanguageModel::Query query = {whole.data(), text, whole.data(),
                                      absl::MakeSpan(batch)};
  model.Score({&query, 1});
  Require(std::memcmp(batch.data(), scores.data(),
                      batch.size() * sizeof(float)) == 0,
          "a text has the scores of its words");
  Require(whole == state, "a text leads to the state after its words");
  for (int k = 1; k <= model.order(); ++k) {
    uint64_t count = 0;
    model.ForEach(k, [&](const NgramSet::Ngram&) { ++count; });
    Require(count <= model.Count(k), "no n-gram is listed twice");
  }
}

void Run(const uint8_t* data, size_t size) {
  if (size < sizeof(CountTrieHeader)) return;
  CountTrieHeader header;
  std::memcpy(&header, data, sizeof(header));
  header.file_size = size;
  if (header.vocabulary_size < 3 || header.vocabulary_size > kMostWords) return;
  std::vector<uint64_t> aligned(size / 8 + 1);
  std::memcpy(aligned.data(), data, size);
  std::memcpy(aligned.data(), &header, sizeof(header));
  const auto model =
      CountModel::Create(MakeVocabulary(header.vocabulary_size),
                         {reinterpret_cast<const char*>(aligned.data()), size});
  if (model.ok()) Use(**model);
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run(data, size);
  return 0;
}
