// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/batches.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

namespace lmserve {
namespace {

class StreamBatches final : public BatchSource {
 public:
  StreamBatches(absl::Span<const WordId> words, WordId begin, WordId end,
                const BatchOptions& options)
      : steps_(options.steps), words_({end}) {
    std::copy_if(words.begin(), words.end(), std::back_inserter(words_),
                 [begin](WordId word) { return word != begin; });
    const size_t predicted = words_.size() - 1;
    streams_ = std::clamp<size_t>(predicted, 1, options.streams);
    length_ = (predicted + streams_ - 1) / streams_;
  }

  void StartEpoch(uint64_t) override {}

  size_t size() const override { return (length_ + steps_ - 1) / steps_; }

  Batch Get(size_t i) const override {
    Batch batch;
    batch.steps = std::min(steps_, length_ - i * steps_);
    batch.streams = streams_;
    for (size_t t = i * steps_; t < i * steps_ + batch.steps; ++t) {
      for (size_t s = 0; s < streams_; ++s) {
        const size_t next = s * length_ + t + 1;
        const bool is_past = next >= words_.size();  // beyond the text
        batch.inputs.push_back(is_past ? words_.back() : words_[next - 1]);
        batch.targets.push_back(is_past ? kNoTarget : words_[next]);
      }
    }
    return batch;
  }

 private:
  const size_t steps_;
  std::vector<WordId> words_;
  size_t streams_;
  size_t length_;  // number of words to predict in each stream
};

// Divides sentences into batches of the same length, as MakeSentenceBatches()
// documents, in a random order that depends on the epoch.
template <typename Length>
std::vector<std::vector<size_t>> MakeLengthBatches(
    std::vector<size_t> sentences, const Length& length,
    const BatchOptions& options, uint64_t epoch) {
  Random random(options.seed, RandomPurpose::kBatchOrder, {epoch});
  random.Shuffle(&sentences);
  std::stable_sort(sentences.begin(), sentences.end(),
                   [&](size_t a, size_t b) { return length(a) < length(b); });
  std::vector<std::vector<size_t>> batches;
  for (size_t i = 0; i < sentences.size();) {
    const size_t words = length(sentences[i]);
    const size_t most = std::clamp<size_t>(
        options.streams * options.steps / words, 1, options.streams);
    std::vector<size_t>& batch = batches.emplace_back();
    while (i < sentences.size() && batch.size() < most &&
           length(sentences[i]) == words) {
      batch.push_back(sentences[i++]);
    }
  }
  random.Shuffle(&batches);
  return batches;
}

// Batches of sentences of the same length.
class SentenceBatches : public BatchSource {
 public:
  SentenceBatches(absl::Span<const WordId> words, WordId begin, WordId end,
                  const BatchOptions& options)
      : words_(words.begin(), words.end()), end_(end), options_(options) {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] == begin) sentences_.push_back(i);
    }
  }

  void StartEpoch(uint64_t epoch) override {
    epoch_ = epoch;
    batches_ = MakeLengthBatches(
        sentences_, [this](size_t begin) { return Length(begin); }, options_,
        epoch);
  }

  size_t size() const override { return batches_.size(); }

  Batch Get(size_t i) const override {
    const std::vector<size_t>& sentences = batches_[i];
    Batch batch;
    batch.steps = Length(sentences[0]);
    batch.streams = sentences.size();
    for (size_t t = 0; t < batch.steps; ++t) {
      for (size_t begin : sentences) {
        batch.inputs.push_back(words_[begin + t]);
        batch.targets.push_back(words_[begin + t + 1]);
      }
    }
    return batch;
  }

 protected:
  // Returns the number of words to predict in a sentence, including </s>.
  size_t Length(size_t begin) const {
    size_t length = 0;
    while (words_[begin + length] != end_) ++length;
    return length;
  }

  const std::vector<WordId> words_;
  const WordId end_;
  const BatchOptions options_;
  std::vector<size_t> sentences_;  // index of the <s> of each sentence
  std::vector<std::vector<size_t>> batches_;  // of the current epoch
  uint64_t epoch_ = 0;
};

class ClozeBatches final : public SentenceBatches {
 public:
  ClozeBatches(absl::Span<const WordId> words, WordId begin, WordId end,
               WordId blank, const BatchOptions& options)
      : SentenceBatches(words, begin, end, options), blank_(blank) {}

