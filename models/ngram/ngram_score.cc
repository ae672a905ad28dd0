// NgramModel::Score(): many words looked up at once.
//
// A look-up waits for memory, not for arithmetic, so the addresses of many must
// be known at a time. The words of the batch are known beforehand; hence, with
// N_k(t) the n-gram of order k that ends with word t, or none,
//
//   N_1(t) = w_t,   N_k(t) = child of N_{k-1}(t - 1) for the word w_t,
//
// all look-ups of one order are independent of each other. A block of words is
// taken through the orders; in each, one pass asks for the memory that the next
// will read. The longest N_k(t) has the probability, and the contexts
// N_{k'}(t - 1), k' >= k, have the back-off weights.
//
// Tested by tests/conformance and tests/models/ngram/ngram_model_test.cc
// against ScoreWord().

#include <algorithm>
#include <array>
#include <cstring>

#include "models/ngram/ngram_model.h"

namespace lmserve {

// Scores one batch. Lives for one call of Score().
class NgramScorer {
 public:
  explicit NgramScorer(const NgramModel& model)
      : model_(model), file_(model.file_), order_(model.order()) {}

  void Run(absl::Span<const LanguageModel::Query> batch) {
    for (const LanguageModel::Query& query : batch) Add(query);
    ScoreBlock();
  }

 private:
  // Enough look-ups to keep the memory busy, few enough to stay in the cache.
  static constexpr int kSlots = 128;
  static constexpr int kMaxPieces = kSlots / 2;

  // Words of one text that stand in the block, in slots [begin, end); the slot
  // before them holds the context that the text has there.
  struct Piece {
    const LanguageModel::Query* query;
    size_t first_word;
    int begin, end;
  };

  // A context whose suffixes are still to be found.
  struct Link {
    int slot;
    NodeId node;
  };

  // What is to be looked up: the children of a context for a slot's word.
  struct LookUp {
    int slot;
    NodeId begin, end;
    NodeId candidate;   // of a large context, as is
    uint64_t position;  // in file_.slots
  };

  void Add(const LanguageModel::Query& query) {
    if (query.words.empty()) {
      if (query.next_state != nullptr) {
        std::memmove(query.next_state, query.state, model_.state_size());
      }
      return;
    }
    if (used_ + 2 > kSlots) ScoreBlock();
    AddContext(model_.Read(query.state));
    size_t next = 0;
    for (;;) {
      const size_t count =
          std::min<size_t>(query.words.size() - next, kSlots - used_);
      pieces_[piece_count_++] = {&query, next, used_,
                                 used_ + static_cast<int>(count)};
      for (size_t i = 0; i < count; ++i) AddWord(query.words[next + i]);
      next += count;
      if (next == query.words.size()) return;
      ScoreBlock();
      KeepLastSlot();
    }
  }

  // The slot before a text: its context. The suffixes come with ReadLinks().
  void AddContext(const NgramModel::Context& context) {
    const int slot = used_++;
    for (int k = 1; k < order_; ++k) nodes_[k][slot] = kRoot;
    remembered_[slot] = model_.Remembered(context);
    if (context.node != kRoot) AddLink(slot, context.node);
  }

  void AddLink(int slot, NodeId node) {
    const int k = file_.OrderOf(node);
    nodes_[k][slot] = node;
    Prefetch(k, node);
    links_[link_count_++] = {slot, node};
  }

  // Follows the links of all contexts at a time, a step each.
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

  void Prefetch(int k, NodeId id) const {
    __builtin_prefetch(k == order_
                           ? static_cast<const void*>(&file_.Leaf(id))
                           : static_cast<const void*>(&file_.nodes[id]));
  }

  void AddWord(WordId word) {
    const int slot = used_++;
    Prefetch(1, 1 + word);
    words_[slot] = word;
    nodes_[1][slot] = found_[slot] = 1 + word;
    found_order_[slot] = 1;
    longest_[slot] = 0;
    remembered_[slot] = std::min(remembered_[slot - 1] + 1, order_ - 1);
  }

  // Where a text goes on in the next block, its last slot is the first there.
  void KeepLastSlot() {
    for (int k = 1; k < order_; ++k) nodes_[k][0] = nodes_[k][kSlots - 1];
    remembered_[0] = remembered_[kSlots - 1];
    used_ = 1;
  }

