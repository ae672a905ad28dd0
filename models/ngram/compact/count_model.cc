// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_model.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "models/ngram/compact/log_probabilities.h"

namespace lmserve {

CountModel::CountModel(Vocabulary vocabulary, CountTrie trie)
    : vocabulary_(std::move(vocabulary)),
      trie_(std::move(trie)),
      chain_size_(std::max(1, trie_.order() - 1)),
      id_size_(sizeof(uint32_t)),
      ignored_end_(kNoNgram) {
  for (const RankLevel& level : trie_.levels) {
    // The highest number is kNoNgram.
    if (level.contexts >= std::numeric_limits<uint32_t>::max()) {
      id_size_ = sizeof(uint64_t);
    }
  }
  const WordId end = vocabulary_.end_sentence();
  if (trie_.levels.empty() || RankContext(trie_.levels[0], end).size() == 0) {
    ignored_end_ = end;
  }
}

absl::StatusOr<std::unique_ptr<CountModel>> CountModel::Create(
    Vocabulary vocabulary, absl::string_view bytes) {
  absl::StatusOr<CountTrie> trie =
      CountTrie::Parse(bytes, vocabulary.size(), vocabulary.begin_sentence());
  if (!trie.ok()) return trie.status();
  return absl::WrapUnique(
      new CountModel(std::move(vocabulary), *std::move(trie)));
}

void CountModel::Read(const std::byte* state, CountChain* chain) const {
  if (id_size_ == sizeof(uint64_t)) {
    std::memcpy(chain->data(), state, state_size());
    return;
  }
  for (int i = 0; i < chain_size_; ++i) {
    uint32_t id;
    std::memcpy(&id, state + i * sizeof(id), sizeof(id));
    (*chain)[i] = id == std::numeric_limits<uint32_t>::max() ? kNoNgram : id;
  }
}

void CountModel::Write(const CountChain& chain, std::byte* state) const {
  if (id_size_ == sizeof(uint64_t)) {
    std::memcpy(state, chain.data(), state_size());
    return;
  }
  for (int i = 0; i < chain_size_; ++i) {
    const auto id = static_cast<uint32_t>(chain[i]);
    std::memcpy(state + i * sizeof(id), &id, sizeof(id));
  }
}

void CountModel::Start(std::byte* state) const {
  CountChain chain;
  chain.fill(kNoNgram);
  if (order() > 1) chain[0] = vocabulary_.begin_sentence();
  Write(chain, state);
}

std::vector<RankContext> CountModel::Contexts(const CountChain& chain) const {
  std::vector<RankContext> contexts;
  contexts.reserve(trie_.levels.size());
  for (size_t i = 0; i < trie_.levels.size() && chain[i] != kNoNgram; ++i) {
    contexts.emplace_back(trie_.levels[i], chain[i]);
  }
  return contexts;
}

namespace {

// Visits all n-grams of an order in the order of their ids.
class Visitor {
 public:
  Visitor(const CountModel& model, int order,
          absl::FunctionRef<void(const NgramSet::Ngram&)> visit)
      : model_(model), order_(order), visit_(visit), words_(order) {}

  void Run() {
    const CountTrie& trie = model_.trie();
    for (WordId w = 0; w < trie.vocabulary_size; ++w) {
      words_[0] = w;
      if (order_ == 1) {
        Visit(1, w, trie.UnigramProbability(w));
      } else {
        CountChain chain;
        chain.fill(kNoNgram);
        chain[0] = w;
        VisitChildren(1, chain);
      }
    }
  }

 private:
  // Visits the children of the context words_[0 .. depth), whose suffixes are
  // in the chain, or their descendants.
  void VisitChildren(int depth, const CountChain& chain) {
    const std::vector<RankContext> contexts = model_.Contexts(chain);
    const RankContext& context = contexts.back();
    for (uint32_t i = 0; i < context.size(); ++i) {
      const std::optional<ChildPath> path = FindPath(contexts, i);
      if (!path.has_value()) continue;
      words_[depth] = path->word;
      if (depth + 1 < order_) {
        CountChain next;
        next.fill(kNoNgram);
        next[0] = path->word;
        for (int k = 1; k <= depth; ++k) {
          next[k] = contexts[k - 1].first_child() + path->positions[k - 1];
        }
        VisitChildren(depth + 1, next);
        continue;
      }
      Visit(depth + 1, context.first_child() + i,
            model_.trie().Probability(contexts, *path));
    }
  }

  void Visit(int order, NgramId id, double probability) {
    double backoff = 1;
    if (order < model_.order()) {
      backoff =
          RankContext(model_.trie().levels[order - 1], id).weights().leftover;
    }
    const double values[] = {probability, backoff};
    float logs[2];
    LogProbabilities(values, logs);
    visit_({words_, logs[0], logs[1]});
  }

  const CountModel& model_;
  const int order_;
  const absl::FunctionRef<void(const NgramSet::Ngram&)> visit_;
  std::vector<WordId> words_;
};

}  // namespace

void CountModel::ForEach(int order,
                         absl::FunctionRef<void(const Ngram&)> visit) const {
  Visitor(*this, order, visit).Run();
}

}  // namespace lmserve
