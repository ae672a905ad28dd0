// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_BENCH_HTTP_LOAD_H_
#define LMSERVE_TESTS_BENCH_HTTP_LOAD_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/bench/load_clients.h"

namespace lmserve {

// Returns a POST request of HTTP/1.1 with a body in JSON.
std::string HttpPost(absl::string_view path, absl::string_view body,
                     absl::string_view accept = "application/json");

// Closed loop over HTTP/1.1: keeps `concurrency` requests in progress, each on
// a kept connection of its own, from a single thread. `requests` are sent in
// turn. Connections that the server closes are replaced. A response counts as a
// call with the gRPC code that belongs to its code, and each occurrence of
// `word` in its body, unless that is empty, as work. REQUIRES: the server
// listens on `address`, HOST:PORT with a numeric host; the program ends if it
// does not.
void RunHttp(const std::string& address,
             const std::vector<std::string>& requests, size_t concurrency,
             absl::string_view word, std::chrono::duration<double> time,
             LoadResult* result);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_BENCH_HTTP_LOAD_H_
