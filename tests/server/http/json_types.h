// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HTTP_JSON_TYPES_H_
#define LMSERVE_TESTS_SERVER_HTTP_JSON_TYPES_H_

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <string>

namespace lmserve {

// The message type json.All, which has fields of every type:
//
//   enum Color { RED = 0; GREEN = 1; BLUE = -2; A_COLOR_WITH_A_LONG_NAME = 3; }
//   message All {
//     int32 i32 = 1; sint32 s32 = 2; ... Color color = 16; All child = 17;
//     repeated int32 i32s = 21; ... repeated All children = 37;
//     repeated uint32 not_packed = 38 [packed = false];
//     map<string, int64> by_name = 41; map<int32, All> by_number = 42;
//     map<bool, Color> by_bool = 43; map<uint64, string> by_big = 44;
//     map<sint64, double> by_signed = 45;
//     oneof choice { int32 one = 51; string two = 52; All three = 53; }
//     optional int32 maybe = 61; optional string maybe_text = 62;
//     int32 two_words2 = 71;
//     int32 has_json_name = 72 [json_name = "renamed-field"];
//     int32 last = 2000;
//   }
class JsonTypes {
 public:
  JsonTypes() {
    google::protobuf::FileDescriptorProto file;
    file.set_name("json.proto");
    file.set_package("json");
    file.set_syntax("proto3");
    google::protobuf::EnumDescriptorProto& color = *file.add_enum_type();
    color.set_name("Color");
    const struct {
      const char* name;
      int number;
    } colors[] = {{"RED", 0},
                  {"GREEN", 1},
                  {"BLUE", -2},
                  {"A_COLOR_WITH_A_LONG_NAME", 3}};
    for (const auto& [name, number] : colors) {
      color.add_value()->set_name(name);
      color.mutable_value()->rbegin()->set_number(number);
    }
    google::protobuf::DescriptorProto& all = *file.add_message_type();
    all.set_name("All");
    all.add_oneof_decl()->set_name("choice");
    const struct {
      const char *name, *list;
      Field::Type type;
    } kinds[] = {{"i32", "i32s", Field::TYPE_INT32},
                 {"s32", "s32s", Field::TYPE_SINT32},
                 {"sf32", "sf32s", Field::TYPE_SFIXED32},
                 {"u32", "u32s", Field::TYPE_UINT32},
                 {"f32", "f32s", Field::TYPE_FIXED32},
                 {"i64", "i64s", Field::TYPE_INT64},
                 {"s64", "s64s", Field::TYPE_SINT64},
                 {"sf64", "sf64s", Field::TYPE_SFIXED64},
                 {"u64", "u64s", Field::TYPE_UINT64},
                 {"f64", "f64s", Field::TYPE_FIXED64},
                 {"f", "fs", Field::TYPE_FLOAT},
                 {"d", "ds", Field::TYPE_DOUBLE},
                 {"b", "bs", Field::TYPE_BOOL},
                 {"s", "ss", Field::TYPE_STRING},
                 {"y", "ys", Field::TYPE_BYTES},
                 {"color", "colors", Field::TYPE_ENUM},
                 {"child", "children", Field::TYPE_MESSAGE}};
    int number = 0;
    for (const auto& [name, list, type] : kinds) {
      ++number;
      AddField(name, number, type, &all);
      AddField(list, number + 20, type, &all)->set_label(Field::LABEL_REPEATED);
    }
    Field* const not_packed =
        AddField("not_packed", 38, Field::TYPE_UINT32, &all);
    not_packed->set_label(Field::LABEL_REPEATED);
    not_packed->mutable_options()->set_packed(false);
    AddMap("by_name", "ByNameEntry", 41, Field::TYPE_STRING, Field::TYPE_INT64,
           &all);
    AddMap("by_number", "ByNumberEntry", 42, Field::TYPE_INT32,
           Field::TYPE_MESSAGE, &all);
    AddMap("by_bool", "ByBoolEntry", 43, Field::TYPE_BOOL, Field::TYPE_ENUM,
           &all);
    AddMap("by_big", "ByBigEntry", 44, Field::TYPE_UINT64, Field::TYPE_STRING,
           &all);
    AddMap("by_signed", "BySignedEntry", 45, Field::TYPE_SINT64,
           Field::TYPE_DOUBLE, &all);
    AddField("one", 51, Field::TYPE_INT32, &all)->set_oneof_index(0);
    AddField("two", 52, Field::TYPE_STRING, &all)->set_oneof_index(0);
    AddField("three", 53, Field::TYPE_MESSAGE, &all)->set_oneof_index(0);
    AddOptional("maybe", 61, Field::TYPE_INT32, &all);
    AddOptional("maybe_text", 62, Field::TYPE_STRING, &all);
    AddField("two_words2", 71, Field::TYPE_INT32, &all);
    AddField("has_json_name", 72, Field::TYPE_INT32, &all)
        ->set_json_name("renamed-field");
    AddField("last", 2000, Field::TYPE_INT32, &all);
    all_ = pool_.BuildFile(file)->FindMessageTypeByName("All");
  }

  const google::protobuf::DescriptorPool* pool() const { return &pool_; }
  const google::protobuf::Descriptor& all() const { return *all_; }
  std::unique_ptr<google::protobuf::Message> NewMessage() {
    return std::unique_ptr<google::protobuf::Message>(
        factory_.GetPrototype(all_)->New());
  }

 private:
  using Field = google::protobuf::FieldDescriptorProto;

