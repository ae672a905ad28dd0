// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_printer.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// A byte of the wire format is at most this many of JSON: a character such as
// \u0001 or an element "false,". Names and defaults, which take no bytes in the
// wire format, are counted apart.
constexpr size_t kMaxExpansion = 6;

void AppendQuoted(absl::string_view plain, std::string* json) {
  json->push_back('"');
  json->append(plain.data(), plain.size());
  json->push_back('"');
}

template <typename Integer>
void AppendInteger(Integer value, std::string* json) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  json->append(digits, end);
}

template <typename Integer>
void AppendQuotedInteger(Integer value, std::string* json) {
  json->push_back('"');
  AppendInteger(value, json);
  json->push_back('"');
}

template <typename Float>
void AppendFloat(Float value, std::string* json) {
  if (std::isnan(value)) {
    json->append(R"("NaN")");
  } else if (std::isinf(value)) {
    json->append(value > 0 ? R"("Infinity")" : R"("-Infinity")");
  } else if (value == 0) {
    // Readers may take "-0" for an integer, which has no sign.
    json->append(std::signbit(value) ? "-0.0" : "0");
  } else {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    json->append(digits, end);
  }
}

// The key of an entry of a map. One of the three parts is set.
using MapKey = std::tuple<uint64_t, int64_t, std::string>;

MapKey KeyOf(const Message& entry, const FieldDescriptor& key) {
  const Reflection& reflection = *entry.GetReflection();
  switch (key.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return {0, 0, reflection.GetString(entry, &key)};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {reflection.GetBool(entry, &key), 0, ""};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {reflection.GetUInt32(entry, &key), 0, ""};
    case FieldDescriptor::CPPTYPE_UINT64:
      return {reflection.GetUInt64(entry, &key), 0, ""};
    case FieldDescriptor::CPPTYPE_INT32:
      return {0, reflection.GetInt32(entry, &key), ""};
    default:
      return {0, reflection.GetInt64(entry, &key), ""};
  }
}

// Returns the entries of a map in the order of their keys.
std::vector<std::pair<MapKey, const Message*>> SortedEntries(
    const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->map_key();
  std::vector<std::pair<MapKey, const Message*>> entries;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    entries.emplace_back(KeyOf(entry, key), &entry);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

class Printer {
 public:
  explicit Printer(std::string* json) : json_(*json) {}

  void Print(const Message& message) {
    const Descriptor& type = *message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    json_.push_back('{');
    bool is_first = true;
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.has_presence() && !reflection.HasField(message, &field)) {
        continue;
      }
      if (!is_first) json_.push_back(',');
      is_first = false;
      AppendQuoted(field.json_name(), &json_);
      json_.push_back(':');
      if (field.is_map()) {
        PrintMap(message, field);
      } else if (field.is_repeated()) {
        PrintList(message, reflection, field);
      } else {
        PrintValue(message, reflection, field);
      }
    }
    json_.push_back('}');
  }

 private:
  void PrintValue(const Message& message, const Reflection& reflection,
                  const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return AppendInteger(reflection.GetInt32(message, &field), &json_);
      case FieldDescriptor::CPPTYPE_UINT32:
        return AppendInteger(reflection.GetUInt32(message, &field), &json_);
      case FieldDescriptor::CPPTYPE_INT64:
        return AppendQuotedInteger(reflection.GetInt64(message, &field),
                                   &json_);
      case FieldDescriptor::CPPTYPE_UINT64:
        return AppendQuotedInteger(reflection.GetUInt64(message, &field),
                                   &json_);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return AppendFloat(reflection.GetFloat(message, &field), &json_);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return AppendFloat(reflection.GetDouble(message, &field), &json_);
      case FieldDescriptor::CPPTYPE_BOOL:
        return PrintBool(reflection.GetBool(message, &field));
      case FieldDescriptor::CPPTYPE_ENUM:
        return PrintEnum(field, reflection.GetEnumValue(message, &field));
      case FieldDescriptor::CPPTYPE_STRING:
        return PrintText(
            field, reflection.GetStringReference(message, &field, &scratch_));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Print(reflection.GetMessage(message, &field));
    }
  }

  // Prints an element of a list.
  void PrintElement(const Message& message, const Reflection& reflection,
                    const FieldDescriptor& field, int i) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return AppendInteger(reflection.GetRepeatedInt32(message, &field, i),
                             &json_);
      case FieldDescriptor::CPPTYPE_UINT32:
        return AppendInteger(reflection.GetRepeatedUInt32(message, &field, i),
                             &json_);
      case FieldDescriptor::CPPTYPE_INT64:
        return AppendQuotedInteger(
            reflection.GetRepeatedInt64(message, &field, i), &json_);
      case FieldDescriptor::CPPTYPE_UINT64:
        return AppendQuotedInteger(
            reflection.GetRepeatedUInt64(message, &field, i), &json_);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return AppendFloat(reflection.GetRepeatedFloat(message, &field, i),
                           &json_);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return AppendFloat(reflection.GetRepeatedDouble(message, &field, i),
                           &json_);
      case FieldDescriptor::CPPTYPE_BOOL:
        return PrintBool(reflection.GetRepeatedBool(message, &field, i));
      case FieldDescriptor::CPPTYPE_ENUM:
        return PrintEnum(field,
                         reflection.GetRepeatedEnumValue(message, &field, i));
      case FieldDescriptor::CPPTYPE_STRING:
        return PrintText(field, reflection.GetRepeatedStringReference(
                                    message, &field, i, &scratch_));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Print(reflection.GetRepeatedMessage(message, &field, i));
    }
  }

  void PrintList(const Message& message, const Reflection& reflection,
                 const FieldDescriptor& field) {
    json_.push_back('[');
    const int size = reflection.FieldSize(message, &field);
    for (int i = 0; i < size; ++i) {
      if (i > 0) json_.push_back(',');
      PrintElement(message, reflection, field, i);
    }
    json_.push_back(']');
  }

  void PrintMap(const Message& message, const FieldDescriptor& field) {
    const FieldDescriptor& key = *field.message_type()->map_key();
    const FieldDescriptor& value = *field.message_type()->map_value();
    json_.push_back('{');
    bool is_first = true;
    for (const auto& [sort_key, entry] : SortedEntries(message, field)) {
      if (!is_first) json_.push_back(',');
      is_first = false;
      // Keys are strings in JSON, whatever their type is.
      const size_t begin = json_.size();
      PrintValue(*entry, *entry->GetReflection(), key);
      if (json_[begin] != '"') {
        json_.insert(begin, 1, '"');
        json_.push_back('"');
      }
      json_.push_back(':');
      PrintValue(*entry, *entry->GetReflection(), value);
    }
    json_.push_back('}');
  }

  void PrintBool(bool value) { json_.append(value ? "true" : "false"); }

  void PrintEnum(const FieldDescriptor& field, int number) {
    const EnumValueDescriptor* value =
        field.enum_type()->FindValueByNumber(number);
    if (value == nullptr) {
      AppendInteger(number, &json_);
    } else {
      AppendQuoted(value->name(), &json_);
    }
  }

  void PrintText(const FieldDescriptor& field, const std::string& text) {
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
      AppendQuoted(absl::Base64Escape(text), &json_);
    } else {
      AppendJsonString(text, &json_);
    }
  }

  std::string& json_;
  std::string scratch_;  // for fields whose type has no string
};

