// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/table_of_model.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace lmserve {
namespace {

// An n-gram of the order being read.
struct Entry {
  uint32_t context;  // its index among the n-grams of the next lower order
  WordId word;
  float log_prob;
  float backoff;
};

// Returns the index of an n-gram in the level of its order.
// REQUIRES: the table has it.
uint32_t Locate(const NgramTable& table, absl::Span<const WordId> words) {
  uint32_t found = words[0];
  for (size_t i = 1; i < words.size(); ++i) {
    const NgramLevel& contexts = table.levels[i - 1];
    const WordId* level = table.levels[i].words.data();
    found = std::lower_bound(level + contexts.children[found],
                             level + contexts.children[found + 1], words[i]) -
            level;
  }
  return found;
}

// Returns the n-grams of order k, sorted as in a table. The table has the lower
// orders.
std::vector<Entry> ReadEntries(const NgramSet& model, int k,
                               const NgramTable& table) {
  std::vector<Entry> entries;
  entries.reserve(model.Count(k));
  std::vector<WordId> last;  // the context of the last n-gram
  uint32_t context = 0;
  model.ForEach(k, [&](const NgramSet::Ngram& ngram) {
    const absl::Span<const WordId> before = ngram.words.subspan(0, k - 1);
    if (k > 1 && before != last) {
      last.assign(before.begin(), before.end());
      context = Locate(table, before);
    }
    entries.push_back(
        {context, ngram.words.back(), ngram.log_prob, ngram.backoff});
  });
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.context, a.word) < std::tie(b.context, b.word);
  });
  return entries;
}

}  // namespace

NgramTable CopyTable(const NgramSet& model) {
  NgramTable table;
  table.rule = model.rule();
  table.log_alpha = model.log_alpha();
  table.levels.resize(model.order());
  for (int k = 1; k <= model.order(); ++k) {
    NgramLevel& level = table.levels[k - 1];
    std::vector<uint32_t> children(k == 1 ? 0 : table.levels[k - 2].size() + 1);
    for (const Entry& entry : ReadEntries(model, k, table)) {
      level.words.push_back(entry.word);
      level.log_probs.push_back(entry.log_prob);
      if (k < model.order()) level.backoffs.push_back(entry.backoff);
      if (k > 1) ++children[entry.context + 1];
    }
    if (k == 1) continue;
    std::partial_sum(children.begin(), children.end(), children.begin());
    table.levels[k - 2].children = std::move(children);
  }
  return table;
}

absl::StatusOr<NgramTable> TableOf(const NgramSet& model) {
  if (model.rule() != UnseenRule::kBackOff && model.order() > 1) {
    return absl::FailedPreconditionError(
        "expected a model with back-off weights, found additive smoothing or "
        "stupid back-off");
  }
  NgramTable table = CopyTable(model);
  // A model of order 1 has no contexts to which a rule applies.
  table.rule = UnseenRule::kBackOff;
  table.log_alpha = 0;
  return table;
}

}  // namespace lmserve
