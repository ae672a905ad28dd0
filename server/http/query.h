// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_QUERY_H_
#define LMSERVE_SERVER_HTTP_QUERY_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Decodes the percent-encoding of a URL. Returns nullopt if it is not valid.
std::optional<std::string> PercentDecoded(absl::string_view text);

// Returns the decoded value of a parameter of a query such as "a=1&b=2", or an
// empty string if the query does not have it or it is not valid.
std::string QueryValue(absl::string_view query, absl::string_view name);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_QUERY_H_
