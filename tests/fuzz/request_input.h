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

// Which call the request fuzzer makes: the first byte of its input, less the
// bit below and what is past the last call. The request's bytes follow.
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
};
inline constexpr int kRpcs = 9;

// Set where the bytes come in several pieces.
inline constexpr uint8_t kInPieces = 0x80;

Rpc RpcOf(uint8_t first_byte);

// An empty request of a call.
std::unique_ptr<google::protobuf::Message> NewRequest(Rpc rpc);

std::string JoinRequest(Rpc rpc, const google::protobuf::Message& request);

// The input of the decode fuzzer: the requests of a stream, the length of each
// in two bytes, little-endian, before it. Any bytes can be taken apart.
std::string JoinDecode(absl::Span<const lm::v1::DecodeRequest> requests);
std::vector<lm::v1::DecodeRequest> SplitDecode(absl::string_view input);

// Changes one field of a message, or of a message in it: sets it to a value
// that is likely to matter, adds to it, or clears it.
void MutateMessage(std::minstd_rand& random,
                   google::protobuf::Message* message);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_REQUEST_INPUT_H_
