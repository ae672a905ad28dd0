// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/compact_estimate.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/base/macros.h"
#include "models/ngram/compact/count_trie_builder.h"
#include "trainer/ngram/fit_counts.h"

namespace lmserve {
namespace {

// Calls add for each context of an order k, with the counts of its children.
template <typename Add>
void ForEachContext(const NgramCounts& counts, int k,
                    absl::Span<const uint32_t> child_counts, const Add& add) {
  const CountedLevel& contexts = counts.levels[k - 1];
  const CountedLevel& children = counts.levels[k];
  std::vector<CountedContext::Child> list;
  for (size_t i = 0; i < contexts.size(); ++i) {
    CountedContext context = {};
    uint32_t first = 0;  // child of the suffix
    if (k > 1) {
      const std::vector<uint32_t>& firsts = counts.levels[k - 2].children;
      context.suffix = contexts.suffixes[i];
      first = firsts[context.suffix];
    }
    list.clear();
    for (uint32_t c = contexts.children[i]; c < contexts.children[i + 1]; ++c) {
      const uint32_t rank =
          k == 1 ? children.words[c] : children.suffixes[c] - first;
      list.push_back({rank, child_counts[c]});
    }
    context.children = list;
    add(context);
  }
}

}  // namespace

bool IsFunctionOfCounts(const EstimateOptions& options) {
  const auto smoothing = MakeSmoothing(options.smoothing);
  return smoothing.ok() && (*smoothing)->is_compact() &&
         std::all_of(options.prune.begin(), options.prune.end(),
                     [](uint32_t threshold) { return threshold == 0; });
}

absl::StatusOr<CompactEstimate> EstimateCompact(
    const NgramCounts& counts, const EstimateOptions& options) {
  ABSL_ASSERT(IsFunctionOfCounts(options));
  SmoothingOptions smoothing_options = options.smoothing;
  smoothing_options.vocabulary = counts.levels[0].size() - 1;
  auto smoothing = MakeSmoothing(smoothing_options);
  if (!smoothing.ok()) return smoothing.status();
  CompactEstimate estimate;
  const std::vector<uint32_t> unigrams =
      FitCounts(counts, 1, **smoothing, &estimate.notes);
  CountTrieBuilder builder({unigrams.begin(), unigrams.end()},
                           counts.begin_sentence,
                           (*smoothing)->CompactParameters(1));
  for (int k = 1; k < counts.order(); ++k) {
    const std::vector<uint32_t> children =
        FitCounts(counts, k + 1, **smoothing, &estimate.notes);
    RankLevelSurvey survey;
    ForEachContext(
        counts, k, children,
        [&survey](const CountedContext& context) { survey.Add(context); });
    absl::Status status = builder.AddLevel(
        survey.Plan(),
        [&](absl::FunctionRef<void(const CountedContext&)> add) {
          ForEachContext(counts, k, children, add);
          return absl::OkStatus();
        },
        (*smoothing)->CompactParameters(k + 1));
    if (!status.ok()) return status;
  }
  estimate.file.bytes = builder.Finish();
  for (const CountedLevel& level : counts.levels) {
    estimate.file.ngrams.push_back(level.size());
  }
  return estimate;
}

}  // namespace lmserve
