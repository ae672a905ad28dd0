// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/value_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "models/ngram/compact/ngram_visitor.h"

namespace lmserve {

ValueModel::ValueModel(Vocabulary vocabulary, ValueTrie trie)
    : vocabulary_(std::move(vocabulary)),
      trie_(std::move(trie)),
      id_size_(sizeof(uint32_t)) {
  for (const RankLevel& level : trie_.levels) {
    // The highest number stands for none.
    if (level.contexts >= std::numeric_limits<uint32_t>::max()) {
      id_size_ = sizeof(uint64_t);
    }
  }
}

absl::StatusOr<std::unique_ptr<ValueModel>> ValueModel::Create(
    Vocabulary vocabulary, absl::string_view bytes) {
  absl::StatusOr<ValueTrie> trie =
      ValueTrie::Parse(bytes, vocabulary.size(), vocabulary.begin_sentence());
  if (!trie.ok()) return trie.status();
  return absl::WrapUnique(
      new ValueModel(std::move(vocabulary), *std::move(trie)));
}

size_t ValueModel::state_size() const {
  const size_t ids = std::max(1, order() - 1) * id_size_;
  return rule() == UnseenRule::kStupid ? ids + sizeof(uint32_t) : ids;
}

ValueModel::Chain ValueModel::Read(const std::byte* state) const {
  Chain chain;
  for (; chain.size + 1 < order(); ++chain.size) {
    NgramId& id = chain.ids[chain.size];
    if (id_size_ == sizeof(uint64_t)) {
      std::memcpy(&id, state, sizeof(id));
      if (id == kNoNgram) break;
    } else {
      uint32_t narrow;
      std::memcpy(&narrow, state, sizeof(narrow));
      if (narrow == std::numeric_limits<uint32_t>::max()) break;
      id = narrow;
    }
    state += id_size_;
  }
  if (rule() == UnseenRule::kStupid) {
    const size_t read = chain.size * id_size_;
    std::memcpy(&chain.remembered,
                state - read + state_size() - sizeof(uint32_t),
                sizeof(uint32_t));
  }
  return chain;
}

void ValueModel::Write(const Chain& chain, std::byte* state) const {
  int size = chain.size;
  while (size > 0 && !trie_.Matters(size, chain.ids[size - 1])) --size;
  std::memset(state, 0xFF, state_size());
  for (int k = 0; k < size; ++k) {
    std::memcpy(state + k * id_size_, &chain.ids[k], id_size_);
  }
  if (rule() == UnseenRule::kStupid) {
    std::memcpy(state + state_size() - sizeof(uint32_t), &chain.remembered,
                sizeof(uint32_t));
  }
}

void ValueModel::Start(std::byte* state) const {
  Chain chain;
  if (order() > 1) {
    chain.size = 1;
    chain.ids[0] = vocabulary_.begin_sentence();
    chain.remembered = 1;
  }
  Write(chain, state);
}

bool ValueModel::StartEmpty(std::byte* state) const {
  Write(Chain(), state);
  return true;
}

std::vector<RankContext> ValueModel::Contexts(const Chain& chain) const {
  std::vector<RankContext> contexts;
  contexts.reserve(chain.size);
  for (int k = 0; k < chain.size; ++k) {
    contexts.emplace_back(trie_.levels[k], chain.ids[k]);
  }
  return contexts;
}

int ValueModel::FloorOrder(const Chain& chain) const {
  int k = chain.size;
  while (k > 0 && !trie_.Matters(k, chain.ids[k - 1])) --k;
  return k;
}

void ValueModel::ForEach(int order,
                         absl::FunctionRef<void(const Ngram&)> visit) const {
  ForEachNgram(trie_.levels, trie_.vocabulary_size, order,
               [&](const VisitedNgram& ngram) {
                 const float log_prob =
                     trie_.log_probs[order - 1].Value(ngram.id);
                 if (std::isnan(log_prob)) return;
                 float backoff = 0;
                 // Adding 0 makes -0 a 0.
                 if (order < trie_.order()) {
                   backoff = trie_.backoffs[order - 1].Value(ngram.id) + 0.0f;
                 }
                 visit({ngram.words, log_prob, backoff});
               });
}

}  // namespace lmserve
