// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/evaluate_labels.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "models/language_model.h"
#include "trainer/evaluation/stopwatch.h"

namespace lmserve {
namespace {

// How many sentences are labeled in one call.
constexpr size_t kSentencesAtOnce = 64;

absl::flat_hash_map<absl::string_view, size_t> NumberLabels(
    absl::Span<const std::string> labels) {
  absl::flat_hash_map<absl::string_view, size_t> numbers;
  for (const std::string& label : labels) {
    numbers.emplace(label, numbers.size());
  }
  return numbers;
}

bool HaveChunks(const TaggerModel& model,
                absl::Span<const LabeledSentence> sentences) {
  bool has_chunk = false;
  const auto is_chunk_label = [&](const std::string& label) {
    has_chunk |= label != "O";
    return IsChunkLabel(label);
  };
  if (!absl::c_all_of(model.labels(), is_chunk_label)) return false;
  for (const LabeledSentence& sentence : sentences) {
    if (!absl::c_all_of(sentence.labels, is_chunk_label)) return false;
  }
  return has_chunk;
}

// Adds the label of a word, which was found with these log-probabilities.
void AddWord(const TaggerModel& model, const std::string& word,
             const std::string& expected, size_t found, const float* log_probs,
             const absl::flat_hash_map<absl::string_view, size_t>& numbers,
             LabelEvaluation* result) {
  const bool is_known = model.vocabulary().Contains(word);
  const bool is_correct = model.labels()[found] == expected;
  ++result->words;
  ++result->labels;
  result->oov += !is_known;
  result->correct += is_correct;
  result->oov_correct += is_correct && !is_known;
  const auto number = numbers.find(expected);
  result->log_prob +=
      number == numbers.end() ? kImpossible : log_probs[number->second];
}

}  // namespace

double LabelEvaluation::Accuracy() const {
  return static_cast<double>(correct) / std::max<double>(labels, 1);
}

double LabelEvaluation::OovAccuracy() const {
  return static_cast<double>(oov_correct) / std::max<double>(oov, 1);
}

double LabelEvaluation::WordsPerSecond() const {
  return static_cast<double>(words) / seconds;
}

LabelEvaluation EvaluateLabels(const TaggerModel& model,
                               absl::Span<const LabeledSentence> sentences) {
  LabelEvaluation result;
  if (HaveChunks(model, sentences)) result.chunks.emplace();
  const auto numbers = NumberLabels(model.labels());
  const size_t count = model.labels().size();
  for (; !sentences.empty();
       sentences.remove_prefix(std::min(kSentencesAtOnce, sentences.size()))) {
    const auto some = sentences.subspan(0, kSentencesAtOnce);
    std::vector<std::vector<absl::string_view>> words(some.size());
    std::vector<std::vector<size_t>> labels(some.size());
    std::vector<std::vector<float>> log_probs(some.size());
    std::vector<TaggerModel::Sentence> batch;
    for (size_t i = 0; i < some.size(); ++i) {
      words[i].assign(some[i].words.begin(), some[i].words.end());
      labels[i].resize(words[i].size());
      log_probs[i].resize(words[i].size() * count);
      batch.push_back(
          {words[i], absl::MakeSpan(labels[i]), absl::MakeSpan(log_probs[i])});
    }
    const Stopwatch watch;
    model.Tag(batch);
    result.seconds += watch.Seconds();
    for (size_t i = 0; i < some.size(); ++i) {
      ++result.sentences;
      std::vector<absl::string_view> expected, found;
      for (size_t t = 0; t < words[i].size(); ++t) {
        AddWord(model, some[i].words[t], some[i].labels[t], labels[i][t],
                log_probs[i].data() + t * count, numbers, &result);
        expected.push_back(some[i].labels[t]);
        found.push_back(model.labels()[labels[i][t]]);
      }
      if (result.chunks.has_value()) result.chunks->Add(expected, found);
    }
  }
  return result;
}

LabelEvaluation EvaluateLabels(const ClassifierModel& model,
                               absl::Span<const LabeledSentence> sentences) {
  LabelEvaluation result;
  const auto numbers = NumberLabels(model.labels());
  const size_t count = model.labels().size();
  for (; !sentences.empty();
       sentences.remove_prefix(std::min(kSentencesAtOnce, sentences.size()))) {
    const auto some = sentences.subspan(0, kSentencesAtOnce);
    std::vector<std::vector<WordId>> words(some.size());
    std::vector<float> log_probs(some.size() * count);
    std::vector<ClassifierModel::Sentence> batch;
    for (size_t i = 0; i < some.size(); ++i) {
      for (const std::string& word : some[i].words) {
        words[i].push_back(model.vocabulary().Find(word));
        ++result.words;
        result.oov += !model.vocabulary().Contains(word);
      }
      batch.push_back(
          {words[i], absl::MakeSpan(log_probs).subspan(i * count, count)});
    }
    const Stopwatch watch;
    model.Classify(batch);
    result.seconds += watch.Seconds();
    for (size_t i = 0; i < some.size(); ++i) {
      const auto row = absl::MakeConstSpan(log_probs).subspan(i * count, count);
      const size_t best = static_cast<size_t>(
          std::max_element(row.begin(), row.end()) - row.begin());
      const std::string& expected = some[i].labels[0];
      const auto number = numbers.find(expected);
      ++result.sentences;
      ++result.labels;
      result.correct += model.labels()[best] == expected;
      result.log_prob +=
          number == numbers.end() ? kImpossible : row[number->second];
    }
  }
  return result;
}

}  // namespace lmserve
