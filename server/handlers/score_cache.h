#ifndef LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_
#define LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "models/vocabulary.h"

namespace lmserve {

// ln P of texts that were scored before, so that to weigh the same candidates
// anew costs no work of a model.
//
// A text is known by its words, all of them, those of its source, and the model
// that was loaded when it was scored: another version has scores of its own,
// and so has the same one when it was unloaded and comes again. The cache keeps
// no model loaded; what it knows of one that is gone is found no more, and is
// pushed out in its turn.
//
// Where there are too many bytes, what was asked least recently goes. Any
// number of threads may use one; each call locks it once, for all its texts.
class ScoreCache {
 public:
  // Of 0 bytes, it never knows anything.
  explicit ScoreCache(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // ln P of all words of a text, summed, and of </s>, where it is one of them.
  struct Score {
    double log_prob = 0;
    float end = 0;

    bool operator==(const Score& other) const = default;
  };

  // Words that others own.
  struct Text {
    absl::Span<const WordId> source;  // of a translation
    absl::Span<const WordId> words;
  };

  // Sets the scores of those texts that are known, and returns the indexes of
  // the others, sorted. REQUIRES: scores is as long as texts.
  std::vector<size_t> Find(const ModelHandle& model,
                           absl::Span<const Text> texts,
                           absl::Span<Score> scores);

  // Remembers the scores of all the texts, unless they were known already.
  void Insert(const ModelHandle& model, absl::Span<const Text> texts,
              absl::Span<const Score> scores);

  struct Counts {
    uint64_t hits;    // texts that were asked and known,
    uint64_t misses;  // or not
    uint64_t bytes;   // taken now, about
  };
  Counts counts() const;

 private:
  struct Entry {
    uint64_t model;  // its number
    size_t hash;     // of the words
    Score score;
    size_t source_words;
    std::vector<WordId> words;  // the source's, then the text's
  };
  using Entries = std::list<Entry>;

  // What an entry is found by.
  struct Key {
    Key(uint64_t model, size_t hash, const Text& text)
        : model(model), hash(hash), text(text) {}
    // Implicit, so that the index takes either.
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
  uint64_t Number(const ModelHandle& model);
  void Drop(Entries* dropped);

  const uint64_t max_bytes_;
  mutable std::mutex mutex_;  // guards all that follows
  Entries entries_;           // what was asked last comes first
  absl::flat_hash_set<Entries::iterator, Hash, Equal> index_;
  // Models by who they are, not where: an address may be another's later, a
  // number never is.
  std::map<std::weak_ptr<const LoadedVersion>, uint64_t, std::owner_less<>>
      numbers_;
  uint64_t next_number_ = 0;
  Counts counts_ = {};
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SCORE_CACHE_H_
