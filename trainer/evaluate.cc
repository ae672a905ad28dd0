#include "trainer/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/text.h"

namespace lmserve {
namespace {

constexpr size_t kBatchWords = 1 << 16;

// Collects sentences, and scores them when there are enough.
class Evaluator {
 public:
  explicit Evaluator(const LanguageModel& model)
      : model_(model), start_(model.state_size()) {
    model_.Start(start_.data());
  }

  absl::Status Add(const LineReader& lines, absl::string_view line) {
    const Vocabulary& vocabulary = model_.vocabulary();
    const std::vector<absl::string_view> sentence = SplitWords(line);
    if (sentence.empty()) {
      ++result_.blank_lines;
      return absl::OkStatus();
    }
    for (absl::string_view word : sentence) {
      const WordId id = vocabulary.Find(word);
      if (id == vocabulary.begin_sentence() ||
          id == vocabulary.end_sentence()) {
        return LineError(lines, absl::StrCat("expected plain words, found the ",
                                             "sentence marker ", word));
      }
      words_.push_back(id);
    }
    words_.push_back(vocabulary.end_sentence());
    ends_.push_back(words_.size());
    if (words_.size() >= kBatchWords) Score();
    return absl::OkStatus();
  }

  void Score() {
    std::vector<float> log_probs(words_.size());
    std::vector<LanguageModel::Query> batch;
    size_t begin = 0;
    for (size_t end : ends_) {
      batch.push_back({start_.data(),
                       absl::MakeConstSpan(words_).subspan(begin, end - begin),
                       nullptr,
                       absl::MakeSpan(log_probs).subspan(begin, end - begin)});
      begin = end;
    }
    const auto started = std::chrono::steady_clock::now();
    model_.Score(batch);
    result_.seconds += std::chrono::duration<double>(
                           std::chrono::steady_clock::now() - started)
                           .count();
    for (size_t i = 0; i < words_.size(); ++i) {
      const bool oov = words_[i] == model_.vocabulary().unknown();
      result_.log_prob += log_probs[i];
      result_.oov += oov;
      if (!oov) result_.known_log_prob += log_probs[i];
    }
    result_.tokens += words_.size();
    words_.clear();
    ends_.clear();
  }

  uint64_t tokens() const { return result_.tokens + words_.size(); }
  const Evaluation& result() const { return result_; }

 private:
  const LanguageModel& model_;
  std::vector<std::byte> start_;
  std::vector<WordId> words_;
  std::vector<size_t> ends_;  // of each sentence, in words_
  Evaluation result_;
};

}  // namespace

double Evaluation::Perplexity() const { return std::exp(-log_prob / tokens); }

double Evaluation::PerplexityExcludingOov() const {
  return tokens == oov ? 0 : std::exp(-known_log_prob / (tokens - oov));
}

double Evaluation::WordsPerSecond() const {
  return tokens / std::max(seconds, 1e-9);
}

absl::StatusOr<Evaluation> Evaluate(const LanguageModel& model,
                                    LineReader& lines, Progress& progress) {
  Evaluator evaluator(model);
  absl::string_view line;
  while (lines.Next(&line)) {
    absl::Status status = evaluator.Add(lines, line);
    if (!status.ok()) return status;
    progress.Update(evaluator.tokens(), lines.Progress());
  }
  if (!lines.status().ok()) return lines.status();
  evaluator.Score();
  if (evaluator.tokens() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        lines.name(), ": no sentence in it, expected one at ", "least"));
  }
  progress.Finish(evaluator.tokens());
  return evaluator.result();
}

}  // namespace lmserve
