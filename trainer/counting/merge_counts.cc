// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/merge_counts.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "model_store/durable_file.h"
#include "trainer/counting/sort_partitions.h"
#include "trainer/counting/word_list.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

constexpr uint64_t kMergedPerCheck = 1 << 16;

class Merger {
 public:
  Merger(const MergeOptions& options, WorkDirectory& work,
         const std::string& output)
      : options_(options), work_(work), output_(output) {}

  absl::Status Merge() {
    absl::Status status = ReadManifests();
    if (status.ok()) status = ReadWords();
    if (status.ok()) status = MakeDirectories(output_);
    if (status.ok()) status = WriteWords();
    if (status.ok()) status = SortAll();
    return status.ok() ? WriteCountsManifest(output_, merged_) : status;
  }

 private:
  absl::Status Problem(const std::string& input,
                       absl::string_view problem) const {
    return absl::InvalidArgumentError(absl::StrCat(input, ": ", problem));
  }

  absl::Status ReadManifests() {
    for (const std::string& input : options_.inputs) {
      absl::StatusOr<CountsManifest> manifest = ReadCountsManifest(input);
      if (!manifest.ok()) return manifest.status();
      const CountsManifest& first =
          manifests_.empty() ? *manifest : manifests_.front();
      if (manifest->order != first.order) {
        return Problem(input, absl::StrCat("order: expected ", first.order,
                                           ", found ", manifest->order));
      }
      if (manifest->has_fixed_vocabulary != first.has_fixed_vocabulary) {
        return Problem(input,
                       "expected counts with --vocabulary everywhere or "
                       "nowhere");
      }
      if (manifest->min_count > 1 && !first.has_fixed_vocabulary) {
        return Problem(input,
                       "expected counts of all words; count without "
                       "--min-count and pass it to ngram-merge");
      }
      manifests_.push_back(*std::move(manifest));
    }
    merged_.order = manifests_.front().order;
    merged_.has_fixed_vocabulary = manifests_.front().has_fixed_vocabulary;
    merged_.min_count = options_.min_count;
    return absl::OkStatus();
  }

  // Merges the vocabularies.
  absl::Status ReadWords() {
    for (size_t i = 0; i < manifests_.size(); ++i) {
      const std::string path =
          absl::StrCat(options_.inputs[i], "/", kWordsFile);
      ids_.emplace_back();
      std::vector<bool> seen;  // by id of the table
      absl::Status status = ReadWordList(path, [&](const CountedWord& word) {
        const std::string problem =
            AddWord(word, manifests_[i].vocabulary, &ids_.back(), &seen);
        return problem.empty()
                   ? absl::OkStatus()
                   : Problem(path, absl::StrCat("line ", ids_.back().size() + 1,
                                                ": ", problem));
      });
      if (!status.ok()) return status;
      const uint64_t words = manifests_[i].vocabulary;
      if (ids_.back().size() != words ||
          (merged_.has_fixed_vocabulary && words != manifests_[0].vocabulary)) {
        return Problem(path, absl::StrCat("expected ", words, " words, found ",
                                          ids_.back().size()));
      }
    }
    if (merged_.has_fixed_vocabulary) {
      order_.resize(table_.size());
      std::iota(order_.begin(), order_.end(), 0u);
    } else {
      order_ = FrequencyOrder(table_, options_.min_count);
    }
    std::vector<WordId> final_ids(table_.size(), kUnknownId);
    for (size_t id = 0; id < order_.size(); ++id) final_ids[order_[id]] = id;
    uint64_t unknown = 0;
    for (WordId id = 0; id < table_.size(); ++id) {
      if (final_ids[id] == kUnknownId) unknown += table_.word(id).count;
    }
    table_.Add(kUnknownWord, unknown - table_.word(kUnknownId).count, 0);
    MergeTotals(final_ids);
    for (std::vector<WordId>& ids : ids_) {
      for (WordId& id : ids) id = final_ids[id];
    }
    return absl::OkStatus();
  }

  // Adds the next word of an input, which has `words` of them. Returns what is
  // wrong, or "".
  std::string AddWord(const CountedWord& word, uint64_t words,
                      std::vector<WordId>* ids, std::vector<bool>* seen) {
    if (ids->size() == words) {
      return absl::StrCat("expected the end after ", words, " words");
    }
    if (!AddCounted(word.count, &counted_words_)) {
      return "expected counts of at most 2^56 in all inputs";
    }
    const WordId id = table_.Add(word.text, word.count, word.first);
    if (merged_.has_fixed_vocabulary && id != ids->size()) {
      return absl::StrCat("expected the words of ", options_.inputs[0]);
    }
    if (seen->size() <= id) seen->resize(id + 1);
    if ((*seen)[id]) return "expected each word once";
    (*seen)[id] = true;
    ids->push_back(id);
    return "";
  }

  void MergeTotals(absl::Span<const WordId> final_ids) {
    TextTotals& totals = merged_.totals;
    for (CountsManifest& manifest : manifests_) {
      totals.sentences += manifest.totals.sentences;
      totals.tokens += manifest.totals.tokens;
      totals.blank_lines += manifest.totals.blank_lines;
      for (FirstSentence& sentence : manifest.totals.self_test) {
        std::vector<absl::string_view> words =
            absl::StrSplit(sentence.text, ' ', absl::SkipEmpty());
        for (absl::string_view& word : words) {
          const WordId id = table_.Add(word, 0, 0);
          if (id >= final_ids.size() || final_ids[id] == kUnknownId) {
            word = kUnknownWord;
          }
        }
        totals.self_test.push_back({sentence.place, absl::StrJoin(words, " ")});
      }
    }
    KeepFirstSentences(&totals.self_test);
    MergeNgrams();
    totals.unknown = table_.word(kUnknownId).count;
    merged_.vocabulary = order_.size();
  }