  void ScoreBlock() {
    ReadLinks();
    for (int k = 2; k <= order_; ++k) FindOrder(k);
    for (int i = 0; i < piece_count_; ++i) Finish(pieces_[i]);
    piece_count_ = 0;
    used_ = 0;
  }

  // Finds the n-grams of order k that end in the slots.
  void FindOrder(int k) {
    small_count_ = large_count_ = 0;
    for (int i = 0; i < piece_count_; ++i) {
      for (int s = pieces_[i].begin; s < pieces_[i].end; ++s) {
        nodes_[k][s] = kRoot;
        backoffs_[k - 1][s] = 0;
        const NodeId context = nodes_[k - 1][s - 1];
        if (context != kRoot) ReadContext(k, s, context);
      }
    }
    for (int i = 0; i < small_count_; ++i) {
      const LookUp& look_up = small_[i];
      for (NodeId child = look_up.begin; child < look_up.end; ++child) {
        if (file_.words[child] == words_[look_up.slot]) {
          Found(k, look_up.slot, child);
          break;
        }
      }
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

  // Finds the next slot that holds a child of the context, or an empty one.
  void ReadSlots(LookUp& look_up) {
    for (;;
         look_up.position = (look_up.position + 1) & (file_.slots.size() - 1)) {
      const NodeId child = file_.slots[look_up.position];
      look_up.candidate = child;
      if (child == kRoot) return;
      if (child < look_up.begin || child >= look_up.end) continue;
      __builtin_prefetch(&file_.words[child]);
      return;
    }
  }

  void Verify(int k, LookUp& look_up) {
    while (look_up.candidate != kRoot) {
      if (file_.words[look_up.candidate] == words_[look_up.slot]) {
        return Found(k, look_up.slot, look_up.candidate);
      }
      look_up.position = (look_up.position + 1) & (file_.slots.size() - 1);
      ReadSlots(look_up);
    }
  }

  void Found(int k, int slot, NodeId child) {
    nodes_[k][slot] = found_[slot] = child;
    found_order_[slot] = k;
    Prefetch(k, child);
  }

  void Finish(const Piece& piece) {
    const LanguageModel::Query& query = *piece.query;
    if (!query.log_probs.empty()) {
      float* log_probs = query.log_probs.data() + piece.first_word;
      for (int s = piece.begin; s < piece.end; ++s) {
        *log_probs++ = LogProb(s);
      }
    }
    const size_t read = piece.first_word + (piece.end - piece.begin);
    if (read == query.words.size() && query.next_state != nullptr) {
      model_.Write(ContextAfter(piece.end - 1), query.next_state);
    }
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

  // The context that matters to what follows a slot.
  NgramModel::Context ContextAfter(int slot) const {
    int k = order_ - 1;
    while (k > 0 && (nodes_[k][slot] == kRoot ||
                     file_.ContextAfter(nodes_[k][slot]) != nodes_[k][slot])) {
      --k;
    }
    return model_.MakeContext(k == 0 ? kRoot : nodes_[k][slot],
                              remembered_[slot]);
  }

  template <typename T>
  using Slots = std::array<T, kSlots>;

  const NgramModel& model_;
  const NgramFile& file_;
  const int order_;

  int used_ = 0;
  int piece_count_ = 0;
  std::array<Piece, kMaxPieces> pieces_;
  int link_count_ = 0;
  std::array<Link, kMaxPieces> links_;
  // By order, then slot: N_k, and the weight of the context of k words before.
  std::array<Slots<NodeId>, kMaxNgramOrder + 1> nodes_;
  std::array<Slots<float>, kMaxNgramOrder> backoffs_;
  Slots<WordId> words_;
  Slots<NodeId> found_;  // the longest N_k
  Slots<int> found_order_;
  Slots<int> longest_;     // words in the longest context that matters
  Slots<int> remembered_;  // words read up to here, the word itself counted
  int small_count_, large_count_;
  Slots<LookUp> small_, large_;
};

void NgramModel::Score(absl::Span<const Query> batch) const {
  NgramScorer(*this).Run(batch);
}

}  // namespace lmserve
