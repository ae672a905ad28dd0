// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_WIRE_FORMAT_H_
#define LMSERVE_SERVER_TRANSPORT_WIRE_FORMAT_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Parsing of messages in protobuf's wire format, with precise errors. The bytes
// may be in several pieces, as a transport has received them.
using Pieces = absl::Span<const absl::string_view>;

// Parses a request. Returns INVALID_ARGUMENT if the bytes are not such a
// message. If a string in it is not UTF-8, the error names the field and the
// byte.
absl::Status ParseMessage(Pieces bytes, google::protobuf::Message* message);

// Estimates the bytes of memory that a message of this type, and the response
// to it, will take, without parsing it. A message with many small parts takes
// many times its length.
uint64_t EstimateMemory(const google::protobuf::Descriptor& type, Pieces bytes);

// Returns the position of the first string in a message that is not UTF-8, such
// as "texts[2].text: invalid UTF-8 at byte 5". Returns an empty string if there
// is none, or if the bytes are not a message.
std::string FindInvalidString(const google::protobuf::Descriptor& type,
                              absl::string_view bytes);

// The number of bytes in all pieces.
uint64_t TotalBytes(Pieces bytes);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_WIRE_FORMAT_H_
