// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_CHECK_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/ngram/broken_file.h"
#include "models/ngram/compact/rank_trie.h"

namespace lmserve {

// Finds the sections of a file by their offsets.
class Sections {
 public:
  explicit Sections(absl::string_view file) : file_(file) {}

  // Returns `count` values at an offset, or an error that names the field,
  // which is itself at the offset `field`.
  template <typename T>
  absl::StatusOr<const T*> Find(uint64_t field, absl::string_view what,
                                uint64_t at, uint64_t count) const {
    if (at % alignof(uint64_t) != 0 || at > file_.size() ||
        file_.size() - at < kSectionPadding ||
        (file_.size() - at - kSectionPadding) / sizeof(T) < count) {
      return BrokenNgramFile(
          field, absl::StrCat("offset of the ", what),
          absl::StrCat("a multiple of 8 with ", count, " times ", sizeof(T),
                       " and ", kSectionPadding, " bytes in the file"),
          at);
    }
    return reinterpret_cast<const T*>(file_.data() + at);
  }

 private:
  const absl::string_view file_;
};

// What is known of a level before its record is read.
struct LevelPlace {
  int order;           // of the contexts
  uint64_t record_at;  // offset of the record in the file
  uint64_t contexts;
  WordId vocabulary_size;
  WordId begin_sentence;
};

// Checks the parameters of a smoothing at an offset of the file.
absl::Status CheckSmoothing(const CountSmoothing& smoothing, uint64_t offset);

// Finds the sections of a level and checks every byte of them, as
// CountTrie::Parse() says.
absl::StatusOr<RankLevel> ParseRankLevel(absl::string_view file,
                                         const RankLevelRecord& record,
                                         const LevelPlace& place);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_CHECK_H_