  Batch Get(size_t i) const override {
    const std::vector<size_t>& sentences = batches_[i];
    Batch batch;
    batch.steps = Length(sentences[0]) + 1;
    batch.streams = sentences.size();
    batch.inputs.resize(batch.steps * batch.streams);
    batch.targets.assign(batch.inputs.size(), kNoTarget);
    Random random(options_.seed, RandomPurpose::kClozeBlanks, {epoch_, i});
    for (size_t s = 0; s < batch.streams; ++s) {
      for (size_t t = 0; t < batch.steps; ++t) {
        batch.inputs[t * batch.streams + s] = words_[sentences[s] + t];
      }
      AddBlanks(s, &random, &batch);
    }
    return batch;
  }

 private:
  static constexpr double kShare = 0.2;  // fraction of words to replace

  void AddBlanks(size_t stream, Random* random, Batch* batch) const {
    const size_t words = batch->steps - 2;
    if (words == 0) return;
    const size_t always = random->Below(words);
    for (size_t t = 0; t < words; ++t) {
      if (t != always && random->Uniform() >= kShare) continue;
      const size_t at = (t + 1) * batch->streams + stream;
      batch->targets[at] = std::exchange(batch->inputs[at], blank_);
    }
  }

  const WordId blank_;
};

class TranslationBatches final : public BatchSource {
 public:
  TranslationBatches(std::vector<SentencePair> pairs,
                     const TranslationBatchOptions& options)
      : pairs_(std::move(pairs)), options_(options) {
    if (!options.reverse_source) return;
    for (SentencePair& pair : pairs_) {
      std::reverse(pair.source.begin(), pair.source.end());
    }
  }

  void StartEpoch(uint64_t epoch) override {
    Random random(options_.batches.seed, RandomPurpose::kBatchOrder, {epoch});
    std::vector<size_t> order(pairs_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    random.Shuffle(&order);
    std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return Lengths(a) < Lengths(b);
    });
    batches_.clear();
    for (size_t i = 0; i < order.size();) {
      std::vector<size_t>& batch = batches_.emplace_back();
      const size_t length = pairs_[order[i]].source.size();
      while (i < order.size() && batch.size() < options_.batches.streams &&
             pairs_[order[i]].source.size() == length) {
        batch.push_back(order[i++]);
      }
    }
    random.Shuffle(&batches_);
  }

  size_t size() const override { return batches_.size(); }

  Batch Get(size_t i) const override {
    const std::vector<size_t>& pairs = batches_[i];
    Batch batch;
    batch.streams = pairs.size();
    for (size_t pair : pairs) {
      batch.steps = std::max(batch.steps, pairs_[pair].target.size() + 1);
    }
    for (size_t t = 0; t < batch.steps; ++t) {
      for (size_t pair : pairs) {
        const std::vector<WordId>& words = pairs_[pair].target;
        const auto at = [&](size_t t) {
          return t < words.size() ? words[t] : options_.end;
        };
        batch.inputs.push_back(t == 0 ? options_.begin : at(t - 1));
        batch.targets.push_back(t <= words.size() ? at(t) : kNoTarget);
      }
    }
    for (size_t t = 0; t <= pairs_[pairs[0]].source.size(); ++t) {
      for (size_t pair : pairs) {
        const std::vector<WordId>& words = pairs_[pair].source;
        batch.sources.push_back(t < words.size() ? words[t]
                                                 : options_.source_end);
      }
    }
    return batch;
  }

 private:
  std::pair<size_t, size_t> Lengths(size_t pair) const {
    return {pairs_[pair].source.size(), pairs_[pair].target.size()};
  }

  std::vector<SentencePair> pairs_;
  const TranslationBatchOptions options_;
  std::vector<std::vector<size_t>> batches_;  // of the current epoch
};

class LabeledBatches final : public BatchSource {
 public:
  LabeledBatches(std::vector<LabeledIds> sentences,
                 const LabeledBatchOptions& options)
      : sentences_(std::move(sentences)), options_(options) {}

