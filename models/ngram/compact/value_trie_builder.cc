// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/value_trie_builder.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/base/macros.h"
#include "absl/status/status.h"
#include "models/language_model.h"
#include "models/ngram/compact/level_sections.h"
#include "models/ngram/compact/rank_level_builder.h"
#include "models/ngram/compact/rank_level_survey.h"
#include "models/ngram/compact/suffix_closure.h"
#include "models/ngram/compact/value_encoder.h"
#include "models/ngram/compact/value_quantizer.h"
#include "models/ngram/compact/value_trie.h"

namespace lmserve {
namespace {

// Appends sections to a file.
class SectionWriter {
 public:
  explicit SectionWriter(size_t header_bytes) : file_(header_bytes, 0) {}

  // Returns the offset of the section. Nothing is written for an empty one, but
  // the padding.
  template <typename T>
  uint64_t Add(const T* data, size_t count) {
    file_.resize((file_.size() + 63) / 64 * 64);
    const uint64_t at = file_.size();
    file_.append(reinterpret_cast<const char*>(data), count * sizeof(T));
    file_.append(kSectionPadding, 0);
    return at;
  }

  RankLevelRecord AddLevel(const BuiltRankLevel& level) {
    return RecordOf(level, [this](absl::string_view bytes) {
      return Add(bytes.data(), bytes.size());
    });
  }

  ValueRecord AddValues(const EncodedValues& values) {
    ValueRecord record = values.record;
    record.codes_at = Add(values.codes.data(), values.code_bytes());
    if (!values.cells.empty()) {
      record.cells_at = Add(values.cells.data(), values.cells.size());
    }
    if (!values.table.empty()) {
      record.table_at = Add(values.table.data(), values.table.size());
    }
    return record;
  }

  // Overwrites bytes at the start. REQUIRES: they are in the header.
  template <typename T>
  void SetHeader(size_t at, const T* data, size_t count) {
    std::copy_n(reinterpret_cast<const char*>(data), count * sizeof(T),
                file_.begin() + static_cast<ptrdiff_t>(at));
  }

  size_t size() const { return file_.size(); }
  std::string Take() { return std::move(file_); }

 private:
  std::string file_;
};

// Builds the contents of one file.
class ValueTrieBuilder {
 public:
  // The links are those of the table, which has all suffixes.
  ValueTrieBuilder(const NgramTable& table, const SuffixLinks& links,
                   int quantize_bits)
      : table_(table),
        links_(links),
        quantize_bits_(quantize_bits),
        writer_(sizeof(ValueTrieHeader) +
                table.order() * sizeof(ValueOrderRecord) +
                (table.order() - 1) * sizeof(RankLevelRecord)) {}

  absl::StatusOr<std::string> Build() {
    ValueTrieHeader header = {};
    header.magic = kValueTrieMagic;
    header.order = static_cast<uint32_t>(table_.order());
    header.vocabulary_size = static_cast<uint32_t>(table_.levels[0].size());
    header.rule = static_cast<uint32_t>(table_.rule);
    header.log_alpha = table_.log_alpha;
    std::vector<ValueOrderRecord> orders;
    std::vector<RankLevelRecord> levels;
    for (int k = 1; k <= table_.order(); ++k) {
      const EncodedValues log_probs = EncodeLogProbs(OrderLogProbs(k));
      ValueOrderRecord order = {};
      order.blanks = CountBlanks(k);
      order.log_probs = writer_.AddValues(log_probs);
      if (k == 1) header.unigram_order_at = AddUnigramOrder(log_probs.View());
      if (k > 1) {
        absl::StatusOr<BuiltRankLevel> level =
            BuildLevel(k - 1, log_probs.View());
        if (!level.ok()) return level.status();
        levels.push_back(writer_.AddLevel(*level));
      }
      if (k < table_.order()) {
        order.backoffs = writer_.AddValues(EncodeOrderBackoffs(k));
      }
      orders.push_back(order);
    }
    header.file_size = writer_.size();
    writer_.SetHeader(0, &header, 1);
    writer_.SetHeader(sizeof(header), orders.data(), orders.size());
    writer_.SetHeader(sizeof(header) + orders.size() * sizeof(orders[0]),
                      levels.data(), levels.size());
    return writer_.Take();
  }

