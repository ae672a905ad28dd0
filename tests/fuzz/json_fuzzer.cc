// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes messages in JSON, and compares with protobuf's own conversion. The
// first byte of the input selects a type, the rest is the JSON.

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "server/http/json_format.h"
#include "tests/fuzz/require.h"
#include "tests/server/http/json_reference.h"
#include "tests/server/http/json_types.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

// The type of an input, and what knows it.
struct FuzzedType {
  std::unique_ptr<Message> NewMessage() const {
    return std::unique_ptr<Message>(prototype->New());
  }

  const Message* prototype;
  const JsonReference* reference;
};

// A type with fields of all kinds, or one of the API's.
FuzzedType TypeOf(uint8_t first_byte) {
  static JsonTypes* const types = new JsonTypes;  // NOLINT: never destroyed
  static const Message* const all = types->NewMessage().release();
  static const auto* const reference_of_all = new JsonReference(types->pool());
  static const auto* const reference = new JsonReference;
  const auto* const file = lm::v1::ScoreRequest::descriptor()->file();
  const int i = first_byte % (file->message_type_count() + 1);
  if (i == 0) return {all, reference_of_all};
  return {google::protobuf::MessageFactory::generated_factory()->GetPrototype(
              file->message_type(i - 1)),
          reference};
}

bool AreEqual(const Message& a, const Message& b) {
  MessageDifferencer differencer;
  // The reference rounds a float twice, and loses the sign of zero.
  differencer.set_float_comparison(MessageDifferencer::APPROXIMATE);
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_float_comparison(
      google::protobuf::util::DefaultFieldComparator::APPROXIMATE);
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  return differencer.Compare(a, b);
}

// Whether the reference may accept what this error refuses. It reads numbers in
// strings in more forms, such as "007".
bool IsStricter(absl::string_view json, absl::string_view error) {
  if (!nlohmann::json::accept(json.begin(), json.end())) return true;
  const absl::string_view reasons[] = {"the field has two values",
                                       "expected each key once",
                                       "found null",
                                       ", found \"",
                                       "found an array",
                                       "found an object",
                                       "nested too deeply",
                                       "that fits 32 bits"};
  return std::any_of(std::begin(reasons), std::end(reasons),
                     [&](absl::string_view reason) {
                       return absl::StrContains(error, reason);
                     });
}

// Whether there are so many digits in a row that a double may lack some. The
// reference reads integers with a fraction or an exponent as doubles.
bool HasLongNumber(absl::string_view json) {
  size_t digits = 0;
  for (const char c : json) {
    digits = absl::ascii_isdigit(c) || c == '.' ? digits + 1 : 0;
    if (digits > 15) return true;
  }
  return false;
}

void CheckPrinted(const FuzzedType& type, const Message& message) {
  const JsonFormat format;
  std::string json, wire;
  format.Append(message, &json);
  Require(json.size() <= JsonFormat::MaxBytes(message), "MaxBytes is enough");
  Require(nlohmann::json::accept(json), "what is printed is valid JSON");
  const auto read = type.NewMessage();
  Require(format.ToWire(*message.GetDescriptor(), json, &wire).ok() &&
              read->ParseFromString(wire),
          "what is printed can be read");
  Require(
      read->SerializeAsString().size() == message.SerializeAsString().size() &&
          AreEqual(*read, message),
      "what is printed is the message");
  Require(type.reference->Parse(*message.GetDescriptor(), json, &wire) &&
              read->ParseFromString(wire) && AreEqual(*read, message),
          "the reference reads the same");
}

void Run(absl::string_view input) {
  if (input.empty()) return;
  const FuzzedType type = TypeOf(static_cast<uint8_t>(input[0]));
  const absl::string_view json = input.substr(1);
  const auto& descriptor = *type.prototype->GetDescriptor();
  std::string wire, expected_wire;
  const absl::Status status = JsonFormat().ToWire(descriptor, json, &wire);
  const bool expected_ok =
      type.reference->Parse(descriptor, json, &expected_wire);
  if (!status.ok()) {
    Require(absl::IsInvalidArgument(status) &&
                absl::StrContains(status.message(), " at byte "),
            "an error has a position");
    Require(!expected_ok || IsStricter(json, status.message()),
            "what the reference accepts is refused for a reason");
    return;
  }
  Require(nlohmann::json::accept(json.begin(), json.end()),
          "only valid JSON is accepted");
  Require(wire.size() <= 4 * json.size(), "the wire format is not too long");
  const auto message = type.NewMessage();
  Require(message->ParseFromString(wire), "the result is a message");
  CheckPrinted(type, *message);
  if (expected_ok && !HasLongNumber(json)) {
    const auto expected = type.NewMessage();
    Require(expected->ParseFromString(expected_wire) &&
                AreEqual(*message, *expected),
            "both read the same");
  }
}

}  // namespace
}  // namespace lmserve

// Sometimes begins with a new message.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::mt19937 random(seed);
  if (size > 0 && random() % 8 == 0) {
    const auto message = lmserve::TypeOf(data[0]).NewMessage();
    lmserve::FillRandomly(random, message.get());
    std::string json;
    lmserve::JsonFormat().Append(*message, &json);
    if (json.size() + 1 <= max_size) {
      std::copy(json.begin(), json.end(), data + 1);
      size = json.size() + 1;
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