  void StartEpoch(uint64_t epoch) override {
    epoch_ = epoch;
    std::vector<size_t> all(sentences_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    batches_ = MakeLengthBatches(
        std::move(all), [this](size_t i) { return sentences_[i].words.size(); },
        options_.batches, epoch);
  }

  size_t size() const override { return batches_.size(); }

  Batch Get(size_t i) const override {
    const std::vector<size_t>& sentences = batches_[i];
    Random random(options_.batches.seed, RandomPurpose::kWordDropout,
                  {epoch_, i});
    Batch batch;
    batch.steps = sentences_[sentences[0]].words.size();
    batch.streams = sentences.size();
    for (size_t t = 0; t < batch.steps; ++t) {
      for (size_t sentence : sentences) {
        const LabeledIds& ids = sentences_[sentence];
        batch.inputs.push_back(Drop(ids.words[t], &random));
        batch.spellings.push_back(ids.spellings[t]);
        if (t < ids.labels.size()) batch.targets.push_back(ids.labels[t]);
        if (!ids.auxiliary.empty()) batch.auxiliary.push_back(ids.auxiliary[t]);
      }
    }
    return batch;
  }

 private:
  // Returns the word or, at random, <unk>.
  WordId Drop(WordId word, Random* random) const {
    if (options_.word_dropout.empty()) return word;
    return random->Uniform() < options_.word_dropout[word] ? options_.unknown
                                                           : word;
  }

  const std::vector<LabeledIds> sentences_;
  const LabeledBatchOptions options_;
  std::vector<std::vector<size_t>> batches_;  // of the current epoch
  uint64_t epoch_ = 0;
};

class WindowBatches final : public BatchSource {
 public:
  WindowBatches(absl::Span<const WordId> words, WordId begin, size_t window,
                const BatchOptions& options)
      : words_(words.begin(), words.end()),
        begin_(begin),
        window_(window),
        options_(options) {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] != begin) positions_.push_back(i);
    }
  }

  void StartEpoch(uint64_t epoch) override {
    order_ = positions_;
    Random(options_.seed, RandomPurpose::kBatchOrder, {epoch}).Shuffle(&order_);
  }

  size_t size() const override {
    return (positions_.size() + options_.streams - 1) / options_.streams;
  }

  Batch Get(size_t i) const override {
    const size_t first = i * options_.streams;
    Batch batch;
    batch.steps = window_;
    batch.streams = std::min(options_.streams, order_.size() - first);
    batch.inputs.resize(batch.steps * batch.streams);
    for (size_t s = 0; s < batch.streams; ++s) {
      size_t at = order_[first + s];
      batch.targets.push_back(words_[at]);
      for (size_t step = window_; step-- > 0;) {
        if (words_[at] != begin_ || step + 1 == window_) --at;
        batch.inputs[step * batch.streams + s] = words_[at];
      }
    }
    return batch;
  }

 private:
  const std::vector<WordId> words_;
  const WordId begin_;
  const size_t window_;
  const BatchOptions options_;
  std::vector<size_t> positions_;  // indices of all words to predict
  std::vector<size_t> order_;      // of the current epoch
};

}  // namespace

std::unique_ptr<BatchSource> MakeStreamBatches(absl::Span<const WordId> words,
                                               WordId begin, WordId end,
                                               const BatchOptions& options) {
  return std::make_unique<StreamBatches>(words, begin, end, options);
}

std::unique_ptr<BatchSource> MakeSentenceBatches(absl::Span<const WordId> words,
                                                 WordId begin, WordId end,
                                                 const BatchOptions& options) {
  return std::make_unique<SentenceBatches>(words, begin, end, options);
}

std::unique_ptr<BatchSource> MakeClozeBatches(absl::Span<const WordId> words,
                                              WordId begin, WordId end,
                                              WordId blank,
                                              const BatchOptions& options) {
  return std::make_unique<ClozeBatches>(words, begin, end, blank, options);
}

std::unique_ptr<BatchSource> MakeTranslationBatches(
    std::vector<SentencePair> pairs, const TranslationBatchOptions& options) {
  return std::make_unique<TranslationBatches>(std::move(pairs), options);
}

std::unique_ptr<BatchSource> MakeLabeledBatches(
    std::vector<LabeledIds> sentences, const LabeledBatchOptions& options) {
  return std::make_unique<LabeledBatches>(std::move(sentences), options);
}

std::unique_ptr<BatchSource> MakeWindowBatches(absl::Span<const WordId> words,
                                               WordId begin, size_t window,
                                               const BatchOptions& options) {
  return std::make_unique<WindowBatches>(words, begin, window, options);
}

std::vector<Batch> SplitBatch(const Batch& batch, size_t parts) {
  std::vector<Batch> split(parts);
  for (size_t p = 0; p < parts; ++p) {
    const size_t begin = batch.streams * p / parts;
    const size_t end = batch.streams * (p + 1) / parts;
    split[p].steps = batch.steps;
    split[p].streams = end - begin;
    for (const auto& [from, to] :
         {std::pair{&batch.inputs, &split[p].inputs},
          std::pair{&batch.targets, &split[p].targets},
          std::pair{&batch.sources, &split[p].sources},
          std::pair{&batch.spellings, &split[p].spellings},
          std::pair{&batch.auxiliary, &split[p].auxiliary}}) {
      for (size_t row = 0; row < from->size(); row += batch.streams) {
        to->insert(to->end(), from->begin() + row + begin,
                   from->begin() + row + end);
      }
    }
  }
  return split;
}

}  // namespace lmserve
