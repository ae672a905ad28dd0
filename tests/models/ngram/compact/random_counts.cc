// SPDX-License-Identifier: Apache-2.0
#include "tests/models/ngram/compact/random_counts.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "models/ngram/compact/count_trie_builder.h"

namespace lmserve {
namespace {

constexpr WordId kBegin = 1;

RandomCounts::Words WithoutFirst(const RandomCounts::Words& words) {
  return {words.begin() + 1, words.end()};
}

}  // namespace

RandomCounts::RandomCounts(const Options& options) : options_(options) {
  std::mt19937 random(options.seed);
  const auto below = [&](uint64_t n) { return n == 0 ? 0 : random() % n; };
  const auto count = [&]() -> uint64_t {
    if (below(1000) == 0) return 1 + below(options_.most_count);
    return below(3) == 0 ? 1 + below(6) : 1;
  };
  for (WordId w = 0; w < options_.words; ++w) {
    unigrams_.push_back(w == kBegin ? 0 : below(50));
  }
  for (int k = 1; k < options_.order; ++k) {
    std::map<Words, Children> level;
    const auto add = [&](const Words& context) {
      Children& children = level[context];
      const bool large = below(options_.large_share) == 0;
      uint64_t size = below(large ? options_.most_children : below(20) + 1);
      if (k == 1) {
        for (; size > 0; --size) {
          const auto word = static_cast<WordId>(below(options_.words));
          if (word != kBegin) children[word] = count();
        }
        return;
      }
      const Children& suffix = levels_[k - 2][WithoutFirst(context)];
      for (const auto& [word, unused] : suffix) {
        if (below(suffix.size()) < size) children[word] = count();
      }
    };
    if (k == 1) {
      for (WordId w = 0; w < options_.words; ++w) add({w});
    } else {
      for (const auto& [context, children] : levels_[k - 2]) {
        for (const auto& [word, unused] : children) {
          Words longer = context;
          longer.push_back(word);
          add(longer);
        }
      }
    }
    levels_.push_back(std::move(level));
  }
}

std::string RandomCounts::Build() const {
  CountTrieBuilder builder(unigrams_, kBegin, options_.smoothing);
  for (int k = 1; k < options_.order; ++k) {
    // The ids of the suffixes are their places in the level below.
    std::map<Words, NgramId> ids;
    if (k > 1) {
      for (const auto& [context, unused] : level(k - 1)) {
        ids.emplace(context, ids.size());
      }
    }
    const auto visit = [&](absl::FunctionRef<void(const CountedContext&)> add) {
      for (const auto& [context, children] : level(k)) {
        CountedContext counted = {0, {}};
        const Children* suffix = nullptr;
        if (k > 1) {
          counted.suffix = ids.at(WithoutFirst(context));
          suffix = &level(k - 1).at(WithoutFirst(context));
        }
        std::vector<CountedContext::Child> list;
        for (const auto& [word, count] : children) {
          const auto rank = suffix == nullptr
                                ? word
                                : static_cast<uint32_t>(std::distance(
                                      suffix->begin(), suffix->find(word)));
          list.push_back({rank, count});
        }
        counted.children = list;
        add(counted);
      }
      return absl::OkStatus();
    };
    RankLevelSurvey survey;
    (void)visit([&](const CountedContext& context) { survey.Add(context); });
    const absl::Status status =
        builder.AddLevel(survey.Plan(), visit, options_.smoothing);
    if (!status.ok()) return "";
  }
  return builder.Finish();
}

Vocabulary RandomCounts::MakeVocabulary() const {
  std::string text = "<unk>\n<s>\n</s>\n";
  for (WordId w = 3; w < options_.words; ++w)
    absl::StrAppend(&text, "w", w, "\n");
  return Vocabulary::Parse(text).value();
}

double RandomCounts::Probability(const Words& context, WordId word) const {
  const CountSmoothing& smoothing = options_.smoothing;
  const auto discount = [&](uint64_t count) {
    return smoothing.discount[std::min<uint64_t>(count, 3)];
  };
  double sum = 0, left = 0, lower;
  uint64_t found = 0;
  const auto add = [&](WordId w, uint64_t count) {
    if (count == 0) return;
    sum += static_cast<double>(count) + smoothing.types_weight;
    left += discount(count) + smoothing.types_weight;
    if (w == word) found = count;
  };
  if (context.empty()) {
    if (word == kBegin) return 0;
    for (WordId w = 0; w < options_.words; ++w) add(w, unigrams_[w]);
    lower = 1.0 / (options_.words - 1);
  } else {
    const auto& contexts = level(static_cast<int>(context.size()));
    const auto children = contexts.find(context);
    lower = Probability(WithoutFirst(context), word);
    if (children == contexts.end() || children->second.empty()) return lower;
    for (const auto& [w, count] : children->second) add(w, count);
  }
  const double share =
      found == 0 ? 0 : (static_cast<double>(found) - discount(found)) / sum;
  return share + left / sum * lower;
}

WordId RandomCounts::RandomWord(const Words& context, uint32_t random) const {
  for (Words rest = context; !rest.empty(); rest = WithoutFirst(rest)) {
    const auto& contexts = level(static_cast<int>(rest.size()));
    const auto children = contexts.find(rest);
    if (children == contexts.end() || children->second.empty()) continue;
    if (random % 4 == 0) {
      random /= 4;
      continue;
    }
    return std::next(children->second.begin(),
                     random / 4 % children->second.size())
        ->first;
  }
  return random % options_.words;
}

}  // namespace lmserve
