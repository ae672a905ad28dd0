// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_
#define LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "model_store/mutex.h"
#include "models/vocabulary.h"

namespace lmserve {

// A cache of ln P of texts, so that no model scores the same candidates again
// when they are reranked with other weights.
//
// The key of a text is all of its words, the words of its source, and the
// loaded model that scored it. Another version has entries of its own, and so
// has the same version after it was unloaded and loaded again. The cache keeps
// no model loaded. Entries of a model that was unloaded are not found any more,
// and are evicted in their turn.
//
// If the cache has too many bytes, it evicts the least recently used entries.
// Any number of threads may use it. Each call locks it once, for all texts.
class ScoreCache {
 public:
  // A cache of 0 bytes stays empty.
  explicit ScoreCache(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  struct Score {
    // The sum of ln P of the words that are possible.
    double log_prob = 0;
    float end = 0;            // ln P of </s>; 0 if the text has none
    uint32_t impossible = 0;  // number of words whose probability is 0

    bool operator==(const Score& other) const = default;
  };

  // A text, as views of words that others own.
  struct Text {
    absl::Span<const WordId> source;  // what it translates, if anything
    absl::Span<const WordId> words;
  };

  // Sets the scores of the texts that are in the cache. Returns the indexes of
  // the others, in ascending order. REQUIRES: scores.size() == texts.size().
  std::vector<size_t> Find(const ModelHandle& model,
                           absl::Span<const Text> texts,
                           absl::Span<Score> scores);

  // Adds the texts that are not in the cache.
  void Insert(const ModelHandle& model, absl::Span<const Text> texts,
              absl::Span<const Score> scores);

  struct Counts {
    uint64_t hits;    // texts that Find() found
    uint64_t misses;  // texts that Find() did not find
    uint64_t bytes;   // of the entries now, approximately
  };
  Counts counts() const;

 private:
  struct Entry {
    uint64_t model;  // ModelNumber()
    size_t hash;     // of all words
    Score score;
    size_t source_words;        // how many there are in `words`
    std::vector<WordId> words;  // of the source, then of the text
  };
  using Entries = std::list<Entry>;

  // The key of an entry.
  struct Key {
    Key(uint64_t model, size_t hash, const Text& text)
        : model(model), hash(hash), text(text) {}
    // Implicit, so that the index takes an iterator, too.
    Key(Entries::iterator entry);

    uint64_t model;
    size_t hash;
    Text text;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const Key& key) const {
      return absl::HashOf(key.model, key.hash);
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Key& a, const Key& b) const {
      return a.model == b.model && a.text.source == b.text.source &&
             a.text.words == b.text.words;
    }
  };

  static std::vector<size_t> HashAll(absl::Span<const Text> texts);
  static uint64_t Bytes(const Entry& entry);

  // Returns the number of a loaded model. Unlike its address, it is never that
  // of another model later.
  uint64_t ModelNumber(const ModelHandle& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Moves the least recently used entry to `evicted`.
  void Evict(Entries* evicted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t max_bytes_;
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // the most recently used first
  absl::flat_hash_set<Entries::iterator, Hash, Equal> index_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::weak_ptr<const LoadedVersion>, uint64_t, std::owner_less<>>
      model_numbers_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_model_number_ ABSL_GUARDED_BY(mutex_) = 0;
  Counts counts_ ABSL_GUARDED_BY(mutex_) = {};
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_
