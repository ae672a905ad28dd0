// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/score_cache.h"

#include <iterator>

namespace lmserve {

ScoreCache::Key::Key(Entries::iterator entry)
    : model(entry->model), hash(entry->hash) {
  const absl::Span<const WordId> words = entry->words;
  text = {words.first(entry->source_words), words.subspan(entry->source_words)};
}

// Returns the hashes of the words of the texts. Hashes a source once for all
// texts in a row that share it.
std::vector<size_t> ScoreCache::HashAll(absl::Span<const Text> texts) {
  std::vector<size_t> hashes;
  size_t source_hash = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> source = texts[i].source;
    if (i == 0 || source.data() != texts[i - 1].source.data() ||
        source.size() != texts[i - 1].source.size()) {
      source_hash = absl::HashOf(source);
    }
    hashes.push_back(absl::HashOf(source_hash, texts[i].words));
  }
  return hashes;
}

// An entry takes two allocations, with the overhead of the allocator, and a
// slot in an index that may be half empty.
uint64_t ScoreCache::Bytes(const Entry& entry) {
  constexpr size_t kLinks = 2 * sizeof(void*);
  constexpr size_t kAllocator = 2 * size_t{16};
  constexpr size_t kSlot = 2 * (sizeof(Entries::iterator) + 1);
  return sizeof(Entry) + kLinks + kAllocator + kSlot +
         entry.words.size() * sizeof(WordId);
}

uint64_t ScoreCache::ModelNumber(const ModelHandle& model) {
  const auto found = model_numbers_.find(model);
  if (found != model_numbers_.end()) return found->second;
  std::erase_if(model_numbers_,
                [](const auto& entry) { return entry.first.expired(); });
  return model_numbers_[model] = next_model_number_++;
}

std::vector<size_t> ScoreCache::Find(const ModelHandle& model,
                                     absl::Span<const Text> texts,
                                     absl::Span<Score> scores) {
  std::vector<size_t> missing;
  const std::vector<size_t> hashes = HashAll(texts);  // without the lock
  const MutexLock lock(mutex_);
  const uint64_t number = ModelNumber(model);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto found = index_.find(Key(number, hashes[i], texts[i]));
    if (found == index_.end()) {
      missing.push_back(i);
      continue;
    }
    const Entries::iterator entry = *found;
    scores[i] = entry->score;
    entries_.splice(entries_.begin(), entries_, entry);
  }
  counts_.hits += texts.size() - missing.size();
  counts_.misses += missing.size();
  return missing;
}

void ScoreCache::Insert(const ModelHandle& model, absl::Span<const Text> texts,
                        absl::Span<const Score> scores) {
  Entries added, evicted;  // allocated and freed without the lock
  const std::vector<size_t> hashes = HashAll(texts);
  // If not all texts have room, the last ones are added.
  uint64_t bytes = 0;
  for (size_t i = texts.size(); i-- > 0 && bytes <= max_bytes_;) {
    const auto& [source, words] = texts[i];
    Entry& entry =
        added.emplace_front(Entry{0, hashes[i], scores[i], source.size(), {}});
    entry.words.reserve(source.size() + words.size());
    entry.words.assign(source.begin(), source.end());
    entry.words.insert(entry.words.end(), words.begin(), words.end());
    if (Bytes(entry) > max_bytes_) {
      added.pop_front();
    } else {
      bytes += Bytes(entry);
    }
  }
  const MutexLock lock(mutex_);
  const uint64_t number = ModelNumber(model);
  while (!added.empty()) {
    const Entries::iterator entry = added.begin();
    entry->model = number;
    const bool is_new = index_.insert(entry).second;
    Entries& to = is_new ? entries_ : evicted;
    to.splice(to.begin(), added, entry);
    if (is_new) counts_.bytes += Bytes(*entry);
  }
  while (counts_.bytes > max_bytes_) Evict(&evicted);
}

void ScoreCache::Evict(Entries* evicted) {
  const Entries::iterator last = std::prev(entries_.end());
  index_.erase(last);
  counts_.bytes -= Bytes(*last);
  evicted->splice(evicted->end(), entries_, last);
}

ScoreCache::Counts ScoreCache::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

}  // namespace lmserve
