// SPDX-License-Identifier: Apache-2.0
#include "models/neural/prefix_tree.h"

#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace lmserve {

PrefixTree::PrefixTree(absl::Span<const LanguageModel::Query> batch,
                       size_t state_size) {
  AddRoots(batch, state_size);
  AddWords(batch);
  CollectScored();
}

// Adds a root for each distinct state, and starts the path of each text there.
void PrefixTree::AddRoots(absl::Span<const LanguageModel::Query> batch,
                          size_t state_size) {
  absl::flat_hash_map<absl::string_view, NodeId> known;
  size_t words = 0;
  for (const LanguageModel::Query& query : batch) {
    const absl::string_view bytes(reinterpret_cast<const char*>(query.state),
                                  state_size);
    const auto [root, is_new] =
        known.emplace(bytes, static_cast<NodeId>(nodes_.size()));
    if (is_new) {
      nodes_.push_back({0, 0, true, false});
      roots_.push_back(query.state);
    }
    path_begin_.push_back(words);
    words += query.words.size() + 1;
    paths_.resize(words);
    paths_[path_begin_.back()] = root->second;
  }
}

void PrefixTree::AddWords(absl::Span<const LanguageModel::Query> batch) {
  absl::flat_hash_map<uint64_t, NodeId> children;
  std::vector<size_t> node_depths(nodes_.size(), 0);
  for (size_t q = 0; q < batch.size(); ++q) {
    const absl::Span<const WordId> words = batch[q].words;
    NodeId* path = paths_.data() + path_begin_[q];
    for (size_t t = 0; t < words.size(); ++t) {
      const uint64_t key = uint64_t{path[t]} << 32 | words[t];
      const auto [child, is_new] =
          children.emplace(key, static_cast<NodeId>(nodes_.size()));
      if (is_new) {
        nodes_.push_back({path[t], words[t], false, false});
        node_depths.push_back(t + 1);
      }
      Node& node = nodes_[child->second];
      node.is_scored |= !batch[q].log_probs.empty();
      node.needs_state |=
          t + 1 < words.size() || batch[q].next_state != nullptr;
      path[t + 1] = child->second;
    }
  }
  OrderByDepth(node_depths);
}

// Renumbers the nodes by depth, those whose state must be computed first.
void PrefixTree::OrderByDepth(absl::Span<const size_t> node_depths) {
  std::vector<NodeId> order(nodes_.size());
  std::iota(order.begin(), order.end(), NodeId{0});
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
    if (node_depths[a] != node_depths[b]) {
      return node_depths[a] < node_depths[b];
    }
    return nodes_[a].needs_state > nodes_[b].needs_state;
  });
  std::vector<NodeId> new_ids(nodes_.size());
  std::vector<Node> ordered;
  ordered.reserve(nodes_.size());
  for (NodeId old_id : order) {
    const auto id = static_cast<NodeId>(ordered.size());
    new_ids[old_id] = id;
    Node node = nodes_[old_id];
    node.parent = new_ids[node.parent];  // set: the parent has a smaller depth
    if (node_depths[old_id] == depths_.size()) depths_.push_back({id, id});
    if (node.needs_state) depths_.back().states_end = id + 1;
    ordered.push_back(node);
  }
  nodes_ = std::move(ordered);
  for (NodeId& node : paths_) node = new_ids[node];
}

void PrefixTree::CollectScored() {
  scored_begin_.assign(nodes_.size() + 1, 0);
  for (size_t i = roots_.size(); i < nodes_.size(); ++i) {
    if (nodes_[i].is_scored) ++scored_begin_[nodes_[i].parent + 1];
  }
  std::partial_sum(scored_begin_.begin(), scored_begin_.end(),
                   scored_begin_.begin());
  scored_.resize(scored_begin_.back());
  std::vector<size_t> at(scored_begin_.begin(), scored_begin_.end() - 1);
  for (size_t i = roots_.size(); i < nodes_.size(); ++i) {
    if (nodes_[i].is_scored) {
      scored_[at[nodes_[i].parent]++] = static_cast<NodeId>(i);
    }
  }
}

}  // namespace lmserve
