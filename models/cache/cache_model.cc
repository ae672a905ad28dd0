// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/mixture/mixture_kernel.h"
#include "models/neural/kernels.h"

namespace lmserve {
namespace {

// The maximum number of words for which hidden states are in memory at once.
constexpr size_t kMaxHiddenStates = 2048;
// Number of places in a text that are compared with the history at once.
constexpr size_t kPlaces = 16;
// The largest absolute value of theta h_n . h_i.
constexpr float kMostExponent = 1e30f;
// Number of distributions computed at once.
constexpr size_t kDistributions = 16;

// Returns ln (hits / total). A sum that was rounded up must not exceed 1.
float LogShare(double hits, double total) {
  return static_cast<float>(std::min(0.0, std::log(hits / total)));
}

// Sets the weights K_i of a continuous cache, scaled to the sum 1, for the dot
// products of the last hidden state and the keys. REQUIRES: there are some.
void Weigh(absl::Span<const float> products, const Cache& cache,
           std::vector<float>* weights) {
  weights->resize(products.size());
  const auto theta = static_cast<float>(cache.theta);
  // The states of a network with ReLU may be so large that a product is not
  // finite.
  std::transform(products.begin(), products.end(), weights->begin(),
                 [theta](float product) {
                   return std::min(kMostExponent,
                                   std::max(-kMostExponent, theta * product));
                 });
  SoftmaxInPlace(absl::MakeSpan(*weights));
}

// Calls visit(i) for each place of a window, newest first, before which the
// window has its last order - 1 words.
template <typename Visit>
void ForEachMatch(absl::Span<const WordId> window, int order,
                  const Visit& visit) {
  const size_t context = static_cast<size_t>(order) - 1;
  for (size_t i = window.size(); i > context; --i) {
    const auto place = window.begin() + (i - 1);
    if (std::equal(place - context, place, window.end() - context)) {
      visit(i - 1);
    }
  }
}

// Sums of the weights of words, for one cache after the other.
class WordSums {
 public:
  explicit WordSums(size_t vocabulary) : sums_(vocabulary) {}

  void Add(WordId word, double weight) {
    if (sums_[word] == 0) words_.push_back(word);
    sums_[word] += weight;
  }

  // Writes ln of the share of each word, then forgets all words.
  void Take(double total, float* log_probs) {
    std::fill_n(log_probs, sums_.size(), kImpossible);
    for (WordId word : words_) {
      log_probs[word] = LogShare(sums_[word], total);
      sums_[word] = 0;
    }
    words_.clear();
  }

 private:
  std::vector<double> sums_;   // of each word of the vocabulary
  std::vector<WordId> words_;  // those with a sum; may have one of them twice
};

}  // namespace

// The words of a history and the words that are read after them.
class CacheModel::Text {
 public:
  // `hidden` has the states before the words (words, units), or is null if they
  // have no keys. `words` must outlive the text.
  Text(const CacheHistory& history, const std::byte* bytes,
       absl::Span<const WordId> words, const float* hidden, WordId begin)
      : history_(history),
        words_(words),
        read_(history.Words(bytes)),
        old_(read_.size()) {
    std::vector<float> keys;
    for (size_t t = 0; t < words.size(); ++t) {
      ends_.push_back(read_.size());
      if (words[t] == begin) continue;
      read_.push_back(words[t]);
      if (hidden == nullptr) continue;
      const float* key = hidden + t * history.units();
      keys.insert(keys.end(), key, key + history.units());
    }
    ends_.push_back(read_.size());
    if (hidden == nullptr) return;
    new_keys_ = history.StoredKeys(keys);
    runs_ = history.Keys(bytes);
    runs_.push_back({old_, read_.size() - old_, new_keys_.data()});
  }

  absl::Span<const WordId> words() const { return words_; }

  // The history before words[t]; for t = words().size(), after all words.
  absl::Span<const WordId> Window(size_t t) const {
    return absl::MakeConstSpan(read_).subspan(Begin(t), End(t) - Begin(t));
  }
  size_t Begin(size_t t) const {
    return End(t) - std::min(End(t), history_.capacity());
  }
  size_t End(size_t t) const { return ends_[t]; }

