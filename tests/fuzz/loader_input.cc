// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/loader_input.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/language_model.h"
#include "models/ngram/fast/ngram_file.h"

namespace lmserve {
namespace {

// Maximum size of a mutated file.
constexpr uint64_t kMostBytes = 1 << 16;

// The sections of an ngram.bin, which can be resized.
struct Sections {
  NgramHeader header;
  std::vector<NgramNode> nodes;  // including the final one
  std::vector<NgramLeaf> leaves;
  std::vector<WordId> words;
  std::vector<NodeId> slots;
  std::vector<WordId> best_words;
};

// Returns the header, as far as the bytes go.
NgramHeader ReadHeader(absl::string_view bytes) {
  NgramHeader header = {};
  std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof(header)));
  for (uint32_t k = header.order; k < header.counts.size(); ++k) {
    header.counts[k] = 0;
  }
  return header;
}

// Inputs without a plausible header are not mutated further.
bool HasHeader(absl::string_view bytes) {
  if (bytes.size() < NgramHeaderBytes(1)) return false;
  const NgramHeader header = ReadHeader(bytes);
  return header.order >= 1 && header.order <= kMaxNgramOrder &&
         NgramLayout(header).file_size <= kMostBytes;
}

// Copies a section as far as the bytes go and fills the rest with 0.
template <typename T>
std::vector<T> Section(absl::string_view bytes, uint64_t at, uint64_t size) {
  std::vector<T> section(size);
  if (size > 0 && at < bytes.size()) {
    std::memcpy(section.data(), bytes.data() + at,
                std::min<uint64_t>(bytes.size() - at, size * sizeof(T)));
  }
  return section;
}

Sections TakeApart(absl::string_view bytes) {
  Sections s;
  s.header = ReadHeader(bytes);
  const NgramLayout layout(s.header);
  s.nodes = Section<NgramNode>(bytes, layout.nodes_at, layout.nodes + 1);
  s.leaves = Section<NgramLeaf>(bytes, layout.leaves_at, layout.leaves);
  s.words =
      Section<WordId>(bytes, layout.words_at, layout.nodes + layout.leaves);
  s.slots = Section<NodeId>(bytes, layout.slots_at, s.header.slots);
  s.best_words =
      Section<WordId>(bytes, layout.best_words_at, s.header.counts[0]);
  return s;
}

std::string PutTogether(Sections& s) {
  const NgramLayout layout(s.header);
  s.header.file_size = layout.file_size;
  std::string bytes(layout.file_size, '\0');
  const auto put = [&bytes](uint64_t at, const auto& section, size_t size) {
    const size_t count = std::min(section.size(), size);
    if (count > 0) {
      std::memcpy(bytes.data() + at, section.data(),
                  count * sizeof(section[0]));
    }
  };
  std::memcpy(bytes.data(), &s.header, NgramHeaderBytes(s.header.order));
  put(layout.nodes_at, s.nodes, layout.nodes + 1);
  put(layout.leaves_at, s.leaves, layout.leaves);
  put(layout.words_at, s.words, layout.nodes + layout.leaves);
  put(layout.slots_at, s.slots, s.header.slots);
  put(layout.best_words_at, s.best_words, s.header.counts[0]);
  return bytes;
}

uint32_t Bits(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits;
}

uint32_t InterestingNumber(std::minstd_rand& random, uint32_t old) {
  using Float = std::numeric_limits<float>;
  const uint32_t numbers[] = {0,
                              1,
                              old + 1,
                              old - 1,
                              old * 2,
                              ~uint32_t{0},
                              uint32_t{1} << 31,
                              static_cast<uint32_t>(random() % 64),
                              Bits(-Float::infinity()),
                              Bits(Float::infinity()),
                              Bits(Float::quiet_NaN()),
                              Bits(Float::max()),
                              Bits(-Float::max()),
                              Bits(Float::denorm_min()),
                              Bits(-1.5f),
                              Bits(30.0f)};
  return numbers[random() % std::size(numbers)];
}

// Replaces one number of 4 bytes by a fixed one or by another one of the file.
void ReplaceNumber(std::minstd_rand& random, std::string* bytes) {
  const size_t count = bytes->size() / sizeof(uint32_t);
  // In one of four cases a number of the header.
  const size_t header = std::min(count, sizeof(NgramHeader) / sizeof(uint32_t));
  const size_t at =
      random() % (random() % 4 == 0 ? header : count) * sizeof(uint32_t);
  uint32_t number;
  std::memcpy(&number, bytes->data() + at, sizeof(number));
  number = InterestingNumber(random, number);
  if (random() % 2 == 0) {
    const size_t other = random() % count * sizeof(uint32_t);
    std::memcpy(&number, bytes->data() + other, sizeof(number));
  }
  std::memcpy(bytes->data() + at, &number, sizeof(number));
}

