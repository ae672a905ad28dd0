#ifndef LMSERVE_MODELS_NGRAM_NGRAM_FILE_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_FILE_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// The bytes of ngram.bin, used in place. See model_store/FORMAT.md.
//
// The n-grams form a tree of contexts: the children of a node are the words
// seen after it, in the order of Likelier(). Nodes are numbered order by order
// from the root (the empty context) = 0, so that the children of a node are
// neighbours. The word w alone is node 1 + w. N-grams of the highest order have
// no children: they are leaves, and numbered on after the nodes.
using NodeId = uint32_t;

inline constexpr NodeId kRoot = 0;

struct NgramNode {
  float log_prob;      // ln P(last word | context)
  float backoff;       // ln of the back-off weight, or of the floor
  NodeId first_child;  // the last child is before the next node's first
  NodeId link;         // the longest proper suffix that is a context
};

struct NgramLeaf {
  float log_prob;
  NodeId link;
};

// The first bytes of the file. Sections follow, each beginning at a multiple of
// 64 bytes: nodes and one to end them, leaves, words, slots, best_words.
struct NgramHeader {
  std::array<char, 8> magic;
  uint32_t order;
  uint32_t rule;       // an UnseenRule
  float log_alpha;     // of UnseenRule::kStupid, else 0
  uint32_t slots;      // a power of two
  uint64_t file_size;  // bytes
  std::array<uint32_t, kMaxNgramOrder> counts;  // n-grams of order 1, 2, ...
};

inline constexpr std::array<char, 8> kNgramMagic = {'l', 'm', 'n', 'g',
                                                    'r', 'a', 'm', '1'};

// A context with more children than this finds them through the slots.
inline constexpr uint32_t kMaxScannedChildren = 16;

// The largest ln of a back-off weight. Far above what any method gives; sums of
// such stay finite.
inline constexpr float kMaxBackOff = 1000;

// Where each section of a file lies.
struct NgramLayout {
  explicit NgramLayout(const NgramHeader& header);

  uint64_t nodes;   // how many, the root and the inner n-grams
  uint64_t leaves;  // how many
  uint64_t nodes_at, leaves_at, words_at, slots_at, best_words_at;
  uint64_t file_size;
};

// Views of the sections. Copies share the bytes, which must outlive them.
struct NgramFile {
  const NgramHeader* header;
  absl::Span<const NgramNode> nodes;    // and one more, whose first_child ends
  absl::Span<const NgramLeaf> leaves;   // the children of the last
  absl::Span<const WordId> words;       // the last word of each node and leaf
  absl::Span<const NodeId> slots;       // children by hash; 0: none
  absl::Span<const WordId> best_words;  // the vocabulary, likeliest first
  std::array<NodeId, kMaxNgramOrder + 2> level_begin;  // first node of order k

  // Checks every count, offset, id and number in the bytes, so that nothing
  // that reads them later has to. Fails with INVALID_ARGUMENT, telling the
  // offset, the expected and the found.
  static absl::StatusOr<NgramFile> Parse(absl::string_view bytes,
                                         WordId vocabulary_size);

  int order() const { return static_cast<int>(header->order); }
  UnseenRule rule() const { return static_cast<UnseenRule>(header->rule); }

  // The number of words in the n-gram that a node or leaf stands for.
  int OrderOf(NodeId id) const;

  bool IsLeaf(NodeId id) const { return id >= nodes.size() - 1; }
  const NgramLeaf& Leaf(NodeId id) const {
    return leaves[id - (nodes.size() - 1)];
  }
  float LogProb(NodeId id) const {
    return IsLeaf(id) ? Leaf(id).log_prob : nodes[id].log_prob;
  }

  // Where a child of a large context may stand in slots: here or, past other
  // children, in the next ones, before an empty one.
  uint64_t Slot(NodeId context, WordId word) const {
    uint64_t hash = (uint64_t{context} << 32 | word) * 0x9E3779B97F4A7C15;
    hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93;
    return hash >> 32 & (slots.size() - 1);
  }

  // The n-gram context + word, or kRoot where there is none.
  NodeId FindChild(NodeId context, WordId word) const;

  // What is left of an n-gram once it is read: the longest suffix of it that
  // matters to the words that follow.
  NodeId ContextAfter(NodeId id) const {
    if (IsLeaf(id)) return Leaf(id).link;
    const NgramNode& node = nodes[id];
    const bool matters =
        node.first_child != nodes[id + 1].first_child || node.backoff != 0;
    return matters ? id : node.link;
  }
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_FILE_H_
