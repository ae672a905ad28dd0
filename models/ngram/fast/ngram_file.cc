// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/fast/ngram_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/language_model.h"
#include "models/ngram/broken_file.h"

namespace lmserve {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ngram.bin is little-endian and used in place");
static_assert(sizeof(NgramNode) == 16 && sizeof(NgramLeaf) == 8);
static_assert(sizeof(NgramHeader) == 160 && NgramHeaderBytes(16) == 96 &&
              NgramHeaderBytes(17) == 160);

uint64_t Align(uint64_t offset) { return (offset + 63) / 64 * 64; }

// Checks that every order that has n-grams is at most the order of the model,
// and that the order below it has n-grams, too.
absl::Status CheckCounts(const NgramHeader& header) {
  for (uint32_t k = 1; k < kMaxNgramOrder; ++k) {
    const bool allowed = k < header.order && header.counts[k - 1] > 0;
    if (header.counts[k] > 0 && !allowed) {
      return BrokenNgramFile(
          offsetof(NgramHeader, counts) + k * sizeof(uint32_t),
          absl::StrCat(k + 1, "-grams"), 0, header.counts[k]);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHeader(const NgramHeader& header, uint64_t size,
                         WordId vocabulary_size) {
  const bool is_long = header.magic == NgramMagic(kMaxNgramOrder);
  if (header.magic != NgramMagic(1) && !is_long) {
    const absl::string_view found(header.magic.data(), header.magic.size());
    return BrokenNgramFile(
        0, "magic", "lmngram1 or lmngram2",
        absl::StartsWith(found, "lmngram")
            ? absl::StrCat("'", absl::CHexEscape(found),
                           "', the format of another lmserve")
            : "other bytes");
  }
  const uint32_t least = is_long ? kShortHeaderOrder + 1 : 1;
  const uint32_t most = is_long ? kMaxNgramOrder : kShortHeaderOrder;
  if (header.order < least || header.order > most) {
    return BrokenNgramFile(offsetof(NgramHeader, order), "order",
                           absl::StrCat(least, " to ", most), header.order);
  }
  if (header.rule > static_cast<uint32_t>(UnseenRule::kStupid)) {
    return BrokenNgramFile(offsetof(NgramHeader, rule), "rule for unseen words",
                           "0 to 2", header.rule);
  }
  if (!std::isfinite(header.log_alpha) || header.log_alpha > 0) {
    return BrokenNgramFile(offsetof(NgramHeader, log_alpha), "ln alpha",
                           "a finite number of at most 0", header.log_alpha);
  }
  if (!std::has_single_bit(header.slots)) {
    return BrokenNgramFile(offsetof(NgramHeader, slots), "slots",
                           "a power of two", header.slots);
  }
  if (header.counts[0] != vocabulary_size) {
    return BrokenNgramFile(offsetof(NgramHeader, counts), "words",
                           vocabulary_size, header.counts[0]);
  }
  absl::Status counts = CheckCounts(header);
  if (!counts.ok()) return counts;
  const NgramLayout layout(header);
  if (layout.nodes + layout.leaves > std::numeric_limits<NodeId>::max()) {
    return BrokenNgramFile(offsetof(NgramHeader, counts), "n-grams",
                           "fewer than 2^32 in total",
                           layout.nodes + layout.leaves);
  }
  if (header.file_size != layout.file_size) {
    return BrokenNgramFile(offsetof(NgramHeader, file_size), "file size",
                           layout.file_size, header.file_size);
  }
  if (size != layout.file_size) {
    return BrokenNgramFile(std::min(size, layout.file_size), "file size",
                           layout.file_size, size);
  }
  return absl::OkStatus();
}

// Checks the log-probability of a node or leaf of the given order, and that its
// link refers to a context of a lower order, so that every chain of links ends.
absl::Status CheckEntry(const NgramFile& file, uint64_t offset, int order,
                        float log_prob, NodeId link) {
  if (!(log_prob <= 0)) {
    return BrokenNgramFile(offset, "log-probability", "at most 0", log_prob);
  }
  const NodeId end =
      std::min<NodeId>(file.level_begin[order], file.nodes.size() - 1);
  if (link >= std::max<NodeId>(end, 1)) {
    return BrokenNgramFile(offset, "link", absl::StrCat("below ", end), link);
  }
  return absl::OkStatus();
}

absl::Status CheckNodes(const NgramFile& file, const NgramLayout& layout) {
  for (int k = 0; k < file.order(); ++k) {
    NodeId expected = file.level_begin[k + 1];
    for (NodeId id = file.level_begin[k]; id < file.level_begin[k + 1]; ++id) {
      const NgramNode& node = file.nodes[id];
      const uint64_t offset = layout.nodes_at + id * sizeof(NgramNode);
      const bool first = id == file.level_begin[k];
      if (first ? node.first_child != expected
                : node.first_child < expected ||
                      node.first_child > file.level_begin[k + 2]) {
        return BrokenNgramFile(offset, "first child",
                               absl::StrCat(first ? "" : "at least ", expected),
                               node.first_child);
      }
      expected = node.first_child;
      if (!(node.backoff <= kMaxBackOff)) {
        return BrokenNgramFile(offset, "back-off",
                               absl::StrCat("at most ", kMaxBackOff),
                               node.backoff);
      }
      absl::Status status =
          CheckEntry(file, offset, k, node.log_prob, node.link);
      if (!status.ok()) return status;
    }
  }
  const NodeId end = layout.nodes + layout.leaves;
  if (file.nodes.back().first_child != end) {
    return BrokenNgramFile(layout.nodes_at + layout.nodes * sizeof(NgramNode),
                           "end of the children", end,
                           file.nodes.back().first_child);
  }
  return absl::OkStatus();
}

// Checks that no context has more children than there are words, which bounds
// the time of reading them. REQUIRES: CheckNodes() is OK.
absl::Status CheckChildren(const NgramFile& file, const NgramLayout& layout) {
  for (NodeId id = 0; id + 1 < file.nodes.size(); ++id) {
    const NodeId count =
        file.nodes[id + 1].first_child - file.nodes[id].first_child;
    if (count <= file.header.counts[0]) continue;
    return BrokenNgramFile(layout.nodes_at + id * sizeof(NgramNode), "children",
                           absl::StrCat("at most ", file.header.counts[0]),
                           count);
  }
  return absl::OkStatus();
}

absl::Status CheckLeaves(const NgramFile& file, const NgramLayout& layout) {
  for (size_t i = 0; i < file.leaves.size(); ++i) {
    absl::Status status =
        CheckEntry(file, layout.leaves_at + i * sizeof(NgramLeaf), file.order(),
                   file.leaves[i].log_prob, file.leaves[i].link);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Checks that every word is in the vocabulary, that order 1 is the vocabulary,
// and that the children of each context are sorted by Likelier().
absl::Status CheckWords(const NgramFile& file, const NgramLayout& layout) {
  const WordId size = file.header.counts[0];
  for (NodeId id = 1; id < file.words.size(); ++id) {
    const bool wrong = id <= size ? file.words[id] != id - 1  //
                                  : file.words[id] >= size;
    if (wrong) {
      return BrokenNgramFile(
          layout.words_at + id * sizeof(WordId), "word",
          id <= size ? absl::StrCat(id - 1) : absl::StrCat("below ", size),
          file.words[id]);
    }
  }
  const auto entry = [&](NodeId id) {
    return ScoredWord{file.words[id], file.LogProb(id)};
  };
  for (NodeId id = 1; id + 1 < file.nodes.size(); ++id) {
    const NodeId end = file.nodes[id + 1].first_child;
    for (NodeId child = file.nodes[id].first_child + 1; child < end; ++child) {
      if (!Likelier(entry(child - 1), entry(child))) {
        return BrokenNgramFile(
            layout.words_at + child * sizeof(WordId), "children of a context",
            "descending probability, then ascending id", "another order");
      }
    }
  }
  return absl::OkStatus();
}

// Checks that slots hold valid ids, and that an empty slot follows after a
// bounded number of others, so that every search ends soon.
absl::Status CheckSlots(const NgramFile& file, const NgramLayout& layout) {
  uint32_t first_run = 0, run = 0, longest = 0;
  bool empty = false;
  for (size_t i = 0; i < file.slots.size(); ++i) {
    if (file.slots[i] >= file.words.size()) {
      return BrokenNgramFile(layout.slots_at + i * sizeof(NodeId), "slot",
                             absl::StrCat("below ", file.words.size()),
                             file.slots[i]);
    }
    if (file.slots[i] != 0) {
      longest = std::max(longest, ++run);
      continue;
    }
    if (!empty) first_run = run;
    empty = true;
    run = 0;
  }
  if (!empty) {
    return BrokenNgramFile(layout.slots_at, "slots", "at least one empty slot",
                           "none");
  }
  // After the last slot, a search continues with the first one.
  longest = std::max(longest, run + first_run);
  if (longest > kMaxOccupiedSlots) {
    return BrokenNgramFile(layout.slots_at, "slots in a row that are not empty",
                           absl::StrCat("at most ", kMaxOccupiedSlots),
                           longest);
  }
  return absl::OkStatus();
}

absl::Status CheckBestWords(const NgramFile& file, const NgramLayout& layout) {
  std::vector<bool> seen(file.best_words.size());
  for (size_t i = 0; i < file.best_words.size(); ++i) {
    const WordId word = file.best_words[i];
    if (word >= seen.size() || seen[word]) {
      return BrokenNgramFile(layout.best_words_at + i * sizeof(WordId),
                             "best word", "every word once", word);
    }
    seen[word] = true;
  }
  const auto entry = [&file](WordId word) {
    return ScoredWord{word, file.LogProb(1 + word)};
  };
  for (size_t i = 1; i < file.best_words.size(); ++i) {
    if (!Likelier(entry(file.best_words[i - 1]), entry(file.best_words[i]))) {
      return BrokenNgramFile(
          layout.best_words_at + i * sizeof(WordId), "best words",
          "descending probability, then ascending id", "another order");
    }
  }
  return absl::OkStatus();
}

}  // namespace

NgramLayout::NgramLayout(const NgramHeader& header) : nodes(1) {
  for (uint32_t k = 1; k < header.order; ++k) nodes += header.counts[k - 1];
  leaves = header.counts[header.order - 1];
  nodes_at = Align(NgramHeaderBytes(header.order));
  leaves_at = Align(nodes_at + (nodes + 1) * sizeof(NgramNode));
  words_at = Align(leaves_at + leaves * sizeof(NgramLeaf));
  slots_at = Align(words_at + (nodes + leaves) * sizeof(WordId));
  best_words_at = Align(slots_at + uint64_t{header.slots} * sizeof(NodeId));
  file_size = best_words_at + uint64_t{header.counts[0]} * sizeof(WordId);
}

absl::StatusOr<NgramFile> NgramFile::Parse(absl::string_view bytes,
                                           WordId vocabulary_size) {
  NgramFile file = {};
  NgramHeader& header = file.header;
  size_t header_bytes = NgramHeaderBytes(1);
  if (bytes.size() >= header.magic.size()) {
    std::memcpy(header.magic.data(), bytes.data(), header.magic.size());
    if (header.magic == NgramMagic(kMaxNgramOrder)) {
      header_bytes = NgramHeaderBytes(kMaxNgramOrder);
    }
  }
  if (bytes.size() < header_bytes) {
    return BrokenNgramFile(bytes.size(), "header bytes", header_bytes,
                           bytes.size());
  }
  std::memcpy(&header, bytes.data(), header_bytes);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint64_t) != 0) {
    return absl::InvalidArgumentError(
        "ngram.bin: expected memory aligned to 8 bytes");
  }
  absl::Status status = CheckHeader(header, bytes.size(), vocabulary_size);
  if (!status.ok()) return status;

  const NgramLayout layout(header);
  const auto section = [&]<typename T>(uint64_t at, uint64_t count, T) {
    return absl::Span<const T>(reinterpret_cast<const T*>(bytes.data() + at),
                               count);
  };
  file.nodes = section(layout.nodes_at, layout.nodes + 1, NgramNode());
  file.leaves = section(layout.leaves_at, layout.leaves, NgramLeaf());
  file.words = section(layout.words_at, layout.nodes + layout.leaves, WordId());
  file.slots = section(layout.slots_at, header.slots, NodeId());
  file.best_words = section(layout.best_words_at, header.counts[0], WordId());
  file.level_begin.fill(layout.nodes + layout.leaves);
  file.level_begin[0] = 0;
  file.level_begin[1] = 1;
  for (uint32_t k = 1; k < header.order; ++k) {
    file.level_begin[k + 1] = file.level_begin[k] + header.counts[k - 1];
  }
  for (auto check : {CheckNodes, CheckChildren, CheckLeaves, CheckWords,
                     CheckSlots, CheckBestWords}) {
    if (status = check(file, layout); !status.ok()) return status;
  }
  return file;
}

int NgramFile::OrderOf(NodeId id) const {
  int k = 0;
  while (k < order() && id >= level_begin[k + 1]) ++k;
  return k;
}

NodeId NgramFile::FindChild(NodeId context, WordId word) const {
  if (context == kRoot) return 1 + word;
  const NodeId begin = nodes[context].first_child;
  const NodeId end = nodes[context + 1].first_child;
  return end - begin <= kMaxScannedChildren
             ? ScanChildren(begin, end, word)
             : ProbeChildren(begin, end, word, Slot(context, word));
}

}  // namespace lmserve