  // There are at most as many n-grams as in all inputs together. Nothing is
  // known of them if an input does not say how many it has.
  void MergeNgrams() {
    merged_.ngrams.assign(merged_.order, 0);
    for (const CountsManifest& manifest : manifests_) {
      if (manifest.ngrams.empty()) merged_.ngrams.clear();
      for (size_t k = 0; k < merged_.ngrams.size(); ++k) {
        merged_.ngrams[k] += manifest.ngrams[k];
      }
    }
  }

  absl::Status WriteWords() {
    if (order_.size() == kMarkerIds) {
      WarnAboutNoWords(output_, options_.min_count);
    }
    return WriteWordList(absl::StrCat(output_, "/", kWordsFile), table_,
                         order_);
  }

  absl::Status SortAll() {
    SortTask task;
    task.format = {.order = merged_.order,
                   .has_counts = true,
                   .vocabulary = merged_.vocabulary};
    for (WordId id : order_) task.word_counts.push_back(table_.word(id).count);
    for (size_t i = 0; i < manifests_.size(); ++i) {
      for (const CountsPart& part : manifests_[i].parts) {
        inputs_.push_back({i, &part});
        if (AddCounted(part.windows, &task.windows)) continue;
        return Problem(options_.inputs[i],
                       "expected at most 2^56 windows in all inputs");
      }
    }
    task.threads = options_.threads;
    task.memory = options_.memory;
    task.stop = options_.stop;
    absl::Status status = CheckDisk(task);
    if (!status.ok()) return status;
    status = SpillToPartitions(
        task,
        [this](SpillWriter& writer, SharedProgress& progress) {
          return Spill(writer, progress);
        },
        work_);
    if (!status.ok()) return status;
    auto parts = SortPartitions(task, work_, output_);
    if (!parts.ok()) return parts.status();
    merged_.parts = *std::move(parts);
    return absl::OkStatus();
  }

  absl::Status CheckDisk(const SortTask& task) const {
    if (IsSpilled(work_)) return absl::OkStatus();
    return CheckFreeDisk(
        work_.path(),
        EstimateSpillBytes(task.format, task.windows, task.word_counts),
        "merging");
  }

  // Spills the windows of one input file after the other.
  absl::Status Spill(SpillWriter& writer, SharedProgress& progress) {
    size_t i;
    while ((i = next_input_++) < inputs_.size()) {
      const auto& [input, part] = inputs_[i];
      absl::StatusOr<std::unique_ptr<WindowReader>> reader = WindowReader::Open(
          absl::StrCat(options_.inputs[input], "/", part->name), merged_.order,
          manifests_[input].vocabulary);
      if (!reader.ok()) return reader.status();
      absl::Status status = CheckSum(**reader);
      if (status.ok()) {
        status = SpillFile(**reader, ids_[input], writer, progress);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Adds up the counts of all files. Called on several threads.
  absl::Status CheckSum(const WindowReader& reader) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (AddCounted(reader.positions(), &positions_)) return absl::OkStatus();
    return Problem(reader.path(),
                   "expected counts of at most 2^56 in all inputs");
  }

  absl::Status SpillFile(WindowReader& reader, absl::Span<const WordId> ids,
                         SpillWriter& writer, SharedProgress& progress) {
    Window window;
    uint64_t read = 0;
    while (reader.Next()) {
      // The zeros after </s> stay.
      const WordId* const words = reader.window();
      int length = 0;
      do {
        window[length] = ids[words[length]];
      } while (words[length++] != kEndId && length < merged_.order);
      std::fill(window.begin() + length, window.begin() + merged_.order, 0);
      writer.Add(window.data(), reader.count());
      if (++read % kMergedPerCheck != 0) continue;
      absl::Status status = CheckStop(options_.stop);
      if (status.ok()) status = writer.status();
      if (!status.ok()) return status;
      progress.Add(kMergedPerCheck);
    }
    progress.Add(read % kMergedPerCheck);
    return reader.status();
  }

  const MergeOptions& options_;
  WorkDirectory& work_;
  const std::string& output_;
  std::vector<CountsManifest> manifests_;
  CountsManifest merged_;
  WordTable table_;
  uint64_t counted_words_ = 0;            // the sum of the counts of the table
  std::vector<WordId> order_;             // ids of the table
  std::vector<std::vector<WordId>> ids_;  // of each input: the merged ids
  std::vector<std::pair<size_t, const CountsPart*>> inputs_;
  std::atomic<size_t> next_input_ = 0;
  std::mutex mutex_;
  uint64_t positions_ = 0;  // guarded by mutex_
};

}  // namespace

std::string MergeTaskName(const MergeOptions& options,
                          const std::string& output) {
  std::vector<std::string> inputs = {"merge 1", AbsolutePath(output),
                                     absl::StrCat(options.min_count)};
  for (const std::string& input : options.inputs) {
    inputs.push_back(FileIdentity(absl::StrCat(input, "/counts.json")));
  }
  return TaskName(inputs);
}

absl::Status MergeCounts(const MergeOptions& options, WorkDirectory& work,
                         const std::string& output) {
  return Merger(options, work, output).Merge();
}

}  // namespace lmserve