 private:
  bool IsBlank(int k, size_t i) const {
    return std::isnan(table_.levels[k - 1].log_probs[i]);
  }

  // Whether n-gram i of order k has children that are no blanks.
  bool HasChildren(int k, size_t i) const {
    const std::vector<uint32_t>& children = table_.levels[k - 1].children;
    for (uint32_t child = children[i]; child < children[i + 1]; ++child) {
      if (!IsBlank(k + 1, child)) return true;
    }
    return false;
  }

  uint64_t CountBlanks(int k) const {
    const std::vector<float>& log_probs = table_.levels[k - 1].log_probs;
    return std::count_if(log_probs.begin(), log_probs.end(),
                         [](float value) { return std::isnan(value); });
  }

  // Returns the log-probabilities of order k as they are stored. Sets joint_ to
  // those of the whole n-grams.
  std::vector<float> OrderLogProbs(int k) {
    const NgramLevel& level = table_.levels[k - 1];
    std::vector<float> values(level.size());
    for (size_t i = 0; i < values.size(); ++i) {
      // Adding 0 makes -0 a 0.
      values[i] = IsBlank(k, i) ? kBlankLogProb
                                : StoredLogProb(level.log_probs[i]) + 0.0f;
    }
    if (quantize_bits_ == 0) return values;
    UpdateJoint(k, values);
    if (k == 1) return values;
    const std::vector<float> weights = Weights();
    const size_t most = size_t{1} << quantize_bits_;
    return QuantizeValues(values, weights, most - KeptValues(values));
  }

  // Sets joint_[i] to ln P of all words of n-gram i of order k.
  void UpdateJoint(int k, absl::Span<const float> log_probs) {
    const WordId words = static_cast<WordId>(table_.levels[0].size());
    if (k == 1) {
      joint_.assign(log_probs.begin(), log_probs.end());
      // <s>, which has no probability, begins every text.
      for (WordId w = 0; w < words; ++w) {
        if (joint_[w] == kImpossible) joint_[w] = 0;
      }
      return;
    }
    std::vector<float> joint(log_probs.size());
    const std::vector<uint32_t>& children = table_.levels[k - 2].children;
    for (size_t c = 0; c + 1 < children.size(); ++c) {
      for (uint32_t i = children[c]; i < children[c + 1]; ++i) {
        // A blank is about as frequent as its context.
        const float log_prob = std::isnan(log_probs[i]) ? 0 : log_probs[i];
        joint[i] = joint_[c] + log_prob;
      }
    }
    joint_ = std::move(joint);
  }

  // Returns how frequent the n-grams of the order of joint_ are.
  std::vector<float> Weights() const {
    std::vector<float> weights(joint_.size());
    std::transform(joint_.begin(), joint_.end(), weights.begin(),
                   [](float log) { return std::exp(std::max(log, -80.0f)); });
    return weights;
  }

  // Returns the number of different values that QuantizeValues() keeps.
  static size_t KeptValues(absl::Span<const float> values) {
    bool blank = false, zero = false, minus_zero = false, infinite = false;
    for (float value : values) {
      blank = blank || std::isnan(value);
      zero = zero || (value == 0 && !std::signbit(value));
      minus_zero = minus_zero || (value == 0 && std::signbit(value));
      infinite = infinite || std::isinf(value);
    }
    return size_t{blank} + zero + minus_zero + infinite;
  }

  EncodedValues EncodeOrderBackoffs(int k) const {
    const NgramLevel& level = table_.levels[k - 1];
    std::vector<float> values(level.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const bool is_context = HasChildren(k, i);
      values[i] = StoredBackoff(table_.rule, is_context, level.backoffs[i]);
      if (values[i] == 0) values[i] = is_context ? 0.0f : kNoBackoff;
    }
    EncodedValues exact = EncodeBackoffs(values);
    if (quantize_bits_ == 0 || k == 1) return exact;
    const size_t kept = KeptValues(values);
    const size_t most = size_t{1} << quantize_bits_;
    if (exact.bytes() * 8 <= values.size() * quantize_bits_ || kept >= most) {
      return exact;
    }
    return EncodeBackoffs(QuantizeValues(values, Weights(), most - kept));
  }

