// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/replies.h"

#include <cmath>

#include "absl/strings/string_view.h"

namespace lmserve {
namespace {

absl::Span<const std::string> LabelsOf(const AnyModel& model) {
  if (model.tagger() != nullptr) return model.tagger()->labels();
  if (model.classifier() != nullptr) return model.classifier()->labels();
  return {};
}

void SetWordScores(const Vocabulary& vocabulary, absl::Span<const WordId> words,
                   absl::Span<const float> log_probs,
                   lm::v1::WordScores* scores) {
  scores->mutable_log_probs()->Add(log_probs.begin(), log_probs.end());
  for (WordId word : words) {
    const absl::string_view text = vocabulary.word(word);
    scores->add_words(text.data(), text.size());
    scores->add_unknown(word == vocabulary.unknown());
  }
}

void SetTextScore(const Vocabulary& vocabulary, absl::Span<const WordId> words,
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
  score->set_perplexity(words.empty() ? 0 : std::exp(-log_prob / words.size()));
  score->set_known_perplexity(known == 0 ? 0
                                         : std::exp(-known_log_prob / known));
}

}  // namespace

uint64_t ScoresBytes(const Vocabulary& vocabulary, const EncodedTexts& texts,
                     bool per_word) {
  uint64_t bytes = kReplyMessageBytes * texts.size() +
                   sizeof(float) * texts.all_words().size();
  if (!per_word) return bytes;
  for (WordId word : texts.all_words()) {
    bytes += kReplyWordBytes + vocabulary.word(word).size();
  }
  return bytes;
}

void SetModelVersion(const LoadedVersion& loaded,
                     lm::v1::ModelVersion* version) {
  version->set_name(loaded.name());
  version->set_version(loaded.version());
}

void SetModelInfo(const ModelStore::Entry& entry, lm::v1::ModelInfo* info) {
  const LoadedVersion& loaded = *entry.handle;
  info->set_name(loaded.name());
  info->set_version(loaded.version());
  info->mutable_aliases()->Add(entry.aliases.begin(), entry.aliases.end());
  info->set_is_default(entry.is_default);
  info->set_family(loaded.manifest().family());
  info->mutable_properties()->insert(loaded.manifest().properties().begin(),
                                     loaded.manifest().properties().end());
  info->set_file_bytes(loaded.file_bytes());
  info->set_load_seconds(loaded.load_seconds());
  if (loaded.is_reranker()) {
    *info->mutable_reranker() = loaded.reranker();
    return;
  }
  const AnyModel& model = loaded.model();
  info->set_vocabulary_size(model.vocabulary().size());
  info->set_translation(model.kind() == ModelKind::kTranslation);
  info->set_bidirectional(model.kind() == ModelKind::kBidirectional);
  info->set_tagger(model.kind() == ModelKind::kTagger);
  info->set_classifier(model.kind() == ModelKind::kClassifier);
  const absl::Span<const std::string> labels = LabelsOf(model);
  info->mutable_labels()->Add(labels.begin(), labels.end());
  if (const SentenceEncoder* encoder = model.sentence_encoder()) {
    info->set_embedding_dimensions(encoder->dimensions());
  }
  if (const LanguageModel* word_by_word = model.word_by_word()) {
    info->set_state_bytes(word_by_word->state_size());
  }
}

void SetScores(const Vocabulary& vocabulary, const EncodedTexts& texts,
               absl::Span<const float> log_probs, bool per_word,
               lm::v1::ScoreResponse* response) {
  response->mutable_scores()->Reserve(static_cast<int>(texts.size()));
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> words = texts.words(i);
    const absl::Span<const float> scores = texts.Part(log_probs, i);
    lm::v1::TextScore* score = response->add_scores();
    SetTextScore(vocabulary, words, scores, score);
    if (per_word) {
      SetWordScores(vocabulary, words, scores, score->mutable_words());
    }
  }
}

void SetNgramLengths(const EncodedTexts& texts,
                     absl::Span<const uint8_t> lengths,
                     lm::v1::ScoreResponse* response) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const uint8_t> part = texts.Part(lengths, i);
    response->mutable_scores(static_cast<int>(i))
        ->mutable_words()
        ->mutable_ngram_lengths()
        ->Add(part.begin(), part.end());
  }
}

uint64_t FailureBytes(const TextFailures& failures) {
  uint64_t bytes = 0;
  for (const auto& [index, status] : failures) {
    bytes += kReplyWordBytes + status.message().size();
  }
  return bytes;
}

void SetFailures(const TextFailures& failures,
                 lm::v1::ScoreResponse* response) {
  for (const auto& [index, status] : failures) {
    lm::v1::TextScore& score =
        *response->mutable_scores(static_cast<int>(index));
    score.Clear();
    score.mutable_failed()->set_code(static_cast<uint32_t>(status.code()));
    score.mutable_failed()->set_message(std::string(status.message()));
  }
}

void SetRankings(const Vocabulary& vocabulary, const EncodedTexts& texts,
                 const WordRankings& rankings,
                 lm::v1::ScoreResponse* response) {
  size_t word = 0;  // in the texts
  for (size_t i = 0; i < texts.size(); ++i) {
    lm::v1::WordScores& scores =
        *response->mutable_scores(static_cast<int>(i))->mutable_words();
    const size_t end = word + texts.words(i).size();
    if (!rankings.ranks.empty()) {
      scores.mutable_ranks()->Add(rankings.ranks.begin() + word,
                                  rankings.ranks.begin() + end);
      scores.mutable_entropies()->Add(rankings.entropies.begin() + word,
                                      rankings.entropies.begin() + end);
    }
    for (; word < end; ++word) {
      if (rankings.k == 0) continue;
      lm::v1::NextWords* alternatives = scores.add_alternatives();
      for (const ScoredWord& best :
           absl::MakeConstSpan(rankings.best)
               .subspan(word * rankings.k, rankings.k)) {
        if (std::isinf(best.log_prob)) break;
        AddNextWord(vocabulary, best, alternatives);
      }
    }
  }
}

void AddNextWord(const Vocabulary& vocabulary, const ScoredWord& word,
                 lm::v1::NextWords* prediction) {
  const absl::string_view text = vocabulary.word(word.word);
  prediction->add_words(text.data(), text.size());
  prediction->add_ids(word.word);
  prediction->add_log_probs(word.log_prob);
}

void SetHypothesis(const Vocabulary& vocabulary,
                   const BeamSearch::Hypothesis& hypothesis,
                   lm::v1::Hypothesis* message) {
  for (WordId word : hypothesis.words) {
    const absl::string_view text = vocabulary.word(word);
    message->add_words(text.data(), text.size());
  }
  message->mutable_ids()->Add(hypothesis.words.begin(), hypothesis.words.end());
  message->mutable_log_probs()->Add(hypothesis.log_probs.begin(),
                                    hypothesis.log_probs.end());
  message->set_log_prob(hypothesis.log_prob);
  message->set_score(hypothesis.score);
  message->set_ended(hypothesis.ended);
}

}  // namespace lmserve
