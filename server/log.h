// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_LOG_H_
#define LMSERVE_SERVER_LOG_H_

#include <string>

namespace lmserve {

// Makes spdlog's default logger write to standard error, and sends the messages
// of gRPC and protobuf to it. `format` is text or json; json writes one object
// per line, with time, level and message. `level` is debug, info, warning or
// error. To be called once, before other threads log.
void SetUpLog(const std::string& format, const std::string& level);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_LOG_H_
