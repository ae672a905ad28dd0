// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the readers of n-gram counts: directories of counts, which other
// machines write, are merged and made into models, and work directories are
// resumed. Damaged files must be refused, without undefined behavior, and what
// is merged must be counts again.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/fuzz/counts_input.h"
#include "tests/fuzz/fuzz_counts.h"
#include "tests/fuzz/require.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "trainer/counting/count_text.h"
#include "trainer/counting/merge_counts.h"
#include "trainer/counting/suffix_links.h"
#include "trainer/counting/trie_reader.h"
#include "trainer/ngram/compact_estimate.h"
#include "trainer/ngram/load_counts.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

constexpr uint64_t kMemory = 1 << 20;
// An input cannot name more words or n-grams than this, unless it is refused.
constexpr uint64_t kMostNgrams = 1 << 22;

// Estimates models of each kind. Counts of which no text can consist may be
// refused.
void UseCounts(const NgramCounts& counts) {
  for (absl::string_view method : SmoothingMethods()) {
    EstimateOptions options;
    options.smoothing.method = std::string(method);
    if (EstimateModel(counts, options).ok() && IsFunctionOfCounts(options)) {
      EstimateCompact(counts, options).IgnoreError();
    }
  }
}

void Assemble(const std::string& directory, WorkDirectory& work) {
  const auto manifest = ReadCountsManifest(directory);
  if (!manifest.ok()) return;
  const auto shape = WriteTrie(directory, *manifest, nullptr, work);
  if (!shape.ok()) return;
  for (uint64_t ngrams : shape->ngrams) {
    Require(ngrams <= kMostNgrams, "the trie is not larger than its input");
  }
  if (!LinkSuffixes(*shape, kMemory, 1, nullptr, work).ok()) return;
  const auto counts = LoadCounts(*shape, work);
  if (counts.ok()) UseCounts(*counts);
}

// Merges counts with themselves, and reads the result.
void Merge(const std::string& directory, uint64_t min_count,
           const std::string& output, WorkDirectory& work) {
  MergeOptions options;
  options.inputs = {directory, directory};
  options.min_count = min_count;
  options.memory = kMemory;
  if (!MergeCounts(options, work, output).ok()) return;
  const auto manifest = ReadCountsManifest(output);
  RequireOk(manifest.status(), "merged counts have a manifest");
  auto reader = CountsReader::Open(output, *manifest);
  RequireOk(reader.status(), "merged counts can be opened");
  while ((*reader)->Next()) {
  }
  RequireOk((*reader)->status(), "merged counts can be read");
  RequireOk(CheckWords(output, *manifest), "merged counts have their words");
}

std::unique_ptr<WorkDirectory> NewWork(const std::string& parent,
                                       const std::string& task) {
  return WorkDirectory::Open(parent, task, /*resume=*/false).value();
}

void UseDirectory(const std::string& directory, size_t size,
                  const TemporaryDirectory& scratch) {
  Assemble(directory, *NewWork(scratch.path(), "assemble"));
  Merge(directory, 1 + size % 3, scratch.File("merged"),
        *NewWork(scratch.path(), "merge"));
}

// Returns a journal in which files have the sizes that they have, since others
// are refused at once.
std::string WithSizes(absl::string_view journal, const std::string& directory) {
  std::vector<std::string> lines = absl::StrSplit(journal, '\n');
  for (std::string& line : lines) {
    std::vector<std::string> fields = absl::StrSplit(line, '\t');
    std::vector<std::string> files =
        absl::StrSplit(fields.back(), ' ', absl::SkipEmpty());
    if (fields.size() != 3) continue;
    for (std::string& file : files) {
      file.resize(std::min(file.size(), file.find(':')));
      std::error_code error;
      const uint64_t size =
          std::filesystem::file_size(absl::StrCat(directory, "/", file), error);
      absl::StrAppend(&file, ":", error ? 0 : size);
    }
    fields.back() = absl::StrJoin(files, " ");
    line = absl::StrJoin(fields, "\t");
  }
  return absl::StrJoin(lines, "\n");
}

// Continues work on sound counts, of which the work directory is damaged.
void Resume(CountsInput kind, const std::vector<std::string>& pieces,
            const TemporaryDirectory& scratch) {
  const std::string path = scratch.File("lm-work");
  std::filesystem::create_directory(path);
  const std::vector<std::string> names = WorkFiles(kind);
  const size_t size = std::min(names.size(), pieces.size());
  for (size_t i = 1; i < size; ++i) {
    WriteBytes(absl::StrCat(path, "/", names[i]), pieces[i]);
  }
  if (size > 0) WriteBytes(path + "/journal", WithSizes(pieces[0], path));
  const auto work =
      WorkDirectory::Open(scratch.path(), "work", /*resume=*/true);
  if (!work.ok()) return;
  const FuzzCounts& counts = FuzzCounts::Get();
  const std::string output = scratch.File("output");
  switch (kind) {
    case CountsInput::kTrie:
      Assemble(counts.directory(), **work);
      break;
    case CountsInput::kMerge:
      MergeCounts(counts.merge(), **work, output).IgnoreError();
      break;
    default:
      // A text that is read already has its words there.
      counts.CopyWords(output);
      CountText(counts.count(), **work, output).IgnoreError();
  }
}

void Run(absl::string_view input) {
  if (input.empty()) return;
  const auto kind =
      static_cast<CountsInput>(static_cast<uint8_t>(input[0]) % kCountsInputs);
  input.remove_prefix(1);
  const TemporaryDirectory scratch;
  const std::string directory = scratch.File("counts");
  switch (kind) {
    case CountsInput::kDirectory:
      WriteCounts(SplitPieces(input), directory);
      UseDirectory(directory, input.size(), scratch);
      break;
    case CountsInput::kText:
      WriteTextCounts(input, directory);
      UseDirectory(directory, input.size(), scratch);
      break;
    default:
      Resume(kind, SplitPieces(input), scratch);
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates one of the pieces and, in one of eight cases, in any way.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  using lmserve::CountsInput;
  std::minstd_rand random(seed);
  random.discard(3);
  const auto kind = static_cast<CountsInput>(
      size == 0 ? 0 : data[0] % lmserve::kCountsInputs);
  if (size < 2 || kind == CountsInput::kText || random() % 8 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  const std::string mutated = lmserve::MutatePieces(
      random, kind, {reinterpret_cast<const char*>(data) + 1, size - 1},
      [](char* piece, size_t piece_size, size_t piece_max) {
        return piece_max == 0
                   ? 0
                   : LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(piece),
                                      piece_size, piece_max);
      });
  if (mutated.size() > max_size) return size;
  std::copy(mutated.begin(), mutated.end(), data);
  return mutated.size();
}
