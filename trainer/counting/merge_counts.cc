// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/merge_counts.h"

#include <algorithm>
#include <atomic>
#include <memory>
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
      absl::Status status = ReadWordList(path, [&](const CountedWord& word) {
        const WordId id = table_.Add(word.text, word.count, word.first);
        if (merged_.has_fixed_vocabulary && id != ids_.back().size()) {
          return Problem(path, absl::StrCat("line ", ids_.back().size() + 1,
                                            ": expected the words of ",
                                            options_.inputs[0]));
        }
        ids_.back().push_back(id);
        return absl::OkStatus();
      });
      if (!status.ok()) return status;
      if (ids_.back().size() != manifests_[i].vocabulary ||
          (merged_.has_fixed_vocabulary &&
           manifests_[i].vocabulary != manifests_[0].vocabulary)) {
        return Problem(path,
                       absl::StrCat("expected ", manifests_[i].vocabulary,
                                    " words, found ", ids_.back().size()));
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

  void MergeTotals(absl::Span<const WordId> final_ids) {
    TextTotals& totals = merged_.totals;
    for (CountsManifest& manifest : manifests_) {
      totals.sentences += manifest.totals.sentences;
      totals.tokens += manifest.totals.tokens;
      totals.blank_lines += manifest.totals.blank_lines;
      // At most as many as in all inputs together.
      merged_.ngrams.resize(manifest.ngrams.size());
      for (size_t k = 0; k < manifest.ngrams.size(); ++k) {
        merged_.ngrams[k] += manifest.ngrams[k];
      }
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
    totals.unknown = table_.word(kUnknownId).count;
    merged_.vocabulary = order_.size();
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
        task.windows += part.windows;
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
      absl::Status status = SpillFile(**reader, ids_[input], writer, progress);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
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
  std::vector<WordId> order_;             // ids of the table
  std::vector<std::vector<WordId>> ids_;  // of each input: the merged ids
  std::vector<std::pair<size_t, const CountsPart*>> inputs_;
  std::atomic<size_t> next_input_ = 0;
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
