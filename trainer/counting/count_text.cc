// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/count_text.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "text_io/byte_source.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/disk_plan.h"
#include "trainer/counting/id_reader.h"
#include "trainer/counting/sort_partitions.h"
#include "trainer/counting/word_list.h"

namespace lmserve {
namespace {

using nlohmann::json;

constexpr char kTextStage[] = "text";
constexpr char kIdsFile[] = "ids";
constexpr char kIdMapFile[] = "id-map";
constexpr char kTextFile[] = "text.json";

// Writes what TextIds has besides the counts, which are in the list of words.
absl::Status SaveTextIds(const TextIds& text, const WorkDirectory& work) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> file =
      ByteWriter::Create(work.File(kIdMapFile));
  if (!file.ok()) return file.status();
  (*file)->WriteVarint(text.ids.size());
  for (const std::vector<WordId>& ids : text.ids) {
    (*file)->WriteVarint(ids.size());
    for (WordId id : ids) (*file)->WriteVarint(id);
  }
  absl::Status status = (*file)->Close();
  if (!status.ok()) return status;
  json object = {{"ngrams", text.ngrams}};
  AddTotals(text.totals, &object);
  return ReplaceFile(
      work.File(kTextFile),
      object.dump(-1, ' ', false, json::error_handler_t::replace));
}

absl::Status LoadIdMaps(const WorkDirectory& work,
                        std::vector<std::vector<WordId>>* maps) {
  for (const char* name : {kIdsFile, kIdMapFile}) {
    absl::Status status = work.CheckFile(name);
    if (!status.ok()) return status;
  }
  absl::StatusOr<std::unique_ptr<ByteReader>> file =
      ByteReader::Open(work.File(kIdMapFile));
  if (!file.ok()) return file.status();
  const uint64_t threads = (*file)->ReadVarint();
  for (uint64_t i = 0; i < threads && (*file)->status().ok(); ++i) {
    const uint64_t size = (*file)->ReadVarint();
    maps->emplace_back();
    while (maps->back().size() < size && (*file)->status().ok()) {
      maps->back().push_back((*file)->ReadVarint());
    }
  }
  return (*file)->status();
}

absl::StatusOr<TextIds> LoadTextIds(const WorkDirectory& work,
                                    const std::string& words_file) {
  absl::Status status = work.CheckFile(kTextFile);
  TextIds text;
  // Spilling needs the ids, and nothing else does.
  if (status.ok() && !IsSpilled(work)) status = LoadIdMaps(work, &text.ids);
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> bytes = ReadAllBytes(work.File(kTextFile));
  if (!bytes.ok()) return bytes.status();
  const json object = json::parse(*bytes, nullptr, /*allow_exceptions=*/false);
  const std::string problem = ReadTotals(object, &text.totals);
  if (!problem.empty() || !object.contains("ngrams")) {
    return absl::DataLossError(
        absl::StrCat(work.File(kTextFile), ": ", problem));
  }
  for (const json& number : object["ngrams"]) {
    const bool is_valid =
        number.is_number_unsigned() && uint64_t{number} <= kMaxCounted;
    text.ngrams.push_back(is_valid ? uint64_t{number} : 0);
  }
  absl::StatusOr<std::vector<uint64_t>> counts = ReadWordCounts(words_file);
  if (!counts.ok()) return counts.status();
  text.counts = *std::move(counts);
  for (const std::vector<WordId>& ids : text.ids) {
    if (std::all_of(ids.begin(), ids.end(),
                    [&](WordId id) { return id < text.counts.size(); })) {
      continue;
    }
    return absl::DataLossError(absl::StrCat(
        work.File(kIdMapFile), ": an id that is not in the vocabulary"));
  }
  return text;
}

// Reads the text, unless that is done already.
absl::StatusOr<TextIds> GetTextIds(const CountOptions& options,
                                   WorkDirectory& work,
                                   const std::string& words_file) {
  if (work.Finished(kTextStage) != nullptr) {
    return LoadTextIds(work, words_file);
  }
  absl::StatusOr<TextIds> text =
      ReadTextIds(options, work.File(kIdsFile), words_file);
  if (!text.ok()) return text;
  absl::Status status = SaveTextIds(*text, work);
  if (status.ok()) {
    status = work.Finish(kTextStage, {kIdsFile, kIdMapFile, kTextFile}, {});
  }
  if (!status.ok()) return status;
  return text;
}

// Spills windows of a text on one of several threads, which share the reader.
absl::Status SpillText(const CountOptions& options, IdReader& reader,
                       SpillWriter& writer, SharedProgress& progress) {
  IdBlock block;
  std::vector<WordId> words;  // <s>, a sentence, and zeros
  while (true) {
    absl::Status status = CheckStop(options.stop);
    if (status.ok()) status = writer.status();
    if (!status.ok()) return status;
    const absl::StatusOr<bool> has_block = reader.Next(&block);
    if (!has_block.ok()) return has_block.status();
    if (!*has_block) return absl::OkStatus();
    uint64_t windows = 0;
    auto begin = block.begin();
    while (begin != block.end()) {
      const auto end = std::find(begin, block.end(), kEndId);
      if (end == block.end()) {
        return absl::DataLossError("a block of ids ends without </s>");
      }
      words.assign(1, kBeginId);
      words.insert(words.end(), begin, end + 1);
      const size_t size = words.size();
      words.resize(size + options.order - 1, 0);
      for (size_t i = 0; i < size; ++i) writer.Add(&words[i], 1);
      windows += size;
      begin = end + 1;
    }
    progress.Add(windows);
  }
}

// Spills the windows of a text, unless that is done already. Then neither the
// file of ids is needed any more nor text.ids.
absl::Status SpillAll(const CountOptions& options, const SortTask& task,
                      TextIds& text, WorkDirectory& work) {
  if (!IsSpilled(work)) {
    const DiskPlan plan =
        PlanDisk(options.order, task.word_counts, task.windows, text.ngrams);
    // The ids are written already.
    absl::Status status =
        CheckFreeDisk(work.path(), plan.counting_peak() - plan.ids, "counting");
    if (!status.ok()) return status;
    absl::StatusOr<std::unique_ptr<IdReader>> reader =
        IdReader::Open(work.File(kIdsFile), text.ids);
    if (!reader.ok()) return reader.status();
    status = SpillToPartitions(
        task,
        [&](SpillWriter& writer, SharedProgress& progress) {
          return SpillText(options, **reader, writer, progress);
        },
        work);
    if (!status.ok()) return status;
  }
  work.Remove(kIdsFile);
  std::vector<std::vector<WordId>>().swap(text.ids);
  return absl::OkStatus();
}

}  // namespace

