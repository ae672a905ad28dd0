// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_FAST_NGRAM_FILE_H_
#define LMSERVE_MODELS_NGRAM_FAST_NGRAM_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// The structures of ngram.bin, which are used in place. model_store/FORMAT.md
// specifies the format.
//
// The n-grams form a tree. A node is an n-gram; its children are the n-grams
// that extend it by one word, in the order of Likelier(). The root, node 0, is
// the empty context. Ids are assigned order by order, so that the children of a
// node have consecutive ids; the unigram of word w is node 1 + w. N-grams of
// the highest order have no children. They are stored as leaves, whose ids
// follow those of the nodes.
using NodeId = uint32_t;

inline constexpr NodeId kRoot = 0;

struct NgramNode {
  float log_prob;      // ln P(last word | context)
  float backoff;       // ln of the back-off weight, or for kFloor of the floor
  NodeId first_child;  // the children end at the first_child of the next node
  NodeId link;         // the longest proper suffix that is a context
};

struct NgramLeaf {
  float log_prob;
  NodeId link;
};

// The start of the file: all of it or, up to the order kShortHeaderOrder, only
// the counts of as many orders. The sections follow, each at an offset that is
// a multiple of 64 bytes: nodes with one sentinel node, leaves, words, slots,
// best_words.
struct NgramHeader {
  std::array<char, 8> magic;
  uint32_t order;
  uint32_t rule;       // an UnseenRule
  float log_alpha;     // for UnseenRule::kStupid; otherwise 0
  uint32_t slots;      // number of slots, a power of two
  uint64_t file_size;  // bytes
  std::array<uint32_t, kMaxNgramOrder> counts;  // n-grams of order 1, 2, ...
};

// The highest order of the files of lmserve 0.1, whose header is shorter.
inline constexpr uint32_t kShortHeaderOrder = 16;

// Returns the first bytes of a file of an order: "lmngram1", or "lmngram2" for
// a long header.
constexpr std::array<char, 8> NgramMagic(uint32_t order) {
  const char version = order <= kShortHeaderOrder ? '1' : '2';
  return {'l', 'm', 'n', 'g', 'r', 'a', 'm', version};
}

// Returns the size of the header of a file of an order: 96 or 160 bytes.
constexpr size_t NgramHeaderBytes(uint32_t order) {
  const size_t missing = order <= kShortHeaderOrder
                             ? size_t{kMaxNgramOrder} - kShortHeaderOrder
                             : 0;
  return sizeof(NgramHeader) - missing * sizeof(uint32_t);
}

// A context with more children than this is large: its children are found by
// hashing, in the slots. Those of other contexts are found by a linear search.
inline constexpr uint32_t kMaxScannedChildren = 16;

// The most slots in a row that may be occupied, which bounds the time of a
// look-up. Tables that are two thirds full, as writers make them, have about 6
// per doubling of their size: 165 with 2^27 slots.
inline constexpr uint32_t kMaxOccupiedSlots = 512;

// The sizes and byte offsets of the sections of a file.
struct NgramLayout {
  explicit NgramLayout(const NgramHeader& header);

  uint64_t nodes;   // number of nodes with the root, without the sentinel
  uint64_t leaves;  // number of leaves
  uint64_t nodes_at, leaves_at, words_at, slots_at, best_words_at;
  uint64_t file_size;
};

// Views of the sections of a file. Does not own the bytes, which must outlive
// all copies. Immutable after Parse(): any number of threads may use it.
struct NgramFile {
  NgramHeader header;
  // The nodes and a sentinel, whose first_child ends the children of the last
  // node.
  absl::Span<const NgramNode> nodes;
  absl::Span<const NgramLeaf> leaves;
  absl::Span<const WordId> words;       // the last word of each node and leaf
  absl::Span<const NodeId> slots;       // hash table of children; 0: empty
  absl::Span<const WordId> best_words;  // the vocabulary sorted by Likelier()
  // The id of the first node or leaf of order k.
  std::array<NodeId, kMaxNgramOrder + 2> level_begin;

  // Checks every count, offset, id and number in the bytes, so that later reads
  // need no checks and every look-up ends after a bounded number of steps.
  // Returns INVALID_ARGUMENT with the offset, the expected and the found value
  // if one is wrong. REQUIRES: bytes are aligned to 8 bytes.
  static absl::StatusOr<NgramFile> Parse(absl::string_view bytes,
                                         WordId vocabulary_size);

  int order() const { return static_cast<int>(header.order); }
  UnseenRule rule() const { return static_cast<UnseenRule>(header.rule); }

  // Returns the number of words in the n-gram of a node or leaf.
  int OrderOf(NodeId id) const;

  bool IsLeaf(NodeId id) const { return id >= nodes.size() - 1; }
  const NgramLeaf& Leaf(NodeId id) const {
    return leaves[id - (nodes.size() - 1)];
  }
  float LogProb(NodeId id) const {
    return IsLeaf(id) ? Leaf(id).log_prob : nodes[id].log_prob;
  }

  // Returns the index in `slots` where the search for a child of a large
  // context starts. The child is at this index or a later one (modulo the
  // size), before the first empty slot.
  uint64_t Slot(NodeId context, WordId word) const {
    uint64_t hash = (uint64_t{context} << 32 | word) * 0x9E3779B97F4A7C15;
    hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93;
    return hash >> 32 & (slots.size() - 1);
  }

  // Returns the n-gram context + word, or kRoot if it does not exist.
  NodeId FindChild(NodeId context, WordId word) const;

  // The same for a context that is not the root and has the children
  // [begin, end): the first for at most kMaxScannedChildren, the second for
  // more, where `slot` is Slot(context, word).
  NodeId ScanChildren(NodeId begin, NodeId end, WordId word) const {
    for (NodeId child = begin; child < end; ++child) {
      if (words[child] == word) return child;
    }
    return kRoot;
  }
  NodeId ProbeChildren(NodeId begin, NodeId end, WordId word,
                       uint64_t slot) const {
    for (;; slot = (slot + 1) & (slots.size() - 1)) {
      const NodeId child = slots[slot];
      if (child == kRoot) return kRoot;
      if (child >= begin && child < end && words[child] == word) return child;
    }
  }

  // Fetches the memory of a node or leaf, and that of what FindChild() reads of
  // a node: the next one may be in another cache line.
  void Prefetch(NodeId id) const {
    if (IsLeaf(id)) {
      __builtin_prefetch(&Leaf(id));
      return;
    }
    __builtin_prefetch(&nodes[id]);
    __builtin_prefetch(&nodes[id + 1]);
  }

  // Returns the longest suffix of an n-gram that matters for the words after
  // it: one that has children or a back-off weight.
  NodeId ContextAfter(NodeId id) const {
    if (IsLeaf(id)) return Leaf(id).link;
    const NgramNode& node = nodes[id];
    const bool matters =
        node.first_child != nodes[id + 1].first_child || node.backoff != 0;
    return matters ? id : node.link;
  }
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_FAST_NGRAM_FILE_H_
