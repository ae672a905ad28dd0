// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/fast/ngram_builder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/language_model.h"
#include "models/ngram/fast/ngram_file.h"

namespace lmserve {
namespace {

// Counts the children of large contexts, which are stored in the slots.
uint64_t CountHashed(const NgramTable& table) {
  uint64_t hashed = 0;
  for (const NgramLevel& level : table.levels) {
    for (size_t i = 0; i + 1 < level.children.size(); ++i) {
      const uint32_t count = level.children[i + 1] - level.children[i];
      if (count > kMaxScannedChildren) hashed += count;
    }
  }
  return hashed;
}

// The size of a hash table for `hashed` children: a power of two, at most two
// thirds full and with at least one empty slot.
uint64_t SlotsFor(uint64_t hashed) { return std::bit_ceil(hashed * 3 / 2 + 1); }

absl::Status CheckTable(const NgramTable& table) {
  constexpr uint64_t kMax = std::numeric_limits<NodeId>::max();
  if (absl::Status status = CheckNgramValues(table); !status.ok()) {
    return status;
  }
  uint64_t total = 1;
  for (const NgramLevel& level : table.levels) total += level.size();
  if (total > kMax || SlotsFor(CountHashed(table)) > kMax) {
    return absl::ResourceExhaustedError(
        "too many n-grams for 32-bit ids: use a lower order or pruning");
  }
  return absl::OkStatus();
}

NgramHeader MakeHeader(const NgramTable& table) {
  NgramHeader header = {};
  header.magic = NgramMagic(table.order());
  header.order = table.order();
  header.rule = static_cast<uint32_t>(table.rule);
  header.log_alpha = table.log_alpha;
  header.slots = static_cast<uint32_t>(SlotsFor(CountHashed(table)));
  for (int k = 1; k <= table.order(); ++k) {
    header.counts[k - 1] = table.levels[k - 1].size();
  }
  header.file_size = NgramLayout(header).file_size;
  return header;
}

// Builds the contents of one file, section by section.
class FastFileBuilder {
 public:
  explicit FastFileBuilder(const NgramTable& table)
      : table_(table), header_(MakeHeader(table)), layout_(header_) {}

  std::string Build() {
    bytes_.resize(layout_.file_size);
    std::memcpy(bytes_.data(), &header_, NgramHeaderBytes(header_.order));
    PlaceRoot();
    for (int k = 2; k <= table_.order(); ++k) PlaceLevel(k);
    nodes()[layout_.nodes].first_child = layout_.nodes + layout_.leaves;
    WriteBestWords();
    view_ = View();
    for (NodeId context = 1; context < layout_.nodes; ++context) {
      HashChildren(context);
    }
    for (NodeId context = 1; context < layout_.nodes; ++context) {
      LinkChildren(context);
    }
    return std::move(bytes_);
  }

 private:
  NgramNode* nodes() { return At<NgramNode>(layout_.nodes_at); }
  NgramLeaf* leaves() { return At<NgramLeaf>(layout_.leaves_at); }
  WordId* words() { return At<WordId>(layout_.words_at); }
  NodeId* slots() { return At<NodeId>(layout_.slots_at); }

  template <typename T>
  T* At(uint64_t offset) {
    return reinterpret_cast<T*>(bytes_.data() + offset);
  }

  // A view of the sections that FindChild() and ContextAfter() read.
  NgramFile View() {
    NgramFile view = {};
    view.nodes = {nodes(), layout_.nodes + 1};
    view.leaves = {leaves(), layout_.leaves};
    view.words = {words(), layout_.nodes + layout_.leaves};
    view.slots = {slots(), header_.slots};
    return view;
  }

  void PlaceRoot() {
    nodes()[kRoot] = {0, 0, 1, kRoot};
    const NgramLevel& unigrams = table_.levels[0];
    level_begin_ = 1;
    placed_.resize(unigrams.size());
    std::iota(placed_.begin(), placed_.end(), 0u);
    for (uint32_t i = 0; i < unigrams.size(); ++i) Write(1, 1 + i, i);
  }