  static Field* AddField(const std::string& name, int number, Field::Type type,
                         google::protobuf::DescriptorProto* to) {
    Field* const field = to->add_field();
    field->set_name(name);
    field->set_number(number);
    field->set_type(type);
    field->set_label(Field::LABEL_OPTIONAL);
    if (type == Field::TYPE_MESSAGE) field->set_type_name(".json.All");
    if (type == Field::TYPE_ENUM) field->set_type_name(".json.Color");
    return field;
  }

  static void AddMap(const std::string& name, const std::string& entry_name,
                     int number, Field::Type key, Field::Type value,
                     google::protobuf::DescriptorProto* to) {
    google::protobuf::DescriptorProto& entry = *to->add_nested_type();
    entry.set_name(entry_name);
    entry.mutable_options()->set_map_entry(true);
    AddField("key", 1, key, &entry);
    AddField("value", 2, value, &entry);
    Field* const field = AddField(name, number, Field::TYPE_MESSAGE, to);
    field->set_type_name(".json.All." + entry_name);
    field->set_label(Field::LABEL_REPEATED);
  }

  static void AddOptional(const std::string& name, int number, Field::Type type,
                          google::protobuf::DescriptorProto* to) {
    Field* const field = AddField(name, number, type, to);
    field->set_proto3_optional(true);
    field->set_oneof_index(to->oneof_decl_size());
    to->add_oneof_decl()->set_name("_" + name);
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
  const google::protobuf::Descriptor* all_;
};

// Sets a random part of the fields of a message to random values.
inline void FillRandomly(std::mt19937& random,
                         google::protobuf::Message* message, int depth = 0) {
  using google::protobuf::FieldDescriptor;
  constexpr int kMaxDepth = 4;
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  const google::protobuf::Descriptor& type = *message->GetDescriptor();
  const auto text = [&] {
    constexpr const char* kParts[] = {"a",    "<unk>", "\"", "\\", "\n", "\x01",
                                      "\x7f", "é",     "€",  "😀",  " ",  "/"};
    std::string result;
    for (unsigned i = random() % 8; i > 0; --i) {
      result += kParts[random() % std::size(kParts)];
    }
    return result;
  };
  const auto bits = [&] {
    return (uint64_t{random()} << 32 | random()) >> random() % 64;
  };
  const auto number = [&] {
    double value;
    const uint64_t random_bits = uint64_t{random()} << 32 | random();
    std::memcpy(&value, &random_bits, sizeof(value));
    switch (random() % 6) {
      case 0:
        return -std::numeric_limits<double>::infinity();
      case 1:
        return static_cast<double>(random() % 100);
      case 2:
        return -static_cast<double>(random()) / 1e9;
      default:
        // A NaN has many forms.
        return std::isnan(value) ? 0.5 : value;
    }
  };
  const bool is_entry = type.options().map_entry();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* const field = type.field(i);
    const bool is_message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_entry &&
        (random() % 3 != 0 || (is_message && depth >= kMaxDepth))) {
      continue;
    }
    if (field->is_repeated()) {
      // Two entries of a map could have the same key.
      for (unsigned j = field->is_map() ? 1 : random() % 5; j > 0; --j) {
        const bool all_bits = random() % 4 == 0;
        switch (field->cpp_type()) {
          case FieldDescriptor::CPPTYPE_INT32:
            reflection.AddInt32(message, field, static_cast<int32_t>(bits()));
            break;
          case FieldDescriptor::CPPTYPE_UINT32:
            reflection.AddUInt32(message, field, static_cast<uint32_t>(bits()));
            break;
          case FieldDescriptor::CPPTYPE_INT64:
            reflection.AddInt64(message, field, static_cast<int64_t>(bits()));
            break;
          case FieldDescriptor::CPPTYPE_UINT64:
            reflection.AddUInt64(message, field, bits());
            break;
          case FieldDescriptor::CPPTYPE_FLOAT:
            reflection.AddFloat(message, field,
                                static_cast<float>(number()) + 0.0F);
            break;
          case FieldDescriptor::CPPTYPE_DOUBLE:
            reflection.AddDouble(message, field, number());
            break;
          case FieldDescriptor::CPPTYPE_BOOL:
            reflection.AddBool(message, field, random() % 2 == 0);
            break;
          case FieldDescriptor::CPPTYPE_ENUM:
            reflection.AddEnumValue(message, field,
                                    all_bits ? static_cast<int>(bits())
                                             : static_cast<int>(random() % 4));
            break;
          case FieldDescriptor::CPPTYPE_STRING:
            reflection.AddString(message, field, text());
            break;
          case FieldDescriptor::CPPTYPE_MESSAGE:
            FillRandomly(random, reflection.AddMessage(message, field),
                         depth + 1);
            break;
        }
      }
      continue;
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        reflection.SetInt32(message, field, static_cast<int32_t>(bits()));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        reflection.SetUInt32(message, field, static_cast<uint32_t>(bits()));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        reflection.SetInt64(message, field, static_cast<int64_t>(bits()));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        reflection.SetUInt64(message, field, bits());
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        reflection.SetFloat(message, field,
                            static_cast<float>(number()) + 0.0F);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        reflection.SetDouble(message, field, number());
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        reflection.SetBool(message, field, random() % 2 == 0);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        reflection.SetEnumValue(message, field, static_cast<int>(random() % 4));
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        reflection.SetString(message, field, text());
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        FillRandomly(random, reflection.MutableMessage(message, field),
                     depth + 1);
        break;
    }
  }
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HTTP_JSON_TYPES_H_
