// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/word_table.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace lmserve {
namespace {

constexpr size_t kTextBlockBytes = 256 << 10;

}  // namespace

WordTable::WordTable() : ids_(0, Hash{&words_}, Equal{&words_}) {
  for (absl::string_view marker :
       {kUnknownWord, kBeginSentence, kEndSentence}) {
    Insert(marker, 0);
  }
}

WordId WordTable::Insert(absl::string_view word, uint64_t first) {
  if (word.size() > block_left_) {
    block_left_ = std::max(kTextBlockBytes, word.size());
    blocks_.push_back(std::make_unique<char[]>(block_left_));
    block_next_ = blocks_.back().get();
    text_bytes_ += block_left_;
  }
  char* const text = block_next_;
  std::memcpy(text, word.data(), word.size());
  block_next_ += word.size();
  block_left_ -= word.size();
  const WordId id = size();
  words_.push_back({{text, word.size()}, 0, first});
  ids_.insert(id);
  return id;
}

std::vector<WordId> FrequencyOrder(const WordTable& table, uint64_t min_count) {
  std::vector<WordId> order(kMarkerIds);
  std::iota(order.begin(), order.end(), 0u);
  for (WordId id = kMarkerIds; id < table.size(); ++id) {
    if (table.word(id).count >= min_count) order.push_back(id);
  }
  std::sort(order.begin() + kMarkerIds, order.end(), [&](WordId a, WordId b) {
    const CountedWord& x = table.word(a);
    const CountedWord& y = table.word(b);
    if (x.count != y.count) return x.count > y.count;
    if (x.first != y.first) return x.first < y.first;
    return a < b;
  });
  return order;
}

}  // namespace lmserve
