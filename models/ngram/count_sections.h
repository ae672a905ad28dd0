// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COUNT_SECTIONS_H_
#define LMSERVE_MODELS_NGRAM_COUNT_SECTIONS_H_

#include <array>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The sections of a level of the compact layout, which grow side by side; see
// CountLevelRecord. kListed is not part of the file: see ListedContext.
enum class CountSection {
  kDirectory,
  kBases,
  kBlocks,
  kLarges,
  kLargeBases,
  kLargeData,
  kListed,
};
inline constexpr int kCountSections = 7;

// By CountSection.
using CountSectionBytes = std::array<absl::string_view, kCountSections>;

// Keeps the bytes of the sections while a level is built, and until it is
// written to the file: in memory or in files. Not thread-safe.
class CountSections {
 public:
  virtual ~CountSections() = default;

  // Appends bytes to a section. An error is returned by Finish().
  virtual void Append(CountSection section, absl::string_view bytes) = 0;

  // Ends all sections. Returns views of them, which begin at multiples of 8
  // bytes, are followed by kSectionPadding bytes that may be read, and are
  // valid as long as the object. To be called once, after the last Append().
  virtual absl::StatusOr<CountSectionBytes> Finish() = 0;
};

class MemoryCountSections final : public CountSections {
 public:
  void Append(CountSection section, absl::string_view bytes) override {
    sections_[static_cast<int>(section)].append(bytes.data(), bytes.size());
  }
  absl::StatusOr<CountSectionBytes> Finish() override;

 private:
  std::array<std::string, kCountSections> sections_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COUNT_SECTIONS_H_