  // Computes the dot products of hidden states x (rows, units) and the keys of
  // the words [begin, end) that were read, (rows, end - begin).
  std::vector<float> Products(absl::Span<const float> x, size_t begin,
                              size_t end) const {
    const size_t rows = x.size() / history_.units();
    std::vector<float> products(rows * (end - begin));
    for (const CacheHistory::Run& run : runs_) {
      const size_t from = std::max(begin, run.begin);
      const size_t to = std::min(end, run.begin + run.count);
      if (from >= to) continue;
      history_.Multiply(x.data(), rows, run, from - run.begin, to - from,
                        products.data() + (from - begin), end - begin);
    }
    return products;
  }

  // Appends the words to a history, which must be the one before them.
  void Append(std::byte* bytes) const {
    history_.Append(absl::MakeConstSpan(read_).subspan(old_), new_keys_.data(),
                    bytes);
  }

 private:
  const CacheHistory& history_;
  const absl::Span<const WordId> words_;
  std::vector<WordId> read_;  // the history, then the words without <s>
  const size_t old_;          // size of the history
  std::vector<size_t> ends_;  // number of words read before each word
  std::vector<std::byte> new_keys_;
  std::vector<CacheHistory::Run> runs_;
};

absl::StatusOr<std::unique_ptr<CacheModel>> CacheModel::Create(
    std::unique_ptr<LanguageModel> member, CacheOptions options) {
  if (absl::Status status = CheckCacheOptions(options); !status.ok()) {
    return status;
  }
  const HiddenStateModel* hidden = member->hidden_states();
  if (NeedsHidden(options) && hidden == nullptr) {
    return absl::InvalidArgumentError(
        "a continuous cache needs a recurrent model, found a model without "
        "hidden states");
  }
  const size_t units = NeedsHidden(options) ? hidden->hidden_size() : 0;
  const size_t bytes =
      member->state_size() +
      options.history * (sizeof(WordId) + units * PrecisionSize(options.keys));
  if (bytes > kMaxCacheState) {
    return absl::InvalidArgumentError(absl::StrCat(
        "history: expected a state of at most ", kMaxCacheState,
        " bytes, found ", bytes, " with ", options.history, " words"));
  }
  return absl::WrapUnique(
      new CacheModel(std::move(member), std::move(options)));
}

CacheModel::CacheModel(std::unique_ptr<LanguageModel> member,
                       CacheOptions options)
    : member_(std::move(member)),
      hidden_(NeedsHidden(options) ? member_->hidden_states() : nullptr),
      options_(std::move(options)),
      history_(options_.history,
               hidden_ == nullptr ? 0 : hidden_->hidden_size(), options_.keys),
      history_at_(member_->state_size()) {
  double sum = 0;
  for (const Cache& cache : options_.caches) sum += cache.weight;
  const double scale = std::max(sum, 1.0);
  weights_.push_back(std::max(0.0, 1 - sum));
  for (const Cache& cache : options_.caches) {
    weights_.push_back(cache.weight / scale);
    Decay& decay = decays_.emplace_back();
    if (cache.kind != CacheKind::kNgram) continue;
    double power = 1, total = 0;
    for (size_t age = 0; age < options_.history; ++age) {
      decay.powers.push_back(power);
      decay.sums.push_back(total);
      total += power;
      power *= cache.decay;
    }
    decay.sums.push_back(total);
  }
}

void CacheModel::Start(std::byte* state) const {
  member_->Start(state);
  history_.Clear(state + history_at_);
}

bool CacheModel::StartEmpty(std::byte* state) const {
  history_.Clear(state + history_at_);
  return member_->StartEmpty(state);
}

void CacheModel::Score(absl::Span<const Query> batch) const {
  size_t words = 0;
  for (const Query& query : batch) words += query.log_probs.size();
  std::vector<float> log_probs(parts() * words);
  ScoreParts(batch, log_probs.data());
  MixLogProbs(weights_, log_probs.data(), words, log_probs.data());
  const float* mixed = log_probs.data();
  for (const Query& query : batch) {
    std::copy_n(mixed, query.log_probs.size(), query.log_probs.begin());
    mixed += query.log_probs.size();
  }
}

void CacheModel::ScoreParts(absl::Span<const Query> batch, float* parts) const {
  size_t stride = 0;
  for (const Query& query : batch) stride += query.log_probs.size();
  std::vector<Query> group;
  size_t words = 0;
  const auto score_group = [&] {
    if (group.empty()) return;
    ScoreGroup(group, parts, stride);
    for (const Query& query : group) parts += query.log_probs.size();
    group.clear();
    words = 0;
  };
  for (const Query& query : batch) {
    if (words + query.words.size() > kMaxHiddenStates) score_group();
    if (query.words.size() > kMaxHiddenStates) {
      ScoreLongText(query, parts, stride);
      parts += query.log_probs.size();
      continue;
    }
    group.push_back(query);
    words += query.words.size();
  }
  score_group();
}

void CacheModel::ScoreLongText(const Query& query, float* parts,
                               size_t stride) const {
  std::vector<std::byte> state(query.state, query.state + state_size());
  for (size_t begin = 0; begin < query.words.size();
       begin += kMaxHiddenStates) {
    Query part = query;
    part.state = state.data();
    part.words = query.words.subspan(begin, kMaxHiddenStates);
    part.next_state = state.data();
    if (!query.log_probs.empty()) {
      part.log_probs = query.log_probs.subspan(begin, kMaxHiddenStates);
    }
    ScoreGroup({&part, 1}, parts, stride);
    parts += part.log_probs.size();
  }
  if (query.next_state != nullptr) {
    std::memcpy(query.next_state, state.data(), state_size());
  }
}

void CacheModel::ScoreGroup(absl::Span<const Query> group, float* parts,
                            size_t stride) const {
  // The member's part of a state is at its beginning. The histories of the
  // states stay what they are until all words are scored.
  std::vector<Query> queries(group.begin(), group.end());
  size_t words = 0;
  float* row = parts;
  for (Query& query : queries) {
    query.log_probs = {row, query.log_probs.size()};
    row += query.log_probs.size();
    words += query.words.size();
  }
  std::vector<float> hidden(words * history_.units());
  if (hidden_ == nullptr) {
    member_->Score(queries);
  } else {
    hidden_->ScoreWithHidden(queries, hidden.data());
  }
  const float* before = hidden.data();
  for (const Query& query : group) {
    const Text text(history_, query.state + history_at_, query.words,
                    hidden_ == nullptr ? nullptr : before,
                    vocabulary().begin_sentence());
    if (!query.log_probs.empty()) {
      if (hidden_ != nullptr) ScoreContinuous(text, before, parts, stride);
      ScoreNgrams(text, parts, stride);
      parts += query.words.size();
    }
    before += query.words.size() * history_.units();
    if (query.next_state == nullptr) continue;
    if (query.next_state != query.state) {
      std::memcpy(query.next_state + history_at_, query.state + history_at_,
                  history_.bytes());
    }
    text.Append(query.next_state + history_at_);
  }
}

void CacheModel::ScoreContinuous(const Text& text, const float* hidden,
                                 float* parts, size_t stride) const {
  const absl::Span<const WordId> words = text.words();
  const size_t units = history_.units();
  std::vector<float> weights;
  for (size_t first = 0; first < words.size(); first += kPlaces) {
    // The places whose word the history has; other words have no share.
    std::vector<size_t> places;
    std::vector<float> x;
    for (size_t t = first; t < std::min(first + kPlaces, words.size()); ++t) {
      const absl::Span<const WordId> window = text.Window(t);
      const bool is_known =
          std::find(window.begin(), window.end(), words[t]) != window.end();
      if (is_known) {
        places.push_back(t);
        x.insert(x.end(), hidden + t * units, hidden + (t + 1) * units);
        continue;
      }
      for (size_t c = 0; c < options_.caches.size(); ++c) {
        if (options_.caches[c].kind != CacheKind::kContinuous) continue;
        parts[(1 + c) * stride + t] = window.empty() ? parts[t] : kImpossible;
      }
    }
    if (places.empty()) continue;
    const size_t begin = text.Begin(places.front());
    const size_t end = text.End(places.back());
    const std::vector<float> products = text.Products(x, begin, end);
    for (size_t r = 0; r < places.size(); ++r) {
      const size_t t = places[r];
      const absl::Span<const WordId> window = text.Window(t);
      const float* row =
          products.data() + r * (end - begin) + (text.Begin(t) - begin);
      for (size_t c = 0; c < options_.caches.size(); ++c) {
        const Cache& cache = options_.caches[c];
        if (cache.kind != CacheKind::kContinuous) continue;
        Weigh({row, window.size()}, cache, &weights);
        double hits = 0;
        for (size_t i = 0; i < window.size(); ++i) {
          if (window[i] == words[t]) hits += weights[i];
        }
        parts[(1 + c) * stride + t] = LogShare(hits, 1);
      }
    }
  }
}

void CacheModel::ScoreNgrams(const Text& text, float* parts,
                             size_t stride) const {
  const absl::Span<const WordId> words = text.words();
  for (size_t c = 0; c < options_.caches.size(); ++c) {
    const Cache& cache = options_.caches[c];
    if (cache.kind != CacheKind::kNgram) continue;
    const Decay& decay = decays_[c];
    for (size_t t = 0; t < words.size(); ++t) {
      const absl::Span<const WordId> window = text.Window(t);
      double hits = 0, total = 0;
      const auto add = [&](size_t i) {
        const double power = decay.powers[window.size() - 1 - i];
        total += power;
        if (window[i] == words[t]) hits += power;
      };
      if (cache.order == 1) {
        for (size_t i = window.size(); i-- > 0;) {
          if (window[i] == words[t]) add(i);
        }
        total = decay.sums[window.size()];
      } else {
        ForEachMatch(window, cache.order, add);
      }
      parts[(1 + c) * stride + t] =
          total > 0 ? LogShare(hits, total) : parts[t];
    }
  }
}

void CacheModel::Distribution(absl::Span<const std::byte* const> states,
                              float* log_probs) const {
  const size_t size = vocabulary().size();
  std::vector<float> scratch(parts() * std::min(kDistributions, states.size()) *
                             size);
  std::vector<float> hidden(history_.units());
  for (size_t first = 0; first < states.size(); first += kDistributions) {
    const absl::Span<const std::byte* const> rows =
        states.subspan(first, kDistributions);
    const size_t stride = rows.size() * size;
    member_->Distribution(rows, scratch.data());
    for (size_t r = 0; r < rows.size(); ++r) {
      const Text text(history_, rows[r] + history_at_, {},
                      hidden_ == nullptr ? nullptr : hidden.data(),
                      vocabulary().begin_sentence());
      float* parts = scratch.data() + r * size;
      if (hidden_ != nullptr) {
        hidden_->CopyHidden(rows[r], hidden.data());
        FillContinuous(text, hidden, parts, stride);
      }
      FillNgrams(text, parts, stride);
    }
    MixLogProbs(weights_, scratch.data(), stride, log_probs + first * size);
  }
}

void CacheModel::FillContinuous(const Text& text,
                                absl::Span<const float> hidden, float* parts,
                                size_t stride) const {
  const size_t size = vocabulary().size();
  const absl::Span<const WordId> window = text.Window(0);
  const std::vector<float> products =
      text.Products(hidden, text.Begin(0), text.End(0));
  WordSums sums(size);
  std::vector<float> weights;
  for (size_t c = 0; c < options_.caches.size(); ++c) {
    if (options_.caches[c].kind != CacheKind::kContinuous) continue;
    float* row = parts + (1 + c) * stride;
    if (window.empty()) {
      std::copy_n(parts, size, row);
      continue;
    }
    Weigh(products, options_.caches[c], &weights);
    for (size_t i = 0; i < window.size(); ++i) {
      sums.Add(window[i], weights[i]);
    }
    sums.Take(/*total=*/1, row);
  }
}

void CacheModel::FillNgrams(const Text& text, float* parts,
                            size_t stride) const {
  const size_t size = vocabulary().size();
  const absl::Span<const WordId> window = text.Window(0);
  WordSums sums(size);
  for (size_t c = 0; c < options_.caches.size(); ++c) {
    const Cache& cache = options_.caches[c];
    if (cache.kind != CacheKind::kNgram) continue;
    double total = 0;
    ForEachMatch(window, cache.order, [&](size_t i) {
      const double power = decays_[c].powers[window.size() - 1 - i];
      total += power;
      sums.Add(window[i], power);
    });
    float* row = parts + (1 + c) * stride;
    if (total > 0) {
      sums.Take(total, row);
    } else {
      std::copy_n(parts, size, row);
    }
  }
}

}  // namespace lmserve
