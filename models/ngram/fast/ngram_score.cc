// SPDX-License-Identifier: Apache-2.0
//
// NgramModel::Score(): looks up many words at once.
//
// The time of a lookup is the latency of memory, so many lookups must be in
// flight at the same time. All words w_t of the batch are known in advance. Let
// N_k(t) be the n-gram of order k that ends at word t, if it exists. Then
//
//   N_1(t) = w_t,   N_k(t) = child of N_{k-1}(t - 1) for the word w_t,
//
// and all lookups of one order are independent of each other. A block of words
// is processed order by order; for each order, one pass prefetches the memory
// that the next pass reads. With k the order of the longest N_k(t) that exists,
//
//   ln P(w_t) = log_prob(N_k(t)) + sum_{j >= k} backoff(N_j(t - 1)).
//
// Tested by tests/conformance and tests/models/ngram/fast/ngram_model_test.cc
// against ScoreWord().

#include <algorithm>
#include <array>

#include "models/ngram/fast/ngram_model.h"
#include "models/ngram/text_blocks.h"

namespace lmserve {

// Scores one batch. Lives for one call of Score().
class NgramScorer final : public TextBlocks {
 public:
  explicit NgramScorer(const NgramModel& model)
      : TextBlocks(model.state_size()),
        model_(model),
        file_(model.file_),
        order_(model.order()) {}

 private:
  // A context whose suffixes have not been found yet.
  struct Link {
    int slot;
    NodeId node;
  };

  // A search for the word of a slot among the children [begin, end) of a
  // context. The last two fields are used for large contexts only.
  struct Lookup {
    int slot;
    NodeId begin, end;
    NodeId candidate;   // a child that may have the word
    uint64_t position;  // of the candidate in file_.slots
  };

  // ReadLinks() adds the suffixes of the context.
  void AddContext(int slot, const std::byte* state) override {
    const NgramModel::Context context = model_.Read(state);
    for (int k = 1; k < order_; ++k) nodes_[k][slot] = kRoot;
    remembered_[slot] = model_.Remembered(context);
    if (context.node != kRoot) AddLink(slot, context.node);
  }

  void AddLink(int slot, NodeId node) {
    const int k = file_.OrderOf(node);
    nodes_[k][slot] = node;
    file_.Prefetch(node);
    links_[link_count_++] = {slot, node};
  }

  // Follows the links of all contexts in parallel, one link of each per pass.
  void ReadLinks() {
    while (link_count_ > 0) {
      const int count = link_count_;
      link_count_ = 0;
      for (int i = 0; i < count; ++i) {
        const NodeId link = file_.nodes[links_[i].node].link;
        if (link != kRoot) AddLink(links_[i].slot, link);
      }
    }
  }

  void AddWords(int first, absl::Span<const WordId> words) override {
    int slot = first;
    for (WordId word : words) {
      file_.Prefetch(1 + word);
      words_[slot] = word;
      nodes_[1][slot] = found_[slot] = 1 + word;
      found_order_[slot] = 1;
      longest_[slot] = 0;
      remembered_[slot] = std::min(remembered_[slot - 1] + 1, order_ - 1);
      ++slot;
    }
  }

  void KeepLastSlot() override {
    for (int k = 1; k < order_; ++k) nodes_[k][0] = nodes_[k][kSlots - 1];
    remembered_[0] = remembered_[kSlots - 1];
  }

  void ScoreSlots(int, float* log_probs) override {
    ReadLinks();
    for (int k = 2; k <= order_; ++k) FindOrder(k);
    for (const Piece& piece : pieces()) {
      for (int s = piece.begin; s < piece.end; ++s) log_probs[s] = LogProb(s);
    }
  }

  uint8_t NgramLength(int slot) const override {
    const bool is_floor = model_.rule() == UnseenRule::kFloor &&
                          found_order_[slot] <= longest_[slot];
    return is_floor ? 0 : static_cast<uint8_t>(found_order_[slot]);
  }

  void WriteState(int slot, std::byte* state) const override {
    model_.Write(ContextAfter(slot), state);
  }

  // Finds the n-grams of order k that end in the slots.
  void FindOrder(int k) {
    small_count_ = large_count_ = 0;
    for (const Piece& piece : pieces()) {
      for (int s = piece.begin; s < piece.end; ++s) {
        nodes_[k][s] = kRoot;
        backoffs_[k - 1][s] = 0;
        const NodeId context = nodes_[k - 1][s - 1];
        if (context != kRoot) ReadContext(k, s, context);
      }
    }
    for (int i = 0; i < small_count_; ++i) {
      const Lookup& lookup = small_[i];
      const NodeId child =
          file_.ScanChildren(lookup.begin, lookup.end, words_[lookup.slot]);
      if (child != kRoot) SetFound(k, lookup.slot, child);
    }
    for (int i = 0; i < large_count_; ++i) ReadSlots(large_[i]);
    for (int i = 0; i < large_count_; ++i) Verify(k, large_[i]);
  }

