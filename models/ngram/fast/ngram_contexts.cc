// SPDX-License-Identifier: Apache-2.0
//
// NgramModel::ScoreWord() of one word at a time, for decoders that keep the
// contexts of their states.
//
// ScoreWord() of a state reads one place of memory after the other: a context,
// its children, the next shorter context, and so on. Here the contexts are
// known before the word, so their look-ups do not wait for each other, and the
// words of their children are fetched between two calls.

#include <array>
#include <cstring>

#include "models/ngram/fast/ngram_model.h"

namespace lmserve {

void NgramModel::FillContexts(NodeId node, Contexts* contexts) const {
  uint32_t count = 0;
  for (; node != kRoot && count < Contexts::kMost;
       node = file_.nodes[node].link) {
    const NgramNode& context = file_.nodes[node];
    const NodeId begin = context.first_child;
    const NodeId end = file_.nodes[node + 1].first_child;
    contexts->items[count++] = {node, begin, end, context.backoff};
    if (begin != end && end - begin <= kMaxScannedChildren) {
      __builtin_prefetch(&file_.words[begin]);
      __builtin_prefetch(&file_.words[end - 1]);
    }
  }
  contexts->count = count;
}

NgramModel::Contexts NgramModel::ContextsOf(const std::byte* state) const {
  Contexts contexts;
  FillContexts(Read(state).node, &contexts);
  return contexts;
}

void NgramModel::WriteState(const Contexts& contexts, std::byte* state) const {
  const NodeId node = contexts.count == 0 ? kRoot : contexts.items[0].node;
  std::memcpy(state, &node, kBackOffStateSize);
}

float NgramModel::BackoffWeight(const Contexts& contexts) const {
  if (contexts.count == 0) return 0;
  float weight = 0;
  for (NodeId node = contexts.items[0].node; node != kRoot;
       node = file_.nodes[node].link) {
    weight += file_.nodes[node].backoff;
  }
  return weight;
}

NgramModel::Step NgramModel::ScoreWord(const Contexts& before, WordId word,
                                       Contexts* after) const {
  file_.Prefetch(1 + word);
  const uint32_t count = before.count;
  std::array<uint64_t, Contexts::kMost> slots = {};  // of large contexts
  for (uint32_t i = 0; i < count; ++i) {
    const Contexts::Item& item = before.items[i];
    if (item.end - item.begin <= kMaxScannedChildren) continue;
    slots[i] = file_.Slot(item.node, word);
    __builtin_prefetch(&file_.slots[slots[i]]);
  }
  // Looks in all contexts: the n-grams that are found in those after the first
  // are its suffixes, which become the next contexts.
  NodeId found = kRoot;
  float weight = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Contexts::Item& item = before.items[i];
    const NodeId child =
        item.end - item.begin <= kMaxScannedChildren
            ? file_.ScanChildren(item.begin, item.end, word)
            : file_.ProbeChildren(item.begin, item.end, word, slots[i]);
    if (child != kRoot) file_.Prefetch(child);
    if (found == kRoot) found = child;
    if (found == kRoot) weight += item.backoff;
  }
  if (found == kRoot && count == Contexts::kMost) {
    for (NodeId node = file_.nodes[before.items[count - 1].node].link;;
         node = file_.nodes[node].link) {
      found = file_.FindChild(node, word);
      if (found != kRoot) break;
      weight += file_.nodes[node].backoff;
    }
  }
  if (found == kRoot) found = 1 + word;
  const Step step = {weight + file_.LogProb(found), file_.OrderOf(found)};
  FillContexts(file_.ContextAfter(found), after);
  return step;
}

}  // namespace lmserve
