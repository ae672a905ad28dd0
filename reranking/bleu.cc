// SPDX-License-Identifier: Apache-2.0
#include "reranking/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "reranking/unicode_text.h"

namespace lmserve {
namespace {

bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsStopOrComma(char32_t c) { return c == '.' || c == ','; }

// ASCII punctuation except ' , - and .
bool IsSymbol(char32_t c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') ||
         (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}

// Inserts spaces around pairs of adjacent characters for which `matches`
// returns true, from left to right and without overlap: before the pair,
// between its characters and after it, as the flags say.
struct Spaces {
  bool before, between, after;
};
template <typename Matches>
std::u32string SpacePairs(std::u32string_view text, Matches matches,
                          Spaces spaces) {
  std::u32string spaced;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      spaced.push_back(text[i]);
      continue;
    }
    if (spaces.before) spaced.push_back(' ');
    spaced.push_back(text[i]);
    if (spaces.between) spaced.push_back(' ');
    spaced.push_back(text[++i]);
    if (spaces.after) spaced.push_back(' ');
  }
  return spaced;
}

std::u32string SpaceSymbols(std::u32string_view text) {
  std::u32string spaced;
  for (char32_t c : text) {
    if (IsSymbol(c)) {
      spaced.insert(spaced.end(), {' ', c, ' '});
    } else {
      spaced.push_back(c);
    }
  }
  return spaced;
}

// Returns the reference length that is closest to the system's, the shorter one
// if two are equally close.
uint64_t ClosestLength(size_t system,
                       absl::Span<const std::vector<std::string>> references) {
  const auto key = [&](const std::vector<std::string>& reference) {
    const auto distance =
        static_cast<int64_t>(reference.size()) - static_cast<int64_t>(system);
    return std::pair(std::abs(distance), reference.size());
  };
  return std::min_element(
             references.begin(), references.end(),
             [&](const auto& a, const auto& b) { return key(a) < key(b); })
      ->size();
}

}  // namespace

std::string BleuSignature(int references, absl::string_view tokenizer) {
  return absl::StrCat("nrefs:", references,
                      "|case:mixed|eff:no|tok:", tokenizer, "|smooth:exp");
}

std::vector<std::string> Tokenize13a(absl::string_view text) {
  // The order matters: "&amp;lt;" becomes "<".
  std::string unescaped = absl::StrReplaceAll(text, {{"<skipped>", ""}});
  for (const auto& [from, to] :
       {std::pair("-\n", ""), std::pair("\n", " "), std::pair("&quot;", "\""),
        std::pair("&amp;", "&"), std::pair("&lt;", "<"),
        std::pair("&gt;", ">")}) {
    unescaped = absl::StrReplaceAll(unescaped, {{from, to}});
  }
  std::u32string line =
      SpaceSymbols(ToCodePoints(absl::StrCat(" ", unescaped, " ")));
  line = SpacePairs(
      line,
      [](char32_t a, char32_t b) { return !IsDigit(a) && IsStopOrComma(b); },
      {.before = false, .between = true, .after = true});
  line = SpacePairs(
      line,
      [](char32_t a, char32_t b) { return IsStopOrComma(a) && !IsDigit(b); },
      {.before = true, .between = true, .after = false});
  line = SpacePairs(
      line, [](char32_t a, char32_t b) { return IsDigit(a) && b == '-'; },
      {.before = false, .between = true, .after = true});
  return SplitAtUnicodeSpace(line);
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (int n = 0; n < kOrder; ++n) {
    correct[n] += other.correct[n];
    total[n] += other.total[n];
  }
  system_words += other.system_words;
  reference_words += other.reference_words;
  return *this;
}

BleuCounts CountBleu(absl::Span<const std::string> system,
                     absl::Span<const std::vector<std::string>> references) {
  WordNumbers numbers;
  const auto count = [&](absl::Span<const std::string> words) {
    return NgramProfile(numbers.Find(words), BleuCounts::kOrder);
  };
  const NgramProfile words = count(system);
  NgramProfile merged({}, BleuCounts::kOrder);
  for (const auto& reference : references) {
    merged.MergeMaximum(count(reference));
  }
  return CountBleu(words, merged, ClosestLength(system.size(), references));
}

BleuCounts CountBleu(const NgramProfile& system, const NgramProfile& reference,
                     uint64_t reference_words) {
  BleuCounts counts;
  counts.system_words = system.total(1);
  counts.reference_words = reference_words;
  for (size_t order = 1; order <= BleuCounts::kOrder; ++order) {
    counts.total[order - 1] = system.total(order);
    counts.correct[order - 1] = system.CountCommon(reference, order);
  }
  return counts;
}

double Bleu(const BleuCounts& counts, bool effective_order) {
  const auto any = [](uint64_t count) { return count > 0; };
  if (std::none_of(counts.correct.begin(), counts.correct.end(), any)) return 0;
  double smoothing = 1;
  double log_sum = 0;
  int orders = 0;
  for (; orders < BleuCounts::kOrder && counts.total[orders] > 0; ++orders) {
    const auto total = static_cast<double>(counts.total[orders]);
    if (counts.correct[orders] == 0) smoothing *= 2;
    log_sum +=
        std::log(counts.correct[orders] == 0
                     ? 1 / (smoothing * total)
                     : static_cast<double>(counts.correct[orders]) / total);
  }
  // The precision of an order without n-grams is 0.
  if (orders < BleuCounts::kOrder && !effective_order) return 0;
  const double length_ratio = static_cast<double>(counts.reference_words) /
                              static_cast<double>(counts.system_words);
  const double brevity = std::exp(std::min(0.0, 1 - length_ratio));
  return 100 * brevity * std::exp(log_sum / orders);
}

}  // namespace lmserve
