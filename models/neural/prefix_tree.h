#ifndef LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_
#define LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// The texts of a batch as a tree, in which what they share at their beginnings
// stands once: a list of translation candidates costs its distinct prefixes.
//
// A node is a context; the roots are the distinct states that the texts go on
// from, a child is one word more. Nodes are numbered by depth, and within a
// depth those whose state somebody needs come first: those are the ones to
// compute. Immutable once made; the batch must outlive it.
class PrefixTree {
 public:
  using NodeId = uint32_t;

  PrefixTree(absl::Span<const LanguageModel::Query> batch, size_t state_size);

  size_t size() const { return nodes_.size(); }

  // How many words the longest text has.
  size_t depth() const { return depths_.size() - 1; }

  // The nodes of a depth are [begin(d), end(d)), those with a state
  // [begin(d), states_end(d)). Depth 0 is the roots.
  NodeId begin(size_t depth) const { return depths_[depth].begin; }
  NodeId end(size_t depth) const {
    return depth + 1 < depths_.size() ? depths_[depth + 1].begin
                                      : static_cast<NodeId>(size());
  }
  NodeId states_end(size_t depth) const { return depths_[depth].states_end; }

  // The node's context less its last word. REQUIRES: not a root.
  NodeId parent(NodeId node) const { return nodes_[node].parent; }
  WordId word(NodeId node) const { return nodes_[node].word; }

  // The state that a root stands for.
  const std::byte* root_state(NodeId root) const { return roots_[root]; }

  // The children of a node whose probabilities somebody wants, one after the
  // other.
  absl::Span<const NodeId> scored_children(NodeId node) const {
    return absl::MakeConstSpan(scored_).subspan(
        scored_begin_[node], scored_begin_[node + 1] - scored_begin_[node]);
  }

  // The node of text q of the batch after t of its words.
  NodeId node(size_t q, size_t t) const { return paths_[path_begin_[q] + t]; }

 private:
  struct Node {
    NodeId parent;
    WordId word;
    bool needs_state;
    bool is_scored;
  };
  struct Depth {
    NodeId begin;
    NodeId states_end;
  };

  void AddRoots(absl::Span<const LanguageModel::Query> batch,
                size_t state_size);
  void AddWords(absl::Span<const LanguageModel::Query> batch);
  void OrderByDepth(absl::Span<const size_t> node_depths);
  void CollectScored();

  std::vector<Node> nodes_;
  std::vector<Depth> depths_;
  std::vector<const std::byte*> roots_;
  std::vector<NodeId> paths_;       // the nodes of text 0, then of text 1, ...
  std::vector<size_t> path_begin_;  // of each text, in paths_
  std::vector<NodeId> scored_;      // children by parent
  std::vector<size_t> scored_begin_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_