void ChangeSizes(std::minstd_rand& random, std::string* bytes) {
  Sections s = TakeApart(*bytes);
  uint32_t& count = s.header.counts[random() % s.header.order];
  switch (random() % 6) {
    case 0:
      ++count;
      break;
    case 1:
      count -= count > 0;
      break;
    case 2:
      count = 0;
      break;
    case 3:
      s.header.order = 1 + random() % kMaxNgramOrder;
      break;
    case 4:
      s.header.slots = uint32_t{1} << random() % 8;
      break;
    default:
      s.header.rule = random() % 3;
  }
  if (NgramLayout(s.header).file_size <= kMostBytes) *bytes = PutTogether(s);
}

// Returns the number of n-grams of the orders 0 to k for each k up to the
// order; the root has order 0.
std::vector<NodeId> LevelEnds(const NgramHeader& header) {
  std::vector<NodeId> ends = {1};
  for (uint32_t k = 1; k <= header.order; ++k) {
    ends.push_back(ends.back() + header.counts[k - 1]);
  }
  return ends;
}

// If an order has no n-grams, removes those of higher orders.
void RepairCounts(Sections* s) {
  for (uint32_t k = 1; k < kMaxNgramOrder; ++k) {
    uint32_t& count = s->header.counts[k];
    if (k >= s->header.order || s->header.counts[k - 1] == 0) count = 0;
  }
  *s = TakeApart(PutTogether(*s));
}

float RepairLogProb(float log_prob) { return log_prob <= 0 ? log_prob : -1; }

void RepairNodes(Sections* s) {
  const std::vector<NodeId> ends = LevelEnds(s->header);
  NodeId id = 0;
  for (uint32_t k = 0; k < s->header.order; ++k) {
    NodeId first_child = ends[k];
    for (const NodeId begin = id; id < ends[k]; ++id) {
      NgramNode& node = s->nodes[id];
      node.log_prob = RepairLogProb(node.log_prob);
      if (!(node.backoff < 100)) node.backoff = 0.5f;
      const NodeId room = ends[k + 1] - first_child;
      if (id != begin && room > 0) {
        first_child += (node.first_child - first_child) % (room + 1);
      }
      node.first_child = first_child;
      node.link %= k == 0 ? 1 : ends[k - 1];
    }
  }
  s->nodes.back().first_child = ends.back();
  for (NgramLeaf& leaf : s->leaves) {
    leaf.log_prob = RepairLogProb(leaf.log_prob);
    leaf.link %= ends[s->header.order - 1];
  }
}

float* LogProb(Sections* s, NodeId id) {
  const NodeId nodes = s->nodes.size() - 1;
  return id < nodes ? &s->nodes[id].log_prob : &s->leaves[id - nodes].log_prob;
}

// Makes order 1 equal to the vocabulary, replaces <s> in longer n-grams, avoids
// repeated words among the children of a context if possible, and sorts the
// children by descending probability.
void RepairWords(Sections* s) {
  const WordId size = s->header.counts[0];
  constexpr WordId kBegin = 1;  // in all seeds
  for (NodeId id = 1; id < s->words.size(); ++id) {
    WordId& word = s->words[id];
    word = id <= size ? id - 1 : word % size;
    if (id > size && word == kBegin) word = 0;
  }
  if (size > kBegin) {
    *LogProb(s, 1 + kBegin) = -std::numeric_limits<float>::infinity();
  }
  for (NodeId context = 1; context + 1 < s->nodes.size(); ++context) {
    const NodeId begin = s->nodes[context].first_child;
    const NodeId end = s->nodes[context + 1].first_child;
    std::vector<ScoredWord> children;
    std::set<WordId> used = {kBegin};
    for (NodeId id = begin; id < end; ++id) {
      WordId& word = s->words[id];
      while (used.size() < size && !used.insert(word).second) {
        word = (word + 1) % size;
      }
      children.push_back({s->words[id], *LogProb(s, id)});
    }
    std::sort(children.begin(), children.end(), Likelier);
    for (NodeId id = begin; id < end; ++id) {
      s->words[id] = children[id - begin].word;
      *LogProb(s, id) = children[id - begin].log_prob;
    }
  }
}

void RepairBestWords(Sections* s) {
  std::iota(s->best_words.begin(), s->best_words.end(), 0u);
  std::sort(s->best_words.begin(), s->best_words.end(),
            [s](WordId a, WordId b) {
              return Likelier({a, *LogProb(s, 1 + a)}, {b, *LogProb(s, 1 + b)});
            });
}

