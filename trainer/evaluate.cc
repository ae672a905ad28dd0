#include "trainer/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace lmserve {

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
                                    LineReader& lines, TextForm form,
                                    Progress& progress) {
  using Clock = std::chrono::steady_clock;
  SentenceReader reader(model.vocabulary(), lines, form, progress);
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  SentenceBatch batch;
  Evaluation result;
  while (reader.Next(&batch)) {
    const auto started = Clock::now();
    const std::vector<float> log_probs =
        form == TextForm::kStream ? ScoreStream(model, batch, state.data())
                                  : ScoreSentences(model, batch);
    result.seconds +=
        std::chrono::duration<double>(Clock::now() - started).count();
    result.Add(batch.words, log_probs, model.vocabulary().unknown());
  }
  if (!reader.status().ok()) return reader.status();
  result.blank_lines = reader.blank_lines();
  return result;
}

}  // namespace lmserve