  // Places the n-grams of order k, context by context in the order of the
  // contexts, and the children of each context in the order of Likelier().
  void PlaceLevel(int k) {
    const NgramLevel& contexts = table_.levels[k - 2];
    const NgramLevel& level = table_.levels[k - 1];
    const NodeId begin = level_begin_ + contexts.size();
    const auto likelier = [&level](uint32_t a, uint32_t b) {
      return Likelier({level.words[a], StoredLogProb(level.log_probs[a])},
                      {level.words[b], StoredLogProb(level.log_probs[b])});
    };
    std::vector<uint32_t> order;
    order.reserve(level.size());
    for (uint32_t i = 0; i < placed_.size(); ++i) {
      const uint32_t context = placed_[i];
      nodes()[level_begin_ + i].first_child = begin + order.size();
      const size_t first = order.size();
      for (uint32_t child = contexts.children[context];
           child < contexts.children[context + 1]; ++child) {
        order.push_back(child);
      }
      std::sort(order.begin() + first, order.end(), likelier);
    }
    for (uint32_t i = 0; i < order.size(); ++i) Write(k, begin + i, order[i]);
    placed_ = std::move(order);
    level_begin_ = begin;
  }

  // Writes n-gram i of order k as the node or leaf `id`. PlaceLevel() and
  // LinkChildren() set its children and link later.
  void Write(int k, NodeId id, uint32_t i) {
    const NgramLevel& level = table_.levels[k - 1];
    const float log_prob = StoredLogProb(level.log_probs[i]);
    words()[id] = level.words[i];
    if (k == table_.order()) {
      leaves()[id - layout_.nodes] = {log_prob, kRoot};
      return;
    }
    const bool is_context = level.children[i] != level.children[i + 1];
    nodes()[id] = {log_prob,
                   StoredBackoff(table_.rule, is_context, level.backoffs[i]), 0,
                   kRoot};
  }

  void WriteBestWords() {
    WordId* best = At<WordId>(layout_.best_words_at);
    const NgramLevel& unigrams = table_.levels[0];
    std::iota(best, best + unigrams.size(), 0u);
    std::sort(best, best + unigrams.size(), [&](WordId a, WordId b) {
      return Likelier({a, StoredLogProb(unigrams.log_probs[a])},
                      {b, StoredLogProb(unigrams.log_probs[b])});
    });
  }

  void HashChildren(NodeId context) {
    const NodeId begin = nodes()[context].first_child;
    const NodeId end = nodes()[context + 1].first_child;
    if (end - begin <= kMaxScannedChildren) return;
    for (NodeId child = begin; child < end; ++child) {
      uint64_t slot = view_.Slot(context, words()[child]);
      while (slots()[slot] != 0) slot = (slot + 1) & (header_.slots - 1);
      slots()[slot] = child;
    }
  }

  // Contexts are visited in ascending order, so the links of shorter contexts
  // have been set.
  void LinkChildren(NodeId context) {
    const NodeId end = nodes()[context + 1].first_child;
    for (NodeId child = nodes()[context].first_child; child < end; ++child) {
      const NodeId link = LongestContext(nodes()[context].link, words()[child]);
      if (child < layout_.nodes) {
        nodes()[child].link = link;
      } else {
        leaves()[child - layout_.nodes].link = link;
      }
    }
  }

  // Returns the longest suffix of the n-gram `suffix` + `word` that is a
  // context.
  NodeId LongestContext(NodeId suffix, WordId word) const {
    for (;; suffix = view_.nodes[suffix].link) {
      const NodeId found = view_.FindChild(suffix, word);
      if (found != kRoot) return view_.ContextAfter(found);
    }
  }

  const NgramTable& table_;
  const NgramHeader header_;
  const NgramLayout layout_;
  std::string bytes_;
  NgramFile view_;
  NodeId level_begin_ = 0;  // id of the first n-gram of the order placed last
  // The index in the table of each n-gram of that order, by position.
  std::vector<uint32_t> placed_;
};

}  // namespace

absl::StatusOr<std::string> BuildNgramFile(const NgramTable& table) {
  if (absl::Status status = CheckTable(table); !status.ok()) return status;
  return FastFileBuilder(table).Build();
}

}  // namespace lmserve
