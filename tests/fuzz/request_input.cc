// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/request_input.h"

#include <iterator>
#include <limits>

namespace lmserve {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <typename T>
const T& Pick(std::minstd_rand& random, absl::Span<const T> values) {
  return values[random() % values.size()];
}

std::string String(std::minstd_rand& random, const FieldDescriptor& field) {
  static const std::string models[] = {
      "tiny",   "tiny.words", "kneser-ney", "additive", "stupid", "unigram",
      "tiny@1", "tiny@prod",  "tiny@2",     "none",     "@",      "a/b",
      "de-en",  "en-de",      "mt",         "mt@1",     "tagger", "classifier"};
  static const std::string names[] = {
      "tiny",  "tiny.unknown",     "tiny.words",   "tm",
      "",      "kneser-ney.words", "tiny@1.words", "stupid",
      "en-de", "de-en.words"};
  static const std::string words[] = {
      "the",       "cat",      "is",
      "small",     "dog",      "barks",
      "aa",        "zebra",    "<unk>",
      "<s>",       "</s>",     "",
      "a dog",     "the the",  "the cat is small",
      "\xC2\xA0",  "\t",       std::string(200, 'x'),
      "dog barks", "is small", "die katze ist klein"};
  const bool is_model = field.name() == "model" || field.name() == "models" ||
                        field.name() == "reverse_models" ||
                        field.name() == "reranker" || field.name() == "name" ||
                        field.name() == "alias";
  const absl::Span<const std::string> likely =
      is_model                ? absl::MakeConstSpan(models)
      : field.name() == "key" ? absl::MakeConstSpan(names)
                              : absl::MakeConstSpan(words);
  return Pick(random, random() % 32 == 0 ? absl::MakeConstSpan(words) : likely);
}

double Number(std::minstd_rand& random) {
  using Double = std::numeric_limits<double>;
  static constexpr double kNumbers[] = {0,
                                        1,
                                        -1,
                                        0.5,
                                        2,
                                        0.9,
                                        -0.5,
                                        100,
                                        1e-45,
                                        1e-30,
                                        1e-300,
                                        1e30,
                                        1e308,
                                        -1e308,
                                        0.0001,
                                        Double::infinity(),
                                        -Double::infinity(),
                                        Double::quiet_NaN()};
  return Pick(random, absl::MakeConstSpan(kNumbers));
}

uint64_t Integer(std::minstd_rand& random) {
  static constexpr uint64_t kIntegers[] = {0,
                                           1,
                                           2,
                                           3,
                                           4,
                                           7,
                                           9,
                                           10,
                                           11,
                                           20,
                                           21,
                                           40,
                                           100,
                                           1000000000,
                                           ~uint64_t{0},
                                           uint64_t{1} << 31,
                                           ~uint32_t{0}};
  return Pick(random, absl::MakeConstSpan(kIntegers));
}

// Sets a field, or adds a value to a repeated field.
template <typename Set, typename Add, typename Value>
void Put(Set set, Add add, const Reflection& reflection, Message* message,
         const FieldDescriptor& field, Value value) {
  if (field.is_repeated()) {
    (reflection.*add)(message, &field, std::move(value));
  } else {
    (reflection.*set)(message, &field, std::move(value));
  }
}

void PutValue(std::minstd_rand& random, Message* message,
              const FieldDescriptor& field) {
  const Reflection& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return Put(&Reflection::SetString, &Reflection::AddString, reflection,
                 message, field, String(random, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Put(&Reflection::SetDouble, &Reflection::AddDouble, reflection,
                 message, field, Number(random));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Put(&Reflection::SetFloat, &Reflection::AddFloat, reflection,
                 message, field, static_cast<float>(Number(random)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Put(&Reflection::SetUInt32, &Reflection::AddUInt32, reflection,
                 message, field, static_cast<uint32_t>(Integer(random)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Put(&Reflection::SetUInt64, &Reflection::AddUInt64, reflection,
                 message, field, Integer(random));
    case FieldDescriptor::CPPTYPE_BOOL:
      return Put(&Reflection::SetBool, &Reflection::AddBool, reflection,
                 message, field, random() % 2 == 0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return Put(&Reflection::SetEnumValue, &Reflection::AddEnumValue,
                 reflection, message, field, static_cast<int>(random() % 10));
    default:
      return;  // messages are handled below; there are no other types
  }
}

// Mutates one of the messages of a field or a new one.
void MutateInner(std::minstd_rand& random, Message* message,
                 const FieldDescriptor& field) {
  const Reflection& reflection = *message->GetReflection();
  Message* inner;
  if (!field.is_repeated()) {
    inner = reflection.MutableMessage(message, &field);
  } else {
    const int size = reflection.FieldSize(*message, &field);
    inner = size == 0 || random() % 3 == 0
                ? reflection.AddMessage(message, &field)
                : reflection.MutableRepeatedMessage(message, &field,
                                                    random() % size);
  }
  MutateMessage(random, inner);
}

}  // namespace

Rpc RpcOf(uint8_t first_byte) {
  return static_cast<Rpc>((first_byte & ~kInPieces) % kRpcs);
}

std::unique_ptr<Message> NewRequest(Rpc rpc) {
  switch (rpc) {
    case Rpc::kScore:
      return std::make_unique<lm::v1::ScoreRequest>();
    case Rpc::kPredict:
      return std::make_unique<lm::v1::PredictRequest>();
    case Rpc::kRerank:
      return std::make_unique<lm::v1::RerankRequest>();
    case Rpc::kGenerate:
      return std::make_unique<lm::v1::GenerateRequest>();
    case Rpc::kListModels:
      return std::make_unique<lm::v1::ListModelsRequest>();
    case Rpc::kGetModel:
      return std::make_unique<lm::v1::GetModelRequest>();
    case Rpc::kLoadModel:
      return std::make_unique<lm::v1::LoadModelRequest>();
    case Rpc::kUnloadModel:
      return std::make_unique<lm::v1::UnloadModelRequest>();
    case Rpc::kSetAlias:
      return std::make_unique<lm::v1::SetAliasRequest>();
    case Rpc::kInspect:
      return std::make_unique<lm::v1::InspectRequest>();
    case Rpc::kEmbed:
      return std::make_unique<lm::v1::EmbedRequest>();
    case Rpc::kTag:
      return std::make_unique<lm::v1::TagRequest>();
    case Rpc::kClassify:
      return std::make_unique<lm::v1::ClassifyRequest>();
  }
  return nullptr;
}

std::string JoinRequest(Rpc rpc, const Message& request) {
  return std::string(1, static_cast<char>(rpc)) + request.SerializeAsString();
}

std::string JoinDecode(absl::Span<const lm::v1::DecodeRequest> requests) {
  std::string input;
  for (const lm::v1::DecodeRequest& request : requests) {
    const std::string bytes = request.SerializeAsString();
    input.push_back(static_cast<char>(bytes.size()));
    input.push_back(static_cast<char>(bytes.size() >> 8));
    input += bytes;
  }
  return input;
}

std::vector<lm::v1::DecodeRequest> SplitDecode(absl::string_view input) {
  std::vector<lm::v1::DecodeRequest> requests;
  while (input.size() > 2) {
    const size_t size = static_cast<uint8_t>(input[0]) |
                        static_cast<size_t>(static_cast<uint8_t>(input[1]))
                            << 8;
    const absl::string_view bytes = input.substr(2, size);
    (void)requests.emplace_back().ParseFromArray(
        bytes.data(), static_cast<int>(bytes.size()));
    input.remove_prefix(2 + bytes.size());
  }
  return requests;
}

void MutateMessage(std::minstd_rand& random, Message* message) {
  const auto& type = *message->GetDescriptor();
  if (type.field_count() == 0) return;
  const FieldDescriptor& field = *type.field(random() % type.field_count());
  const Reflection& reflection = *message->GetReflection();
  const uint32_t choice = random() % 12;
  if (choice == 0) {
    reflection.ClearField(message, &field);
  } else if (choice == 1 && field.is_repeated() &&
             reflection.FieldSize(*message, &field) > 0) {
    reflection.RemoveLast(message, &field);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    MutateInner(random, message, field);
  } else {
    PutValue(random, message, field);
  }
}

}  // namespace lmserve
