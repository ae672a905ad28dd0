// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_BROKEN_FILE_H_
#define LMSERVE_MODELS_NGRAM_BROKEN_FILE_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the error for a wrong value at an offset of ngram.bin.
template <typename Offset, typename Expected, typename Found>
absl::Status BrokenNgramFile(Offset offset, absl::string_view what,
                             Expected expected, Found found) {
  return absl::InvalidArgumentError(absl::StrCat("ngram.bin at byte ", offset,
                                                 ": ", what, ": expected ",
                                                 expected, ", found ", found));
}

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_BROKEN_FILE_H_
