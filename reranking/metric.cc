// SPDX-License-Identifier: Apache-2.0
#include "reranking/metric.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reranking/bleu.h"
#include "reranking/chrf.h"
#include "reranking/unicode_text.h"
#include "reranking/word_errors.h"

namespace lmserve {
namespace {

using Words = std::vector<std::string>;

class Tokenizer {
 public:
  explicit Tokenizer(absl::string_view name) : name_(name) {}

  const std::string& name() const { return name_; }

  Words operator()(absl::string_view text) const {
    return name_ == "13a" ? Tokenize13a(text)
                          : SplitAtUnicodeSpace(ToCodePoints(text));
  }

  std::vector<Words> All(absl::Span<const std::string> texts) const {
    std::vector<Words> all;
    for (const std::string& text : texts) all.push_back((*this)(text));
    return all;
  }

 private:
  const std::string name_;
};

class BleuMetric final : public Metric {
 public:
  explicit BleuMetric(absl::string_view tokenizer) : tokenize_(tokenizer) {}

  Counts Count(absl::string_view text,
               absl::Span<const std::string> references) const override {
    const BleuCounts bleu =
        CountBleu(tokenize_(text), tokenize_.All(references));
    Counts counts(bleu.correct.begin(), bleu.correct.end());
    counts.insert(counts.end(), bleu.total.begin(), bleu.total.end());
    counts.push_back(bleu.system_words);
    counts.push_back(bleu.reference_words);
    return counts;
  }

  double Score(const Counts& counts) const override {
    return Bleu(Unpack(counts));
  }
  double SentenceScore(const Counts& counts) const override {
    return Bleu(Unpack(counts), /*effective_order=*/true);
  }

  std::string name() const override { return "BLEU"; }
  std::string signature(int references) const override {
    return BleuSignature(references, tokenize_.name());
  }

 private:
  static BleuCounts Unpack(const Counts& counts) {
    constexpr size_t kOrder = BleuCounts::kOrder;
    BleuCounts bleu;
    std::copy_n(counts.begin(), kOrder, bleu.correct.begin());
    std::copy_n(counts.begin() + kOrder, kOrder, bleu.total.begin());
    bleu.system_words = counts[2 * kOrder];
    bleu.reference_words = counts[2 * kOrder + 1];
    return bleu;
  }

  const Tokenizer tokenize_;
};

class ChrfMetric final : public Metric {
 public:
  explicit ChrfMetric(absl::string_view /*tokenizer*/) {}

  // Uses the reference with the best score.
  Counts Count(absl::string_view text,
               absl::Span<const std::string> references) const override {
    ChrfCounts best;
    for (size_t i = 0; i < references.size(); ++i) {
      const ChrfCounts chrf = CountChrf(text, references[i]);
      if (i == 0 || Chrf(chrf) > Chrf(best)) best = chrf;
    }
    Counts counts(best.system.begin(), best.system.end());
    counts.insert(counts.end(), best.reference.begin(), best.reference.end());
    counts.insert(counts.end(), best.correct.begin(), best.correct.end());
    return counts;
  }

  double Score(const Counts& counts) const override {
    constexpr ptrdiff_t kOrder = ChrfCounts::kOrder;
    ChrfCounts chrf;
    std::copy_n(counts.begin(), kOrder, chrf.system.begin());
    std::copy_n(counts.begin() + kOrder, kOrder, chrf.reference.begin());
    std::copy_n(counts.begin() + 2 * kOrder, kOrder, chrf.correct.begin());
    return Chrf(chrf);
  }

  std::string name() const override { return "chrF2"; }
  std::string signature(int references) const override {
    return ChrfSignature(references);
  }
};

class WerMetric final : public Metric {
 public:
  explicit WerMetric(absl::string_view tokenizer) : tokenize_(tokenizer) {}

  // Uses the reference with the lowest rate.
  Counts Count(absl::string_view text,
               absl::Span<const std::string> references) const override {
    const Words words = tokenize_(text);
    WordErrors best;
    for (size_t i = 0; i < references.size(); ++i) {
      const WordErrors errors =
          CountWordErrors(words, tokenize_(references[i]));
      if (i == 0 || WordErrorRate(errors) < WordErrorRate(best)) best = errors;
    }
    return {best.substitutions, best.deletions, best.insertions,
            best.reference_words};
  }

  double Score(const Counts& counts) const override {
    return WordErrorRate({.substitutions = counts[0],
                          .deletions = counts[1],
                          .insertions = counts[2],
                          .reference_words = counts[3]});
  }

  bool higher_is_better() const override { return false; }

  std::string name() const override { return "WER"; }
  std::string signature(int references) const override {
    return absl::StrCat("nrefs:", references,
                        "|case:mixed|tok:", tokenize_.name());
  }

 private:
  const Tokenizer tokenize_;
};

struct NamedMetric {
  absl::string_view name;
  std::unique_ptr<const Metric> (*make)(absl::string_view tokenizer);
};

template <typename SomeMetric>
std::unique_ptr<const Metric> Make(absl::string_view tokenizer) {
  return std::make_unique<SomeMetric>(tokenizer);
}

constexpr NamedMetric kMetrics[] = {{"bleu", Make<BleuMetric>},
                                    {"chrf", Make<ChrfMetric>},
                                    {"wer", Make<WerMetric>}};

}  // namespace

absl::StatusOr<std::unique_ptr<const Metric>> MakeMetric(
    absl::string_view name, absl::string_view tokenizer) {
  if (tokenizer != "13a" && tokenizer != "none") {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokenizer: expected 13a or none, found '", tokenizer, "'"));
  }
  for (const NamedMetric& metric : kMetrics) {
    if (metric.name == name) return metric.make(tokenizer);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric: expected bleu, chrf or wer, found '", name, "'"));
}

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const NamedMetric& metric : kMetrics) names.emplace_back(metric.name);
  return names;
}

void AddCounts(const Metric::Counts& counts, Metric::Counts* sum) {
  sum->resize(std::max(sum->size(), counts.size()));
  for (size_t i = 0; i < counts.size(); ++i) (*sum)[i] += counts[i];
}

}  // namespace lmserve
