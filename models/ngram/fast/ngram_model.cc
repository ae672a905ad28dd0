// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/fast/ngram_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/base/macros.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lmserve {

NgramModel::NgramModel(Vocabulary vocabulary, const NgramFile& file)
    : vocabulary_(std::move(vocabulary)), file_(file) {}

absl::StatusOr<std::unique_ptr<NgramModel>> NgramModel::Create(
    Vocabulary vocabulary, absl::string_view bytes) {
  absl::StatusOr<NgramFile> file = NgramFile::Parse(bytes, vocabulary.size());
  if (!file.ok()) return file.status();
  const WordId begin = vocabulary.begin_sentence();
  if (file->LogProb(1 + begin) != kImpossible ||
      std::count(file->words.begin() + 1, file->words.end(), begin) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("ngram.bin: ", kBeginSentence,
                     ": expected probability 0 and no n-grams that end with "
                     "it"));
  }
  return absl::WrapUnique(new NgramModel(std::move(vocabulary), *file));
}

size_t NgramModel::state_size() const {
  return rule() == UnseenRule::kStupid ? 2 * sizeof(uint32_t)
                                       : sizeof(uint32_t);
}

NgramModel::Context NgramModel::Read(const std::byte* state) const {
  uint32_t fields[2] = {};
  std::memcpy(fields, state, state_size());
  return {fields[0], fields[1]};
}

void NgramModel::Write(const Context& context, std::byte* state) const {
  const uint32_t fields[2] = {context.node, context.missing};
  std::memcpy(state, fields, state_size());
}

void NgramModel::Start(std::byte* state) const {
  Write(After(Context(), 1 + vocabulary_.begin_sentence()), state);
}

bool NgramModel::StartEmpty(std::byte* state) const {
  Write(Context(), state);
  return true;
}

NgramModel::Context NgramModel::MakeContext(NodeId node, int remembered) const {
  if (rule() != UnseenRule::kStupid) return {node, 0};
  return {node, static_cast<uint32_t>(remembered - file_.OrderOf(node))};
}

NgramModel::Context NgramModel::After(const Context& before,
                                      NodeId found) const {
  return MakeContext(file_.ContextAfter(found),
                     std::min(Remembered(before) + 1, order() - 1));
}

NgramModel::Step NgramModel::ScoreWord(std::byte* state, WordId word) const {
  const Context before = Read(state);
  float weight = 0;
  NodeId context = before.node;
  NodeId found = file_.FindChild(context, word);
  while (found == kRoot) {
    weight += file_.nodes[context].backoff;
    context = file_.nodes[context].link;
    found = file_.FindChild(context, word);
  }
  Write(After(before, found), state);
  const int found_order = file_.OrderOf(found);
  switch (rule()) {
    case UnseenRule::kBackOff:
      break;
    case UnseenRule::kFloor:
      // Beyond the first context, the search only served the next state.
      if (context != before.node) return {file_.nodes[before.node].backoff, 0};
      break;
    case UnseenRule::kStupid:
      weight = StupidWeight(Remembered(before), found_order - 1);
      break;
  }
  return {weight + file_.LogProb(found), found_order};
}

void NgramModel::ForEach(int order,
                         absl::FunctionRef<void(const Ngram&)> visit) const {
  std::vector<WordId> words(order);
  // The nodes on the path from the root to the current n-gram.
  std::vector<NodeId> path(order + 1, kRoot);
  const auto visit_children = [&](auto& self, int depth) -> void {
    const NodeId end = file_.nodes[path[depth] + 1].first_child;
    for (NodeId id = file_.nodes[path[depth]].first_child; id < end; ++id) {
      words[depth] = file_.words[id];
      path[depth + 1] = id;
      if (depth + 1 < order) {
        self(self, depth + 1);
      } else {
        const bool leaf = file_.IsLeaf(id);
        visit({words, file_.LogProb(id), leaf ? 0 : file_.nodes[id].backoff});
      }
    }
  };
  visit_children(visit_children, 0);
}

}  // namespace lmserve
