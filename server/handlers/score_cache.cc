#include "server/handlers/score_cache.h"

#include <iterator>

namespace lmserve {

ScoreCache::Key::Key(Entries::iterator entry)
    : model(entry->model), hash(entry->hash) {
  const absl::Span<const WordId> words = entry->words;
  text = {words.first(entry->source_words), words.subspan(entry->source_words)};
}

// Of their words, a source that several share once: before the mutex is taken.
std::vector<size_t> ScoreCache::HashAll(absl::Span<const Text> texts) {
  std::vector<size_t> hashes;
  size_t of_source = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> source = texts[i].source;
    if (i == 0 || source.data() != texts[i - 1].source.data() ||
        source.size() != texts[i - 1].source.size()) {
      of_source = absl::HashOf(source);
    }
    hashes.push_back(absl::HashOf(of_source, texts[i].words));
  }
  return hashes;
}

// Two pieces of memory, of which the allocator keeps account, and a place in an
// index that may be half empty.
uint64_t ScoreCache::Bytes(const Entry& entry) {
  constexpr size_t kLinks = 2 * sizeof(void*);
  constexpr size_t kAllocator = 2 * size_t{16};
  constexpr size_t kPlace = 2 * (sizeof(Entries::iterator) + 1);
  return sizeof(Entry) + kLinks + kAllocator + kPlace +
         entry.words.size() * sizeof(WordId);
}

// Holding the mutex.
uint64_t ScoreCache::Number(const ModelHandle& model) {
  const auto found = numbers_.find(model);
  if (found != numbers_.end()) return found->second;
  std::erase_if(numbers_,
                [](const auto& entry) { return entry.first.expired(); });
  return numbers_[model] = next_number_++;
}

std::vector<size_t> ScoreCache::Find(const ModelHandle& model,
                                     absl::Span<const Text> texts,
                                     absl::Span<Score> scores) {
  std::vector<size_t> missing;
  const std::vector<size_t> hashes = HashAll(texts);
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t number = Number(model);
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
  Entries added, dropped;  // made and freed while others may have the mutex
  const std::vector<size_t> hashes = HashAll(texts);
  uint64_t bytes = 0;  // no more than there is room for, the last texts first
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
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t number = Number(model);
  while (!added.empty()) {
    const Entries::iterator entry = added.begin();
    entry->model = number;
    const bool is_new = index_.insert(entry).second;
    Entries& to = is_new ? entries_ : dropped;
    to.splice(to.begin(), added, entry);
    if (is_new) counts_.bytes += Bytes(*entry);
  }
  while (counts_.bytes > max_bytes_) Drop(&dropped);
}

// Moves what was asked least recently out, holding the mutex.
void ScoreCache::Drop(Entries* dropped) {
  const Entries::iterator last = std::prev(entries_.end());
  index_.erase(last);
  counts_.bytes -= Bytes(*last);
  dropped->splice(dropped->end(), entries_, last);
}

ScoreCache::Counts ScoreCache::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

}  // namespace lmserve
