#ifndef LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_
#define LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// A text as it stands in XML, whatever its bytes are: markup is escaped, and
// U+FFFD stands for what is no UTF-8 or no character of XML. A text of more
// characters than at_most loses some in the middle. REQUIRES: at_most >= 1.
std::string XmlText(absl::string_view text, size_t at_most = 1000);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_TEXT_H_
