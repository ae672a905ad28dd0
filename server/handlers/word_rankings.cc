// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/word_rankings.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/types/span.h"
#include "models/bidirectional_model.h"
#include "models/distribution.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/sources.h"
#include "server/handlers/text_scoring.h"

namespace lmserve {
namespace {

// How many texts are read side by side.
constexpr size_t kTextsAtOnce = 64;

// Fills the rankings of one request.
class WordRanker {
 public:
  WordRanker(const ServingContext& serving, Call& call,
             const LoadedVersion& loaded, const EncodedTexts& texts,
             bool include_begin, size_t k, bool ranks)
      : serving_(serving),
        call_(call),
        loaded_(loaded),
        texts_(texts),
        include_begin_(include_begin),
        state_bytes_(serving.budgets.state_bytes) {
    const size_t words = texts.all_words().size();
    rankings_.log_probs.resize(words);
    if (ranks) {
      rankings_.ranks.resize(words);
      rankings_.entropies.resize(words);
    }
    rankings_.k = k;
    rankings_.best.resize(words * k);
  }

  Task<absl::Status> Run(const EncodedTexts* sources) {
    switch (loaded_.model().kind()) {
      case ModelKind::kLeftToRight:
        return RankLeftToRight();
      case ModelKind::kBidirectional:
        return RankGaps();
      case ModelKind::kTranslation:
        return RankTranslations(*sources);
      case ModelKind::kTagger:
      case ModelKind::kClassifier:
        break;
    }
    return CannotRank();
  }

  WordRankings Take() { return std::move(rankings_); }

 private:
  // Sets what the distribution of a word says. `word` points into all_words().
  void Rank(const WordId* word, absl::Span<const float> log_probs) {
    const size_t i = word - texts_.all_words().data();
    rankings_.log_probs[i] = log_probs[*word];
    if (!rankings_.ranks.empty()) {
      rankings_.ranks[i] = RankOf(log_probs, *word);
      rankings_.entropies[i] = Entropy(log_probs);
    }
    TakeBest(
        log_probs,
        absl::MakeSpan(rankings_.best).subspan(i * rankings_.k, rankings_.k));
  }

  Task<absl::Status> RankLeftToRight() {
    const LanguageModel& model = *loaded_.model().left_to_right();
    std::vector<std::byte> start(model.state_size());
    StartTexts(model, include_begin_, start.data());
    for (size_t begin = 0; begin < texts_.size(); begin += kTextsAtOnce) {
      absl::Status status = co_await RankTexts(
          begin, std::min(begin + kTextsAtOnce, texts_.size()), start.data());
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

  // Keeps what the model remembers of one source at a time.
  Task<absl::Status> RankTranslations(const EncodedTexts& sources) {
    const bool one_for_all = sources.size() == 1;
    const size_t at_once = one_for_all ? kTextsAtOnce : 1;
    std::vector<std::byte> start(loaded_.model().word_by_word()->state_size());
    SourceStates read;
    for (size_t begin = 0; begin < texts_.size(); begin += at_once) {
      if (begin == 0 || !one_for_all) {
        read.clear();
        absl::Status status = co_await ReadSources(
            serving_, call_, loaded_, sources, begin, begin + 1, &read);
        if (!status.ok()) co_return status;
        read[0]->Start(start.data());
      }
      absl::Status status = co_await RankTexts(
          begin, std::min(begin + at_once, texts_.size()), start.data());
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

  // Ranks the words of the texts [begin, end), which all begin with the same
  // state: the first word of each, then the second of each, and so on.
  Task<absl::Status> RankTexts(size_t begin, size_t end,
                               const std::byte* start) {
    const size_t state_size = loaded_.model().word_by_word()->state_size();
    const size_t count = end - begin;
    absl::Status status = state_bytes_.Resize("texts: bytes of their states",
                                              (count + 1) * state_size);
    if (!status.ok()) co_return status;
    std::vector<std::byte> bytes(count * state_size);
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(start, state_size, bytes.data() + i * state_size);
    }
    for (size_t position = 0;; ++position) {
      std::vector<LanguageModel::Query> last_words;
      std::vector<const std::byte*> states;
      std::vector<const WordId*> words;
      for (size_t i = 0; i < count; ++i) {
        const absl::Span<const WordId> text = texts_.words(begin + i);
        if (position >= text.size()) continue;
        std::byte* state = bytes.data() + i * state_size;
        if (position > 0) {
          last_words.push_back(
              {state, text.subspan(position - 1, 1), state, {}});
        }
        states.push_back(state);
        words.push_back(&text[position]);
      }
      if (words.empty()) co_return absl::OkStatus();
      const auto visit = [&](size_t i, absl::Span<const float> log_probs) {
        Rank(words[i], log_probs);
      };
      const ModelWork work = {.model = loaded_,
                              .queries = last_words,
                              .states = states,
                              .visit = visit};
      status = co_await serving_.batcher.Run(call_, work);
      if (!status.ok()) co_return status;
    }
  }

  // Ranks each word in its own gap, one gap at a time, so that other calls have
  // their turn in between.
  Task<absl::Status> RankGaps() {
    absl::Status status = CheckWordsRead(texts_, serving_.limits);
    if (!status.ok()) co_return status;
    const BidirectionalModel& model = *loaded_.model().bidirectional();
    std::vector<WordId> all(model.vocabulary().size());
    std::iota(all.begin(), all.end(), 0);
    std::vector<float> log_probs(all.size());
    for (size_t i = 0; i < texts_.size(); ++i) {
      const absl::Span<const WordId> text = texts_.words(i);
      for (size_t t = 0; t < text.size(); ++t) {
        const auto rank = [&] {
          model.Rate({{text.first(t), text.subspan(t + 1)}}, all,
                     log_probs.data());
          Rank(&text[t], log_probs);
        };
        status =
            co_await serving_.batcher.Run(call_, loaded_, text.size(), rank);
        if (!status.ok()) co_return status;
      }
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> CannotRank() {
    co_return CannotDo("model", loaded_, "score texts");
  }

  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  const EncodedTexts& texts_;
  const bool include_begin_;
  Budget::Reservation state_bytes_;
  WordRankings rankings_;
};

}  // namespace

Task<absl::StatusOr<WordRankings>> RankWords(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, const EncodedTexts* sources, bool include_begin,
    size_t k, bool ranks) {
  WordRanker ranker(serving, call, loaded, texts, include_begin, k, ranks);
  absl::Status status = co_await ranker.Run(sources);
  if (!status.ok()) co_return status;
  co_return ranker.Take();
}

}  // namespace lmserve
