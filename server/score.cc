#include "server/score.h"

#include <cmath>
#include <string>

#include "server/errors.h"

namespace lmserve {
namespace {

void SetWords(const Vocabulary& vocabulary, absl::Span<const WordId> words,
              absl::Span<const float> log_probs, lm::v1::WordScores* detail) {
  detail->mutable_log_probs()->Add(log_probs.begin(), log_probs.end());
  for (WordId word : words) {
    const absl::string_view text = vocabulary.word(word);
    detail->add_words(text.data(), text.size());
    detail->add_unknown(word == vocabulary.unknown());
  }
}

void SetScore(const Vocabulary& vocabulary, absl::Span<const WordId> words,
              absl::Span<const float> log_probs, lm::v1::TextScore* score) {
  double log_prob = 0, known_log_prob = 0;
  uint32_t unknown = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    log_prob += log_probs[i];
    if (words[i] == vocabulary.unknown()) {
      ++unknown;
    } else {
      known_log_prob += log_probs[i];
    }
  }
  const uint32_t known = words.size() - unknown;
  score->set_log_prob(log_prob);
  score->set_word_count(words.size());
  score->set_unknown_count(unknown);
  score->set_known_log_prob(known_log_prob);
  score->set_perplexity(std::exp(-log_prob / words.size()));
  score->set_known_perplexity(known == 0 ? 0
                                         : std::exp(-known_log_prob / known));
}

// Of each text its part of some numbers, one a word.
std::vector<absl::Span<float>> Parts(const Encoder& texts,
                                     absl::Span<float> numbers) {
  std::vector<absl::Span<float>> parts;
  parts.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    parts.push_back(numbers.first(texts.words(i).size()));
    numbers.remove_prefix(texts.words(i).size());
  }
  return parts;
}

std::vector<float> ScoreTexts(const LanguageModel& model,
                              const Encoder& texts) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  std::vector<float> log_probs(texts.all_words().size());
  std::vector<LanguageModel::Query> batch;
  batch.reserve(texts.size());
  for (absl::Span<float> part : Parts(texts, absl::MakeSpan(log_probs))) {
    batch.push_back({start.data(), texts.words(batch.size()), nullptr, part});
  }
  model.Score(batch);
  return log_probs;
}

std::vector<float> ScoreTexts(const BidirectionalModel& model,
                              const Encoder& texts) {
  std::vector<float> log_probs(texts.all_words().size());
  std::vector<BidirectionalModel::Sentence> batch;
  batch.reserve(texts.size());
  for (absl::Span<float> part : Parts(texts, absl::MakeSpan(log_probs))) {
    batch.push_back({texts.words(batch.size()), part});
  }
  model.Score(batch);
  return log_probs;
}

// A bidirectional model reads a text once for each of its words.
uint64_t WordsRead(const Encoder& texts) {
  uint64_t read = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    read += uint64_t{texts.words(i).size()} * texts.words(i).size();
  }
  return read;
}

}  // namespace

void SetModel(const LoadedModel& loaded, lm::v1::ModelVersion* version) {
  version->set_name(loaded.name());
  version->set_version(loaded.version());
}

bool PredictsEnd(const AnyModel& model) {
  return model.left_to_right() != nullptr;
}

absl::StatusOr<std::vector<float>> ScoreTexts(const AnyModel& model,
                                              const Limits& limits,
                                              const Encoder& texts) {
  if (model.left_to_right() != nullptr) {
    return ScoreTexts(*model.left_to_right(), texts);
  }
  absl::Status status =
      CheckLimit("words to read, n times n of a text of n words",
                 WordsRead(texts), limits.words_read);
  if (!status.ok()) return status;
  return ScoreTexts(*model.bidirectional(), texts);
}

absl::Status Score(const ModelStore& store, const Limits& limits,
                   const lm::v1::ScoreRequest& request,
                   lm::v1::ScoreResponse* response) {
  const absl::StatusOr<ModelHandle> handle = store.Get(request.model());
  if (!handle.ok()) return handle.status();
  if (request.texts().empty()) {
    return InvalidField("texts", "expected a text, found none");
  }
  absl::Status status = CheckLimit("texts", request.texts_size(), limits.texts);
  if (!status.ok()) return status;
  const AnyModel& model = (*handle)->model();
  if (request.no_end() && model.bidirectional() != nullptr) {
    return CannotDo("no_end", **handle, "score unfinished texts");
  }
  const bool add_end = PredictsEnd(model) && !request.no_end();
  Encoder texts(model.vocabulary(), limits);
  for (int i = 0; i < request.texts_size(); ++i) {
    status = texts.Add(request.texts(i), "texts", i, {.add_end = add_end});
    if (!status.ok()) return status;
  }
  const absl::StatusOr<std::vector<float>> log_probs =
      ScoreTexts(model, limits, texts);
  if (!log_probs.ok()) return log_probs.status();

  SetModel(**handle, response->mutable_model());
  response->mutable_scores()->Reserve(texts.size());
  absl::Span<const float> rest = *log_probs;
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> words = texts.words(i);
    const absl::Span<const float> scores = rest.first(words.size());
    rest.remove_prefix(words.size());
    lm::v1::TextScore* score = response->add_scores();
    SetScore(model.vocabulary(), words, scores, score);
    if (request.per_word()) {
      SetWords(model.vocabulary(), words, scores, score->mutable_words());
    }
  }
  return absl::OkStatus();
}

}  // namespace lmserve