  void ReadContext(int k, int slot, NodeId context) {
    const NgramNode& node = file_.nodes[context];
    const NodeId end = file_.nodes[context + 1].first_child;
    const NodeId count = end - node.first_child;
    backoffs_[k - 1][slot] = node.backoff;
    if (count != 0 || node.backoff != 0) longest_[slot] = k - 1;
    if (count == 0) return;
    if (count <= kMaxScannedChildren) {
      __builtin_prefetch(&file_.words[node.first_child]);
      __builtin_prefetch(&file_.words[end - 1]);
      small_[small_count_++] = {slot, node.first_child, end, kRoot, 0};
    } else {
      const uint64_t position = file_.Slot(context, words_[slot]);
      __builtin_prefetch(&file_.slots[position]);
      large_[large_count_++] = {slot, node.first_child, end, kRoot, position};
    }
  }

  // Advances a lookup to the next child of its context in file_.slots, or to an
  // empty slot.
  void ReadSlots(Lookup& lookup) {
    for (;;
         lookup.position = (lookup.position + 1) & (file_.slots.size() - 1)) {
      const NodeId child = file_.slots[lookup.position];
      lookup.candidate = child;
      if (child == kRoot) return;
      if (child < lookup.begin || child >= lookup.end) continue;
      __builtin_prefetch(&file_.words[child]);
      return;
    }
  }

  // Compares the words of the candidates until one matches or none is left.
  void Verify(int k, Lookup& lookup) {
    while (lookup.candidate != kRoot) {
      if (file_.words[lookup.candidate] == words_[lookup.slot]) {
        return SetFound(k, lookup.slot, lookup.candidate);
      }
      lookup.position = (lookup.position + 1) & (file_.slots.size() - 1);
      ReadSlots(lookup);
    }
  }

  void SetFound(int k, int slot, NodeId child) {
    nodes_[k][slot] = found_[slot] = child;
    found_order_[slot] = k;
    file_.Prefetch(child);
  }

  float LogProb(int slot) const {
    const float log_prob = file_.LogProb(found_[slot]);
    switch (model_.rule()) {
      case UnseenRule::kBackOff: {
        float weight = 0;
        for (int k = order_ - 1; k >= found_order_[slot]; --k) {
          weight += backoffs_[k][slot];
        }
        return weight + log_prob;
      }
      case UnseenRule::kFloor:
        return found_order_[slot] > longest_[slot]
                   ? log_prob
                   : backoffs_[longest_[slot]][slot];
      case UnseenRule::kStupid:
        return model_.StupidWeight(remembered_[slot - 1],
                                   found_order_[slot] - 1) +
               log_prob;
    }
    return log_prob;
  }

  // Returns the longest context that matters for the word after a slot.
  NgramModel::Context ContextAfter(int slot) const {
    int k = order_ - 1;
    while (k > 0 && (nodes_[k][slot] == kRoot ||
                     file_.ContextAfter(nodes_[k][slot]) != nodes_[k][slot])) {
      --k;
    }
    return model_.MakeContext(k == 0 ? kRoot : nodes_[k][slot],
                              remembered_[slot]);
  }

  const NgramModel& model_;
  const NgramFile& file_;
  const int order_;

  int link_count_ = 0;
  std::array<Link, kSlots / 2> links_;
  // By order k, then slot: N_k(t), or kRoot if it does not exist, and the
  // back-off weight of the context N_k(t - 1).
  std::array<Slots<NodeId>, kMaxNgramOrder + 1> nodes_;
  std::array<Slots<float>, kMaxNgramOrder> backoffs_;
  Slots<WordId> words_;
  Slots<NodeId> found_;     // the longest N_k(t)
  Slots<int> found_order_;  // its order k
  Slots<int> longest_;      // order of the longest context that matters
  Slots<int> remembered_;   // words read so far, at most order - 1
  int small_count_, large_count_;
  Slots<Lookup> small_, large_;  // lookups in small and in large contexts
};

void NgramModel::Score(absl::Span<const Query> batch) const {
  NgramScorer(*this).Run(batch);
}

}  // namespace lmserve
