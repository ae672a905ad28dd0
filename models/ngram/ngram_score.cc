// NgramModel::Score(): many texts walked at once.
//
// A look-up waits for memory, not for arithmetic: a context's node, its
// children's words and the n-gram found are cache misses, each at an address
// that the one before gives. So a few texts are walked in turn, a step each: a
// step reads what the last one asked for, asks for what the next will read, and
// leaves the text meanwhile to the others (asynchronous memory access chaining;
// Kocberber, Falsafi and Grot, VLDB 2015).
//
// Tested by tests/models/ngram_model_test.cc against ScoreWord().

#include <array>
#include <cstring>

#include "models/ngram/ngram_model.h"

namespace lmserve {

// Walks the texts of one batch. Lives for one call of Score().
class NgramScorer {
 public:
  NgramScorer(const NgramModel& model,
              absl::Span<const LanguageModel::Query> batch)
      : model_(model),
        file_(model.file_),
        floor_(model.rule() == UnseenRule::kFloor),
        batch_(batch) {}

  void Run() {
    std::array<Lane, kLanes> lanes;
    size_t active = 0;
    while (active < kLanes && Begin(lanes[active])) ++active;
    while (active > 0) {
      for (size_t i = 0; i < active;) {
        if (Advance(lanes[i]) || Begin(lanes[i])) {
          ++i;
        } else {
          lanes[i] = lanes[--active];
        }
      }
    }
  }

 private:
  static constexpr size_t kLanes = 16;

  // A text, and how far the walk has come: to the step that reads what `step`
  // says.
  struct Lane {
    enum Step { kContext, kWords, kSlots, kCandidate, kFound };

    const LanguageModel::Query* query;
    size_t next;                 // which word is looked for
    NgramModel::Context before;  // the state of the text
    NodeId context;              // where the word is looked for
    NodeId found;                // the n-gram, or a candidate for it
    uint64_t slot;
    float weight;  // ln of the way from `before` to `context`
    Step step;

    WordId word() const { return query->words[next]; }
  };

  // Takes the next text of the batch; false where there is none.
  bool Begin(Lane& lane) {
    while (taken_ < batch_.size()) {
      const LanguageModel::Query& query = batch_[taken_++];
      lane.query = &query;
      lane.next = 0;
      lane.before = model_.Read(query.state);
      if (!query.words.empty()) {
        StartWord(lane);
        return true;
      }
      Finish(lane);
    }
    return false;
  }

  // Does one step; false once the text is done.
  bool Advance(Lane& lane) {
    switch (lane.step) {
      case Lane::kContext:
        ReadContext(lane);
        return true;
      case Lane::kWords:
        ReadWords(lane);
        return true;
      case Lane::kSlots:
        ReadSlots(lane);
        return true;
      case Lane::kCandidate:
        ReadCandidate(lane);
        return true;
      case Lane::kFound:
        return ReadFound(lane);
    }
    return false;
  }

  void StartWord(Lane& lane) {
    lane.weight = model_.StartWeight(lane.before);
    LookIn(lane, lane.before.node);
  }

  void LookIn(Lane& lane, NodeId context) {
    lane.context = context;
    if (context == kRoot) {
      Found(lane, 1 + lane.word());
    } else {
      __builtin_prefetch(&file_.nodes[context]);
      lane.step = Lane::kContext;
    }
  }

  void ReadContext(Lane& lane) {
    const NodeId begin = file_.nodes[lane.context].first_child;
    const NodeId count = file_.nodes[lane.context + 1].first_child - begin;
    if (count == 0) {
      BackOff(lane);
    } else if (count <= kMaxScannedChildren) {
      __builtin_prefetch(&file_.words[begin]);
      __builtin_prefetch(&file_.words[begin + count - 1]);
      lane.step = Lane::kWords;
    } else {
      lane.slot = file_.Slot(lane.context, lane.word());
      __builtin_prefetch(&file_.slots[lane.slot]);
      lane.step = Lane::kSlots;
    }
  }

  void ReadWords(Lane& lane) {
    const NodeId found = file_.FindChild(lane.context, lane.word());
    if (found == kRoot) {
      BackOff(lane);
    } else {
      Found(lane, found);
    }
  }

  // Goes to the next slot that holds a child of the context.
  void ReadSlots(Lane& lane) {
    const NodeId begin = file_.nodes[lane.context].first_child;
    const NodeId end = file_.nodes[lane.context + 1].first_child;
    for (;; lane.slot = (lane.slot + 1) & (file_.slots.size() - 1)) {
      const NodeId child = file_.slots[lane.slot];
      if (child == kRoot) return BackOff(lane);
      if (child < begin || child >= end) continue;
      __builtin_prefetch(&file_.words[child]);
      Found(lane, child);
      lane.step = Lane::kCandidate;
      return;
    }
  }

  void ReadCandidate(Lane& lane) {
    if (file_.words[lane.found] == lane.word()) {
      lane.step = Lane::kFound;
    } else {
      lane.slot = (lane.slot + 1) & (file_.slots.size() - 1);
      ReadSlots(lane);
    }
  }

  // The floor of the longest context is the answer; with it the search goes on
  // for the next state alone.
  void BackOff(Lane& lane) {
    if (!floor_ || lane.context == lane.before.node) {
      lane.weight += model_.BackOffWeight(lane.context);
    }
    LookIn(lane, file_.nodes[lane.context].link);
  }

  void Found(Lane& lane, NodeId found) {
    lane.found = found;
    __builtin_prefetch(file_.IsLeaf(found)
                           ? static_cast<const void*>(&file_.Leaf(found))
                           : static_cast<const void*>(&file_.nodes[found]));
    lane.step = Lane::kFound;
  }

  bool ReadFound(Lane& lane) {
    if (!lane.query->log_probs.empty()) {
      const bool floored = floor_ && lane.context != lane.before.node;
      lane.query->log_probs[lane.next] =
          floored ? lane.weight : lane.weight + file_.LogProb(lane.found);
    }
    lane.before = model_.After(lane.before, lane.found);
    if (++lane.next < lane.query->words.size()) {
      StartWord(lane);
      return true;
    }
    Finish(lane);
    return false;
  }

  void Finish(const Lane& lane) {
    if (lane.query->next_state != nullptr) {
      model_.Write(lane.before, lane.query->next_state);
    }
  }

  const NgramModel& model_;
  const NgramFile& file_;
  const bool floor_;
  const absl::Span<const LanguageModel::Query> batch_;
  size_t taken_ = 0;
};

void NgramModel::Score(absl::Span<const Query> batch) const {
  NgramScorer(*this, batch).Run();
}

}  // namespace lmserve
