// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/level_sections.h"

#include "models/ngram/compact/rank_trie.h"

namespace lmserve {

absl::StatusOr<LevelSectionBytes> MemoryLevelSections::Finish() {
  LevelSectionBytes views;
  for (int i = 0; i < kLevelSections; ++i) {
    const size_t size = sections_[i].size();
    sections_[i].append(kSectionPadding, 0);
    views[i] = absl::string_view(sections_[i]).substr(0, size);
  }
  return views;
}

}  // namespace lmserve
