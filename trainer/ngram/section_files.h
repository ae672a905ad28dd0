// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_SECTION_FILES_H_
#define LMSERVE_TRAINER_NGRAM_SECTION_FILES_H_

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/mapped_file.h"
#include "models/ngram/compact/level_sections.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// The sections of a level of the compact layout in files of a work directory.
// They are written as a stream, and mapped when they are complete. Not
// thread-safe.
class SectionFiles final : public LevelSections {
 public:
  // Creates the files of a level, whose names begin with `prefix`.
  static absl::StatusOr<std::unique_ptr<SectionFiles>> Create(
      const WorkDirectory& work, const std::string& prefix);

  // Opens the files of a level that is complete, for Finish() alone. DATA_LOSS
  // if one is missing or has another size than the journal says.
  static absl::StatusOr<std::unique_ptr<SectionFiles>> Open(
      const WorkDirectory& work, const std::string& prefix);

  // The names of the files.
  static std::vector<std::string> Names(const std::string& prefix);

  void Append(LevelSection section, absl::string_view bytes) override {
    writers_[static_cast<int>(section)]->Write(bytes);
  }
  absl::StatusOr<LevelSectionBytes> Finish() override;

 private:
  SectionFiles(const WorkDirectory& work, std::string prefix)
      : work_(work), prefix_(std::move(prefix)) {}

  const WorkDirectory& work_;
  const std::string prefix_;
  // Null when the files are complete.
  std::array<std::unique_ptr<ByteWriter>, kLevelSections> writers_;
  std::array<MappedFile, kLevelSections> files_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_SECTION_FILES_H_
