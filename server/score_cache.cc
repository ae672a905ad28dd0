#include "server/score_cache.h"

#include <iterator>

namespace lmserve {

ScoreCache::Key::Key(Entries::iterator entry) : model(entry->model) {
  const absl::Span<const WordId> words = entry->words;
  text = {words.first(entry->source_words), words.subspan(entry->source_words)};
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
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t number = Number(model);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto found = index_.find(Key(number, texts[i]));
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
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto& [source, words] = texts[i];
    Entry& entry = added.emplace_back(Entry{0, scores[i], source.size(), {}});
    entry.words.reserve(source.size() + words.size());
    entry.words.assign(source.begin(), source.end());
    entry.words.insert(entry.words.end(), words.begin(), words.end());
    if (Bytes(entry) > max_bytes_) added.pop_back();
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
