#ifndef LMSERVE_SERVER_LOG_H_
#define LMSERVE_SERVER_LOG_H_

#include <string>

namespace lmserve {

// Makes spdlog's default logger write to the standard error, as text, or as one
// JSON object a line: time, level, message; what gRPC and protobuf have to say
// goes the same way. The level is debug, info, warning or error.
void SetUpLog(const std::string& format, const std::string& level);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_LOG_H_