// Fills the slots with the children of large contexts while there is space.
void RepairSlots(Sections* s) {
  NgramFile view = {};
  view.slots = s->slots;
  size_t free = s->slots.size();
  std::fill(s->slots.begin(), s->slots.end(), 0u);
  for (NodeId context = 1; context + 1 < s->nodes.size(); ++context) {
    const NodeId begin = s->nodes[context].first_child;
    const NodeId end = s->nodes[context + 1].first_child;
    if (end - begin <= kMaxScannedChildren) continue;
    for (NodeId id = begin; id < end && free > 1; ++id, --free) {
      uint64_t slot = view.Slot(context, s->words[id]);
      while (s->slots[slot] != 0) slot = (slot + 1) & (s->slots.size() - 1);
      s->slots[slot] = id;
    }
  }
}

NodeId FindChild(const Sections& s, NodeId context, WordId word) {
  if (context == kRoot) return 1 + word;
  const NodeId end = s.nodes[context + 1].first_child;
  for (NodeId id = s.nodes[context].first_child; id < end; ++id) {
    if (s.words[id] == word) return id;
  }
  return kRoot;
}

// Contexts are visited in ascending order, so the links of shorter ones are
// already repaired.
void RepairLinks(Sections* s) {
  const NodeId nodes = s->nodes.size() - 1;
  for (NodeId context = 1; context < nodes; ++context) {
    const NodeId end = s->nodes[context + 1].first_child;
    for (NodeId id = s->nodes[context].first_child; id < end; ++id) {
      NodeId suffix = context, found;
      do {
        suffix = s->nodes[suffix].link;
        found = FindChild(*s, suffix, s->words[id]);
      } while (found == kRoot);
      const NgramNode& node = s->nodes[found];
      const bool matters =
          node.first_child != s->nodes[found + 1].first_child ||
          node.backoff != 0;
      const NodeId link = matters ? found : node.link;
      (id < nodes ? s->nodes[id].link : s->leaves[id - nodes].link) = link;
    }
  }
}

// Removes or adds words at the end.
void FitVocabulary(size_t words, std::string* text) {
  const size_t found = std::count(text->begin(), text->end(), '\n');
  for (size_t i = found; i < words; ++i) absl::StrAppend(text, "w", i, "\n");
  if (words >= found) return;
  size_t end = 0;
  for (size_t i = 0; i < words; ++i) end = text->find('\n', end) + 1;
  text->resize(end);
}

// Two files: the length of the first (4 bytes), then both.
std::string JoinPair(Loader loader, absl::string_view first,
                     absl::string_view second) {
  const auto size = static_cast<uint32_t>(first.size());
  std::string input(1, static_cast<char>(loader));
  input.append(reinterpret_cast<const char*>(&size), sizeof(size));
  return absl::StrCat(input, first, second);
}

std::pair<std::string, std::string> SplitPair(absl::string_view rest) {
  uint32_t size;
  if (rest.size() < sizeof(size)) return {};
  std::memcpy(&size, rest.data(), sizeof(size));
  rest.remove_prefix(sizeof(size));
  return {std::string(rest.substr(0, size)),
          std::string(rest.substr(std::min<size_t>(size, rest.size())))};
}

}  // namespace

std::string JoinModel(const ModelInput& model) {
  return JoinPair(Loader::kModel, model.vocabulary, model.ngram);
}

ModelInput SplitModel(absl::string_view rest) {
  auto [vocabulary, ngram] = SplitPair(rest);
  return {std::move(vocabulary), std::move(ngram)};
}

std::string JoinLabeling(Loader loader, const LabelingInput& model) {
  return JoinPair(loader, model.labels, model.weights);
}

LabelingInput SplitLabeling(absl::string_view rest) {
  auto [labels, weights] = SplitPair(rest);
  return {std::move(labels), std::move(weights)};
}

void MutateNgram(std::minstd_rand& random, std::string* bytes) {
  for (uint32_t i = 1 + random() % 3; i > 0; --i) {
    if (!HasHeader(*bytes)) return;
    if (random() % 4 == 0) {
      ChangeSizes(random, bytes);
    } else {
      ReplaceNumber(random, bytes);
    }
  }
}

void RepairModel(std::minstd_rand& random, ModelInput* model) {
  if (!HasHeader(model->ngram)) return;
  Sections s = TakeApart(model->ngram);
  if (s.header.counts[0] == 0) return;
  s.header.magic = NgramMagic(s.header.order);
  s.header.rule %= 3;
  if (!std::isfinite(s.header.log_alpha) || s.header.log_alpha > 0) {
    s.header.log_alpha = -1;
  }
  s.header.slots = std::bit_floor(std::max(s.header.slots, 1u));
  RepairCounts(&s);
  RepairNodes(&s);
  RepairWords(&s);
  RepairBestWords(&s);
  RepairSlots(&s);
  if (random() % 4 != 0) RepairLinks(&s);
  model->ngram = PutTogether(s);
  FitVocabulary(s.header.counts[0], &model->vocabulary);
}

}  // namespace lmserve
