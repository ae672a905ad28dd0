// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_MARKER_IDS_H_
#define LMSERVE_TRAINER_TEXT_MARKER_IDS_H_

#include "models/vocabulary.h"

namespace lmserve {

// The ids of <unk>, <s> and </s> in every vocabulary that is made of a text.
// All other words have larger ids.
inline constexpr WordId kUnknownId = 0;
inline constexpr WordId kBeginId = 1;
inline constexpr WordId kEndId = 2;
inline constexpr WordId kMarkerIds = 3;

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_MARKER_IDS_H_
