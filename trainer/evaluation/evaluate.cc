// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/evaluate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "trainer/evaluation/stopwatch.h"

namespace lmserve {
namespace {

// Reads a text and calls score(batch, &result) for each batch, which must add
// the batch to the result.
absl::StatusOr<Evaluation> EvaluateBatches(
    SentenceReader& reader,
    absl::FunctionRef<void(const SentenceBatch&, Evaluation*)> score) {
  SentenceBatch batch;
  Evaluation result;
  while (reader.Next(&batch)) score(batch, &result);
  if (!reader.status().ok()) return reader.status();
  result.blank_lines = reader.blank_lines();
  return result;
}

}  // namespace

void Evaluation::Add(absl::Span<const WordId> words,
                     absl::Span<const float> log_probs, WordId unknown) {
  for (size_t t = 0; t < words.size(); ++t) {
    const bool is_oov = words[t] == unknown;
    log_prob += log_probs[t];
    oov += is_oov;
    if (!is_oov) known_log_prob += log_probs[t];
  }
  tokens += words.size();
}

double Evaluation::Perplexity() const { return std::exp(-log_prob / tokens); }

double Evaluation::PerplexityExcludingOov() const {
  return tokens == oov ? 0 : std::exp(-known_log_prob / (tokens - oov));
}

double Evaluation::WordsPerSecond() const {
  return tokens / std::max(seconds, 1e-9);
}

absl::StatusOr<Evaluation> Evaluate(const LanguageModel& model,
                                    LineReader& lines, const TextRules& rules,
                                    Progress& progress) {
  SentenceReader reader(model.vocabulary(), lines, rules, progress);
  TextScorer scorer(model, rules.form);
  return EvaluateBatches(
      reader, [&](const SentenceBatch& batch, Evaluation* result) {
        const Stopwatch watch;
        const std::vector<float> log_probs = scorer.Score(batch);
        result->seconds += watch.Seconds();
        result->Add(batch.words, log_probs, model.vocabulary().unknown());
      });
}

absl::StatusOr<Evaluation> Evaluate(const BidirectionalModel& model,
                                    LineReader& lines, TextRules rules,
                                    Progress& progress) {
  rules.form = TextForm::kSentences;
  SentenceReader reader(model.vocabulary(), lines, rules, progress);
  return EvaluateBatches(
      reader, [&](const SentenceBatch& batch, Evaluation* result) {
        std::vector<float> log_probs(batch.words.size());
        std::vector<BidirectionalModel::Sentence> sentences;
        size_t begin = 0;
        for (size_t end : batch.ends) {
          const size_t size = end - begin - 1;  // without </s>
          sentences.push_back(
              {absl::MakeConstSpan(batch.words).subspan(begin, size),
               absl::MakeSpan(log_probs).subspan(begin, size)});
          begin = end;
        }
        const Stopwatch watch;
        model.Score(sentences);
        result->seconds += watch.Seconds();
        for (const BidirectionalModel::Sentence& sentence : sentences) {
          result->Add(sentence.words, sentence.log_probs,
                      model.vocabulary().unknown());
        }
      });
}

Evaluation Evaluate(const TranslationModel& model,
                    absl::Span<const SentencePair> pairs) {
  constexpr size_t kPairs = 64;  // scored at once
  const LanguageModel& decoder = model.decoder();
  const WordId end = decoder.vocabulary().end_sentence();
  Evaluation result;
  for (; !pairs.empty(); pairs.remove_prefix(std::min(kPairs, pairs.size()))) {
    const auto some = pairs.subspan(0, kPairs);
    const Stopwatch watch;
    std::vector<std::unique_ptr<const TranslationModel::Source>> sources;
    std::vector<std::byte> states(some.size() * decoder.state_size());
    std::vector<std::vector<WordId>> texts;
    std::vector<std::vector<float>> log_probs;
    std::vector<LanguageModel::Query> batch;
    for (const SentencePair& pair : some) {
      sources.push_back(model.Read(pair.source));
      texts.push_back(pair.target);
      texts.back().push_back(end);
      log_probs.emplace_back(texts.back().size());
    }
    for (size_t i = 0; i < some.size(); ++i) {
      std::byte* state = states.data() + i * decoder.state_size();
      sources[i]->Start(state);
      batch.push_back({state, texts[i], nullptr, absl::MakeSpan(log_probs[i])});
    }
    decoder.Score(batch);
    result.seconds += watch.Seconds();
    for (size_t i = 0; i < some.size(); ++i) {
      result.Add(texts[i], log_probs[i], decoder.vocabulary().unknown());
    }
  }
  return result;
}

}  // namespace lmserve
