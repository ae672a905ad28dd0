// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_OTLP_SENDER_H_
#define LMSERVE_SERVER_RPC_OTLP_SENDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/telemetry/span_exporter.h"

namespace lmserve {

struct OtlpOptions {
  std::string endpoint;  // HOST:PORT, [IPV6]:PORT or unix:PATH
  // Whether the connection is encrypted, and a PEM file of root certificates to
  // trust, instead of those of the system, if it is not empty.
  bool tls = false;
  std::string tls_ca = {};
  std::string service_name = "lm_server";
  std::string service_version = "unknown";
};

// Returns a sender of spans to a collector by OTLP over gRPC. Connects when it
// sends first. Returns INVALID_ARGUMENT if the file of TLS cannot be read or
// has no certificate. It is read once.
absl::StatusOr<std::unique_ptr<SpanSender>> MakeOtlpSender(
    const OtlpOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_OTLP_SENDER_H_
