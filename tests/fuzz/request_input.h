// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_REQUEST_INPUT_H_
#define LMSERVE_TESTS_FUZZ_REQUEST_INPUT_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {

// The call that the request fuzzer makes: the first byte of its input without
// kInPieces, modulo kRpcs. The bytes of the request follow.
enum class Rpc : uint8_t {
  kScore,
  kPredict,
  kRerank,
  kGenerate,
  kListModels,
  kGetModel,
  kLoadModel,
  kUnloadModel,
  kSetAlias,
  kInspect,
  kEmbed,
  kTag,
  kClassify,
};
inline constexpr int kRpcs = 13;

// This bit of the first byte splits the request into several pieces.
inline constexpr uint8_t kInPieces = 0x80;

Rpc RpcOf(uint8_t first_byte);

// Returns an empty request of a call.
std::unique_ptr<google::protobuf::Message> NewRequest(Rpc rpc);

std::string JoinRequest(Rpc rpc, const google::protobuf::Message& request);

// Convert between the requests of a stream and the input of the decode fuzzer,
// where each request follows its length (2 bytes, little-endian). Any input can
// be split.
std::string JoinDecode(absl::Span<const lm::v1::DecodeRequest> requests);
std::vector<lm::v1::DecodeRequest> SplitDecode(absl::string_view input);

// Changes one field of a message or of a nested message: sets it to an
// interesting value, adds a value or clears it.
void MutateMessage(std::minstd_rand& random,
                   google::protobuf::Message* message);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_REQUEST_INPUT_H_
