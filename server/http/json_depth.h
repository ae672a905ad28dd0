// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_JSON_DEPTH_H_
#define LMSERVE_SERVER_HTTP_JSON_DEPTH_H_

#include "absl/strings/string_view.h"

namespace lmserve {

// Whether arrays and objects are nested more than `levels` deep. Parsers take
// many bytes for each level. Text that is not valid JSON may have any result.
bool JsonIsDeeperThan(int levels, absl::string_view json);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_JSON_DEPTH_H_
