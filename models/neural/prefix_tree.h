// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_
#define LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// The texts of a batch as a tree of their distinct prefixes, so that the
// prefixes that texts share are computed only once, as in a list of translation
// candidates.
//
// A node is a context: a state and the words read after it. The roots are the
// distinct initial states of the texts; a child has one more word than its
// parent. Node ids are ordered by depth. Within a depth, nodes whose state must
// be computed come first: those that have children and those whose state a
// query asks for.
//
// The batch must outlive the tree. Immutable after construction: any number of
// threads may use one instance.
class PrefixTree {
 public:
  using NodeId = uint32_t;

  PrefixTree(absl::Span<const LanguageModel::Query> batch, size_t state_size);

  size_t size() const { return nodes_.size(); }

  // The number of words in the longest text.
  size_t depth() const { return depths_.size() - 1; }

  // The nodes of depth d are [begin(d), end(d)). Those whose state must be
  // computed are [begin(d), states_end(d)). The nodes of depth 0 are the roots.
  NodeId begin(size_t depth) const { return depths_[depth].begin; }
  NodeId end(size_t depth) const {
    return depth + 1 < depths_.size() ? depths_[depth + 1].begin
                                      : static_cast<NodeId>(size());
  }
  NodeId states_end(size_t depth) const { return depths_[depth].states_end; }

  // Returns the node for the context without its last word, and that word.
  // REQUIRES: `node` is not a root.
  NodeId parent(NodeId node) const { return nodes_[node].parent; }
  WordId word(NodeId node) const { return nodes_[node].word; }

  // Returns the initial state of a root.
  const std::byte* root_state(NodeId root) const { return roots_[root]; }

  // Returns the children of a node whose log-probability a query asks for.
  absl::Span<const NodeId> scored_children(NodeId node) const {
    return absl::MakeConstSpan(scored_).subspan(
        scored_begin_[node], scored_begin_[node + 1] - scored_begin_[node]);
  }

  // Returns the node for the first t words of text q of the batch.
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
  std::vector<size_t> path_begin_;  // start of each text in paths_
  std::vector<NodeId> scored_;      // scored children, ordered by parent
  std::vector<size_t> scored_begin_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_PREFIX_TREE_H_