  uint64_t AddUnigramOrder(const ValueCodes& log_probs) {
    std::vector<ScoredWord> words(table_.levels[0].size());
    for (WordId w = 0; w < words.size(); ++w) {
      words[w] = {w, log_probs.Value(w)};
    }
    std::sort(words.begin(), words.end(), Likelier);
    BitWriter bits;
    const int width = BitWidth(words.size() - 1);
    for (const ScoredWord& word : words) bits.Append(word.word, width);
    bits.FinishByte();
    return writer_.Add(bits.bytes().data(), bits.bytes().size());
  }

  // Calls add(context) for each context of order k.
  template <typename Add>
  void ForEachContext(int k, const Add& add) const {
    const std::vector<uint32_t>& children = table_.levels[k - 1].children;
    const std::vector<uint32_t>& suffixes = links_[k - 1];
    std::vector<CountedContext::Child> list;
    for (uint32_t c = 0; c + 1 < children.size(); ++c) {
      CountedContext context = {};
      uint32_t first = 0;  // child of the suffix
      if (k > 1) {
        context.suffix = links_[k - 2][c];
        first = table_.levels[k - 2].children[context.suffix];
      }
      list.clear();
      for (uint32_t i = children[c]; i < children[c + 1]; ++i) {
        list.push_back({suffixes[i] - first, 1});
      }
      context.children = list;
      add(context);
    }
  }

  // What the builder of the contexts of order k asks. The lists of the
  // likeliest children are sorted by `log_probs`, those of all children of the
  // order: by kNoSmoothing, the builder adds nothing to these numbers.
  class Orders final : public LowerOrders {
   public:
    Orders(const NgramTable& table, int k, const ValueCodes& log_probs)
        : table_(table), k_(k), log_probs_(log_probs) {}

    uint32_t SuffixChildren(const CountedContext& context) const override {
      if (k_ == 1) return static_cast<uint32_t>(table_.levels[0].size());
      const std::vector<uint32_t>& children = table_.levels[k_ - 2].children;
      return children[context.suffix + 1] - children[context.suffix];
    }

    void Compute(const CountedContext& context,
                 absl::Span<double> values) const override {
      ABSL_ASSERT(values.size() == context.children.size());
      for (size_t i = 0; i < values.size(); ++i) {
        const float value = log_probs_.Value(first_child_ + i);
        values[i] = double{std::isnan(value) ? kImpossible : value};
      }
    }

    // Goes on from a context to the next one.
    void Pass(const CountedContext& context) {
      first_child_ += context.children.size();
    }

   private:
    const NgramTable& table_;
    const int k_;
    const ValueCodes& log_probs_;
    uint64_t first_child_ = 0;  // of the current context
  };

  // Builds the trie of the contexts of order k.
  absl::StatusOr<BuiltRankLevel> BuildLevel(int k,
                                            const ValueCodes& log_probs) const {
    RankLevelSurvey survey;
    ForEachContext(k,
                   [&](const CountedContext& context) { survey.Add(context); });
    Orders orders(table_, k, log_probs);
    RankLevelBuilder builder(k, survey.Plan(), kNoSmoothing, orders,
                             std::make_unique<MemoryLevelSections>());
    ForEachContext(k, [&](const CountedContext& context) {
      builder.Add(context);
      orders.Pass(context);
    });
    return builder.Finish();
  }

  const NgramTable& table_;
  const SuffixLinks& links_;
  const int quantize_bits_;
  SectionWriter writer_;
  std::vector<float> joint_;
};

}  // namespace

absl::StatusOr<std::string> BuildValueFile(const NgramTable& table,
                                           int quantize_bits) {
  if (absl::Status status = CheckNgramValues(table); !status.ok()) {
    return status;
  }
  const SuffixLinks links = FindSuffixes(table);
  if (IsClosed(links))
    return ValueTrieBuilder(table, links, quantize_bits).Build();
  const NgramTable closed = AddBlanks(table, links);
  return ValueTrieBuilder(closed, FindSuffixes(closed), quantize_bits).Build();
}

}  // namespace lmserve
