// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_SECTIONS_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_SECTIONS_H_

#include <array>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The sections of a level of the compact layout, which grow side by side; see
// RankLevelRecord. kListed is not part of the file: see ListedContext.
enum class LevelSection {
  kDirectory,
  kBases,
  kBlocks,
  kLarges,
  kLargeBases,
  kLargeData,
  kListed,
};
inline constexpr int kLevelSections = 7;

// By LevelSection.
using LevelSectionBytes = std::array<absl::string_view, kLevelSections>;

// Keeps the bytes of the sections while a level is built, and until it is
// written to the file: in memory or in files. Not thread-safe.
class LevelSections {
 public:
  virtual ~LevelSections() = default;

  // Appends bytes to a section. An error is returned by Finish().
  virtual void Append(LevelSection section, absl::string_view bytes) = 0;

  // Ends all sections. Returns views of them, which begin at multiples of 8
  // bytes, are followed by kSectionPadding bytes that may be read, and are
  // valid as long as the object. To be called once, after the last Append().
  virtual absl::StatusOr<LevelSectionBytes> Finish() = 0;
};

class MemoryLevelSections final : public LevelSections {
 public:
  void Append(LevelSection section, absl::string_view bytes) override {
    sections_[static_cast<int>(section)].append(bytes.data(), bytes.size());
  }
  absl::StatusOr<LevelSectionBytes> Finish() override;

 private:
  std::array<std::string, kLevelSections> sections_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_SECTIONS_H_