size_t LongestName(const FieldDescriptor& field) {
  size_t longest = 0;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    longest = std::max(longest, field.enum_type()->value(i)->name().size());
  }
  return longest;
}

// The most bytes that a message of a type takes besides the values that it has:
// braces, names, separators and defaults.
size_t FixedBytes(const Descriptor& type) {
  constexpr size_t kBraces = 2;
  constexpr size_t kSeparators = 4;  // quotes of the name, colon and comma
  constexpr size_t kDefault = 5;     // false
  size_t bytes = kBraces;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    bytes += field.json_name().size() + kSeparators + kDefault;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      bytes += LongestName(field);
    }
  }
  return bytes;
}

bool HasMessagesOrEnums(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const auto kind = type.field(i)->cpp_type();
    if (kind == FieldDescriptor::CPPTYPE_MESSAGE ||
        kind == FieldDescriptor::CPPTYPE_ENUM) {
      return true;
    }
  }
  return false;
}

// What FixedBytes() are for all messages in this one, and the names of the
// elements of lists of enums.
size_t InnerFixedBytes(const Message& message) {
  constexpr size_t kElement = 3;  // quotes and comma
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  size_t bytes = 0;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool is_message =
        field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
        field.is_repeated()) {
      bytes += static_cast<size_t>(reflection.FieldSize(message, &field)) *
               (LongestName(field) + kElement);
    } else if (is_message && field.is_repeated()) {
      const int size = reflection.FieldSize(message, &field);
      if (size == 0) continue;
      bytes += static_cast<size_t>(size) *
               (FixedBytes(*field.message_type()) + kElement);
      if (!HasMessagesOrEnums(*field.message_type())) continue;
      for (int j = 0; j < size; ++j) {
        bytes +=
            InnerFixedBytes(reflection.GetRepeatedMessage(message, &field, j));
      }
    } else if (is_message && reflection.HasField(message, &field)) {
      const Message& inner = reflection.GetMessage(message, &field);
      bytes += FixedBytes(*field.message_type()) + InnerFixedBytes(inner);
    }
  }
  return bytes;
}

}  // namespace

void AppendJson(const Message& message, std::string* json) {
  Printer(json).Print(message);
}

size_t MaxJsonBytes(const Message& message) {
  return kMaxExpansion * message.ByteSizeLong() +
         FixedBytes(*message.GetDescriptor()) + InnerFixedBytes(message);
}

void AppendJsonFloat(float value, std::string* json) {
  AppendFloat(value, json);
}

void AppendJsonString(absl::string_view text, std::string* json) {
  constexpr char kHex[] = "0123456789abcdef";
  json->push_back('"');
  size_t begin = 0;  // of what is not appended yet
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    json->append(text.data() + begin, i - begin);
    begin = i + 1;
    json->push_back('\\');
    switch (c) {
      case '"':
      case '\\':
        json->push_back(static_cast<char>(c));
        break;
      case '\b':
        json->push_back('b');
        break;
      case '\f':
        json->push_back('f');
        break;
      case '\n':
        json->push_back('n');
        break;
      case '\r':
        json->push_back('r');
        break;
      case '\t':
        json->push_back('t');
        break;
      default:
        json->append("u00");
        json->push_back(kHex[c >> 4]);
        json->push_back(kHex[c & 15]);
    }
  }
  json->append(text.data() + begin, text.size() - begin);
  json->push_back('"');
}

}  // namespace lmserve
