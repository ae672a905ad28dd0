// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/consistency.h"

#include <map>
#include <utility>
#include <vector>

namespace lmserve {
namespace {

using Words = std::vector<WordId>;
using Ngrams = std::map<Words, NodeId>;

// Adds all n-grams that begin with a context. Returns false if one occurs twice
// or cannot be found.
bool AddChildren(const NgramFile& file, NodeId context, const Words& words,
                 Ngrams* ngrams) {
  const NodeId end = file.nodes[context + 1].first_child;
  for (NodeId id = file.nodes[context].first_child; id < end; ++id) {
    Words longer = words;
    longer.push_back(file.words[id]);
    if (!ngrams->emplace(longer, id).second) return false;
    if (file.FindChild(context, file.words[id]) != id) return false;
    if (!file.IsLeaf(id) && !AddChildren(file, id, longer, ngrams)) {
      return false;
    }
  }
  return true;
}

bool IsContext(const NgramFile& file, NodeId id) {
  return !file.IsLeaf(id) &&
         (file.nodes[id].first_child != file.nodes[id + 1].first_child ||
          file.nodes[id].backoff != 0);
}

NodeId LongestSuffix(const NgramFile& file, const Ngrams& ngrams, Words words) {
  while (!words.empty()) {
    words.erase(words.begin());
    const auto found = ngrams.find(words);
    if (found != ngrams.end() && IsContext(file, found->second)) {
      return found->second;
    }
  }
  return kRoot;
}

}  // namespace

bool IsConsistent(const NgramFile& file) {
  Ngrams ngrams;
  if (!AddChildren(file, kRoot, {}, &ngrams)) return false;
  for (const auto& [words, id] : ngrams) {
    const NodeId link =
        file.IsLeaf(id) ? file.Leaf(id).link : file.nodes[id].link;
    if (link != LongestSuffix(file, ngrams, words)) return false;
  }
  return true;
}

}  // namespace lmserve
