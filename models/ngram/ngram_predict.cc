// NgramModel::Distribution() and TopK(): what comes next.
//
// The next words of a context h are its children, and, weighted by the
// back-off, those of its suffix h', and so on down to the vocabulary; of a word
// in several of these lists the longest context's entry counts. Each list lies
// there likeliest first, so the k best are the first k of their merge that no
// longer context has: k look-ups or so, whatever the size of the vocabulary.
//
// Tested by tests/conformance and tests/models/ngram_model_test.cc.

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/base/macros.h"
#include "models/ngram/ngram_model.h"

namespace lmserve {

std::vector<NgramModel::Source> NgramModel::Sources(
    const Context& context) const {
  std::vector<Source> sources;
  sources.reserve(order());
  const bool stupid = rule() == UnseenRule::kStupid;
  float weight = 0;
  for (NodeId node = context.node;; node = file_.nodes[node].link) {
    if (stupid) {
      weight = StupidWeight(Remembered(context), file_.OrderOf(node));
    }
    sources.push_back({node, weight});
    if (node == kRoot) return sources;
    weight += file_.nodes[node].backoff;
  }
}

size_t NgramModel::SourceSize(const Source& source) const {
  return file_.nodes[source.node + 1].first_child -
         file_.nodes[source.node].first_child;
}

ScoredWord NgramModel::SourceWord(const Source& source, size_t i) const {
  const NodeId id = source.node == kRoot
                        ? 1 + file_.best_words[i]
                        : file_.nodes[source.node].first_child + i;
  return {file_.words[id], source.weight + file_.LogProb(id)};
}

void NgramModel::FillDistribution(const Context& context,
                                  float* log_probs) const {
  const bool floor = rule() == UnseenRule::kFloor && context.node != kRoot;
  std::vector<Source> sources = Sources(context);
  if (floor) {
    std::fill_n(log_probs, vocabulary_.size(),
                file_.nodes[context.node].backoff);
    log_probs[vocabulary_.begin_sentence()] =
        -std::numeric_limits<float>::infinity();
    sources.resize(1);
  } else {
    const float weight = sources.back().weight;
    for (WordId w = 0; w < vocabulary_.size(); ++w) {
      log_probs[w] = weight + file_.LogProb(1 + w);
    }
    sources.pop_back();
  }
  for (auto source = sources.rbegin(); source != sources.rend(); ++source) {
    const NodeId end = file_.nodes[source->node + 1].first_child;
    for (NodeId id = file_.nodes[source->node].first_child; id < end; ++id) {
      log_probs[file_.words[id]] = source->weight + file_.LogProb(id);
    }
  }
}

void NgramModel::FillTopK(const Context& context,
                          absl::Span<ScoredWord> best) const {
  const std::vector<Source> sources = Sources(context);
  struct Head {
    ScoredWord word;
    size_t next = 0;
  };
  std::vector<Head> heads(sources.size());
  const auto has_more = [&](size_t s) {
    return heads[s].next < SourceSize(sources[s]);
  };
  // Reads the next word of a list that no longer context has.
  const auto advance = [&](size_t s) {
    for (++heads[s].next; has_more(s); ++heads[s].next) {
      heads[s].word = SourceWord(sources[s], heads[s].next);
      const auto hides = [&](const Source& longer) {
        return file_.FindChild(longer.node, heads[s].word.word) != kRoot;
      };
      if (std::none_of(sources.begin(), sources.begin() + s, hides)) return;
    }
  };
  for (size_t s = 0; s < sources.size(); ++s) {
    heads[s].next = -1;
    advance(s);
  }
  // Equals of one list stand by id, but words that only the rounding of the
  // weighted sum makes equal may not: so all equals of the last are taken, and
  // sorted.
  std::vector<ScoredWord> words;
  words.reserve(best.size() + 1);
  for (;;) {
    size_t likeliest = sources.size();
    for (size_t s = 0; s < sources.size(); ++s) {
      if (has_more(s) && (likeliest == sources.size() ||
                          Likelier(heads[s].word, heads[likeliest].word))) {
        likeliest = s;
      }
    }
    if (likeliest == sources.size()) break;
    const ScoredWord& word = heads[likeliest].word;
    if (words.size() >= best.size() &&
        word.log_prob < words[best.size() - 1].log_prob) {
      break;
    }
    words.push_back(word);
    advance(likeliest);
  }
  std::sort(words.begin(), words.end(), Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

void NgramModel::FillTopKFloor(NodeId context,
                               absl::Span<ScoredWord> best) const {
  const Source children = {context, 0};
  const size_t count = std::min(best.size(), SourceSize(children));
  std::vector<ScoredWord> words;
  for (size_t i = 0; i < count; ++i) {
    words.push_back(SourceWord(children, i));
  }
  // The words at the floor are equals: the first ones by id are the best.
  const float floor = file_.nodes[context].backoff;
  for (WordId w = 0; w < vocabulary_.size(); ++w) {
    if (words.size() == count + best.size()) break;
    if (w == vocabulary_.begin_sentence()) continue;
    if (file_.FindChild(context, w) == kRoot) words.push_back({w, floor});
  }
  if (words.size() < best.size()) {
    words.push_back({vocabulary_.begin_sentence(),
                     -std::numeric_limits<float>::infinity()});
  }
  std::sort(words.begin(), words.end(), Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

void NgramModel::Distribution(absl::Span<const std::byte* const> states,
                              float* log_probs) const {
  for (size_t i = 0; i < states.size(); ++i) {
    FillDistribution(Read(states[i]), log_probs + i * vocabulary_.size());
  }
}

void NgramModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                      absl::Span<ScoredWord> best) const {
  ABSL_ASSERT(k >= 1 && k <= vocabulary_.size());
  for (size_t i = 0; i < states.size(); ++i) {
    const Context context = Read(states[i]);
    const absl::Span<ScoredWord> row = best.subspan(i * k, k);
    if (rule() == UnseenRule::kFloor && context.node != kRoot) {
      FillTopKFloor(context.node, row);
    } else {
      FillTopK(context, row);
    }
  }
}

}  // namespace lmserve
