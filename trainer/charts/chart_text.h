// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_
#define LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns a text as XML. Markup is escaped; invalid UTF-8 and characters that
// XML does not allow are replaced by U+FFFD. If the text has more than at_most
// characters, some in the middle are removed. REQUIRES: at_most >= 1.
std::string XmlText(absl::string_view text, size_t at_most = 1000);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_
