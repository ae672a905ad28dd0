// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_END_TO_END_HTTP_GET_H_
#define LMSERVE_TESTS_END_TO_END_HTTP_GET_H_

#include <string>

#include "tests/testing/process.h"

namespace lmserve {

// Sends a GET request to an HTTP server on 127.0.0.1 and returns its answer, or
// "" if it cannot connect.
std::string HttpGet(int port, const std::string& path);

// Reads the output of a new lm_server up to the port of its metrics. Returns 0
// if it does not print one.
int MetricsPort(Process& server);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_END_TO_END_HTTP_GET_H_
