// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_counts.h"

#include <filesystem>
#include <memory>

#include "tests/fuzz/require.h"
#include "tests/text_io/compress.h"
#include "text_io/byte_source.h"
#include "trainer/counting/count_text.h"
#include "trainer/counting/suffix_links.h"
#include "trainer/counting/trie_files.h"

namespace lmserve {
namespace {

constexpr char kText[] = "a b c a b\nb c a\na a a a\n\nc b a b c a b d\nd\n";

std::unique_ptr<WorkDirectory> NewWork(const TemporaryDirectory& parent) {
  return WorkDirectory::Open(parent.path(), "work", /*resume=*/false).value();
}

// Returns the files as pieces; those that do not exist are empty.
std::vector<std::string> ReadWork(CountsInput kind, const WorkDirectory& work) {
  std::vector<std::string> pieces;
  for (const std::string& name : WorkFiles(kind)) {
    pieces.push_back(ReadAllBytes(work.File(name)).value_or(""));
  }
  return pieces;
}

// A directory cannot be replaced by a file, so the stage that writes the file
// fails.
void Obstruct(const std::string& path) {
  std::filesystem::create_directories(path);
}

TrieShape MakeTrie(const std::string& directory, WorkDirectory& work) {
  return WriteTrie(directory, ReadCountsManifest(directory).value(), nullptr,
                   work)
      .value();
}

}  // namespace

const FuzzCounts& FuzzCounts::Get() {
  static const FuzzCounts counts;
  return counts;
}

FuzzCounts::FuzzCounts() : directory_(files_.File("counts")) {
  WriteBytes(files_.File("text"), kText);
  count_.corpus = files_.File("text");
  count_.order = 4;
  count_.threads = 1;
  count_.memory = 1 << 20;
  merge_.inputs = {directory_, directory_};
  merge_.memory = 1 << 20;
  RequireOk(CountText(count_, *NewWork(files_), directory_),
            "a text can be counted");
}

void FuzzCounts::CopyWords(const std::string& output) const {
  std::filesystem::create_directories(output);
  std::filesystem::copy_file(directory_ + "/words", output + "/words");
}

std::vector<std::string> FuzzCounts::LinkedTrie() const {
  const auto work = NewWork(files_);
  const TrieShape shape = MakeTrie(directory_, *work);
  RequireOk(LinkSuffixes(shape, 1 << 20, 1, nullptr, *work),
            "a trie can be linked");
  return ReadWork(CountsInput::kTrie, *work);
}

std::vector<std::string> FuzzCounts::UnlinkedTrie() const {
  const auto work = NewWork(files_);
  MakeTrie(directory_, *work);
  return ReadWork(CountsInput::kTrie, *work);
}

std::vector<std::string> FuzzCounts::SpilledMerge() const {
  const auto work = NewWork(files_);
  const std::string output = work->File("output");
  Obstruct(output + "/part-00000");
  Require(!MergeCounts(merge_, *work, output).ok(), "sorting fails");
  return ReadWork(CountsInput::kMerge, *work);
}

std::vector<std::string> FuzzCounts::ReadText() const {
  const auto work = NewWork(files_);
  Obstruct(work->File("spill-0"));
  Require(!CountText(count_, *work, work->File("output")).ok(),
          "spilling fails");
  std::filesystem::remove(work->File("spill-0"));
  return ReadWork(CountsInput::kCount, *work);
}

std::vector<std::string> FuzzCounts::SpilledText() const {
  const auto work = NewWork(files_);
  const std::string output = work->File("output");
  Obstruct(output + "/part-00000");
  Require(!CountText(count_, *work, output).ok(), "sorting fails");
  return ReadWork(CountsInput::kCount, *work);
}

}  // namespace lmserve
