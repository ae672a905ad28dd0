// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/count_sections.h"

#include "models/ngram/count_trie.h"

namespace lmserve {

absl::StatusOr<CountSectionBytes> MemoryCountSections::Finish() {
  CountSectionBytes views;
  for (int i = 0; i < kCountSections; ++i) {
    const size_t size = sections_[i].size();
    sections_[i].append(kSectionPadding, 0);
    views[i] = absl::string_view(sections_[i]).substr(0, size);
  }
  return views;
}

}  // namespace lmserve
