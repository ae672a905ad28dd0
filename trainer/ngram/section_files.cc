// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/section_files.h"

#include "absl/strings/str_cat.h"
#include "models/ngram/compact/count_trie.h"

namespace lmserve {
namespace {

// By LevelSection.
constexpr std::array<absl::string_view, kLevelSections> kNames = {
    "directory",   "bases",      "blocks", "larges",
    "large-bases", "large-data", "listed"};

constexpr size_t kSectionBufferBytes = 64 << 10;

}  // namespace

std::vector<std::string> SectionFiles::Names(const std::string& prefix) {
  std::vector<std::string> names;
  names.reserve(kNames.size());
  for (absl::string_view name : kNames) {
    names.push_back(absl::StrCat(prefix, "-", name));
  }
  return names;
}

absl::StatusOr<std::unique_ptr<SectionFiles>> SectionFiles::Create(
    const WorkDirectory& work, const std::string& prefix) {
  std::unique_ptr<SectionFiles> sections(new SectionFiles(work, prefix));
  const std::vector<std::string> names = Names(prefix);
  for (int i = 0; i < kLevelSections; ++i) {
    auto writer = ByteWriter::Create(work.File(names[i]), /*hashed=*/false,
                                     kSectionBufferBytes);
    if (!writer.ok()) return writer.status();
    sections->writers_[i] = *std::move(writer);
  }
  return sections;
}

absl::StatusOr<std::unique_ptr<SectionFiles>> SectionFiles::Open(
    const WorkDirectory& work, const std::string& prefix) {
  for (const std::string& name : Names(prefix)) {
    absl::Status status = work.CheckFile(name);
    if (!status.ok()) return status;
  }
  return std::unique_ptr<SectionFiles>(new SectionFiles(work, prefix));
}

absl::StatusOr<LevelSectionBytes> SectionFiles::Finish() {
  const std::string padding(kSectionPadding, '\0');
  const std::vector<std::string> names = Names(prefix_);
  LevelSectionBytes views;
  for (int i = 0; i < kLevelSections; ++i) {
    if (writers_[i] != nullptr) {
      writers_[i]->Write(padding);
      absl::Status status = writers_[i]->Close();
      if (!status.ok()) return status;
      writers_[i] = nullptr;
    }
    absl::StatusOr<MappedFile> file = MappedFile::Open(work_.File(names[i]));
    if (!file.ok()) return file.status();
    files_[i] = *std::move(file);
    views[i] = files_[i].bytes();
    views[i].remove_suffix(kSectionPadding);
  }
  return views;
}

}  // namespace lmserve