std::string CountTaskName(const CountOptions& options,
                          const std::string& output) {
  const TextRules& rules = options.text.rules;
  return TaskName({"count 1", AbsolutePath(output),
                   FileIdentity(options.corpus),
                   FileIdentity(options.text.vocabulary_file),
                   absl::StrCat(options.text.min_count, " ", options.order, " ",
                                options.shard, " ", options.shards, " ",
                                static_cast<int>(rules.form), " ",
                                static_cast<int>(rules.markers), " ",
                                static_cast<int>(rules.invalid_utf8), " ",
                                static_cast<int>(rules.unknown))});
}

absl::Status CountText(const CountOptions& options, WorkDirectory& work,
                       const std::string& output) {
  if (ReadCountsManifest(output).ok()) return absl::OkStatus();
  absl::Status status = MakeDirectories(output);
  if (!status.ok()) return status;
  absl::StatusOr<TextIds> text =
      GetTextIds(options, work, absl::StrCat(output, "/", kWordsFile));
  if (!text.ok()) return text.status();
  CountsManifest manifest;
  manifest.order = options.order;
  manifest.vocabulary = text->counts.size();
  manifest.has_fixed_vocabulary = !options.text.vocabulary_file.empty();
  manifest.min_count = options.text.min_count;
  manifest.totals = text->totals;
  manifest.ngrams = text->ngrams;
  SortTask task;
  task.format = {.order = options.order,
                 .has_counts = false,
                 .vocabulary = text->counts.size()};
  task.word_counts = std::move(text->counts);
  task.windows = text->totals.tokens + text->totals.sentences;
  task.threads = options.threads;
  task.memory = options.memory;
  task.stop = options.stop;
  status = SpillAll(options, task, *text, work);
  if (!status.ok()) return status;
  auto parts = SortPartitions(task, work, output);
  if (!parts.ok()) return parts.status();
  manifest.parts = *std::move(parts);
  return WriteCountsManifest(output, manifest);
}

}  // namespace lmserve
