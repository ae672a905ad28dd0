// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_model.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "models/ngram/compact/log_probabilities.h"
#include "models/ngram/compact/ngram_visitor.h"

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

bool CountModel::StartEmpty(std::byte* state) const {
  CountChain chain;
  chain.fill(kNoNgram);
  Write(chain, state);
  return true;
}

std::vector<RankContext> CountModel::Contexts(const CountChain& chain) const {
  std::vector<RankContext> contexts;
  contexts.reserve(trie_.levels.size());
  for (size_t i = 0; i < trie_.levels.size() && chain[i] != kNoNgram; ++i) {
    contexts.emplace_back(trie_.levels[i], chain[i]);
  }
  return contexts;
}

void CountModel::ForEach(int order,
                         absl::FunctionRef<void(const Ngram&)> visit) const {
  ForEachNgram(
      trie_.levels, trie_.vocabulary_size, order,
      [&](const VisitedNgram& ngram) {
        double values[] = {trie_.UnigramProbability(ngram.words[0]), 1};
        if (order > 1) {
          values[0] = trie_.Probability(ngram.contexts, ngram.path);
        }
        if (order < trie_.order()) {
          const RankContext context(trie_.levels[order - 1], ngram.id);
          values[1] = context.weights().leftover;
        }
        float logs[2];
        LogProbabilities(values, logs);
        visit({ngram.words, logs[0], logs[1]});
      });
}

}  // namespace lmserve
