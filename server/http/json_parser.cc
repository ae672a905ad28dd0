// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_parser.h"

#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/printable_text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::internal::WireFormatLite;

// The wire format has at most four times the bytes of the JSON. That of larger
// texts may have positions that do not fit the list of a map's keys.
constexpr size_t kMaxBytes = std::numeric_limits<uint32_t>::max() / 4;

// Text of the client that an error quotes.
constexpr size_t kMaxFoundBytes = 40;

// An integer of up to 64 bits and a sign.
struct SignedInteger {
  bool is_negative = false;
  uint64_t magnitude = 0;
};

enum class IntegerError { kNone, kNoInteger, kTooLarge };

// Returns the value of a number that has a fraction or an exponent. REQUIRES:
// `number` has the form of JSON without its sign.
IntegerError ExactInteger(absl::string_view number, uint64_t* magnitude) {
  constexpr int64_t kManyDigits = int64_t{1} << 40;  // more than any text has
  const size_t e = number.find_first_of("eE");
  absl::string_view mantissa = number.substr(0, e);
  int64_t exponent = 0;
  if (e != number.npos) {
    absl::string_view digits = number.substr(e + 1);
    const bool is_negative = digits[0] == '-';
    if (!absl::ascii_isdigit(digits[0])) digits.remove_prefix(1);
    for (const char digit : digits) {
      exponent = std::min(10 * exponent + (digit - '0'), kManyDigits);
    }
    if (is_negative) exponent = -exponent;
  }
  std::string digits;
  const size_t point = mantissa.find('.');
  if (point == mantissa.npos) {
    digits = std::string(mantissa);
  } else {
    exponent -= static_cast<int64_t>(mantissa.size() - point - 1);
    digits =
        absl::StrCat(mantissa.substr(0, point), mantissa.substr(point + 1));
  }
  digits.erase(0, digits.find_first_not_of('0'));
  if (digits.empty()) {
    *magnitude = 0;
    return IntegerError::kNone;
  }
  const size_t used = digits.find_last_not_of('0') + 1;
  exponent += static_cast<int64_t>(digits.size() - used);
  digits.resize(used);
  if (exponent < 0) return IntegerError::kNoInteger;
  constexpr int64_t kMaxDigits = 20;
  if (static_cast<int64_t>(used) + exponent > kMaxDigits) {
    return IntegerError::kTooLarge;
  }
  digits.append(static_cast<size_t>(exponent), '0');
  return absl::SimpleAtoi(digits, magnitude) ? IntegerError::kNone
                                             : IntegerError::kTooLarge;
}

// REQUIRES: `number` has the form of JSON.
IntegerError ParseInteger(absl::string_view number, SignedInteger* value) {
  value->is_negative = number[0] == '-';
  if (value->is_negative) number.remove_prefix(1);
  constexpr size_t kSafeDigits = 19;  // always less than 2^64
  if (number.size() > kSafeDigits ||
      number.find_first_not_of("0123456789") != number.npos) {
    return ExactInteger(number, &value->magnitude);
  }
  value->magnitude = 0;
  for (const char digit : number) {
    value->magnitude =
        10 * value->magnitude + static_cast<uint64_t>(digit - '0');
  }
  return IntegerError::kNone;
}

// Returns the length of the number at the start of a text, or 0 if there is
// none.
size_t NumberLength(absl::string_view text) {
  size_t i = 0;
  const auto skip_digits = [&] {
    const size_t begin = i;
    while (i < text.size() && absl::ascii_isdigit(text[i])) ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  if (i < text.size() && text[i] == '0') {
    ++i;
  } else if (!skip_digits()) {
    return 0;
  }
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!skip_digits()) return 0;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!skip_digits()) return 0;
  }
  return i;
}

void AppendUtf8(uint32_t character, std::string* text) {
  const auto put = [&](uint32_t byte) {
    text->push_back(static_cast<char>(byte));
  };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | character >> 6);
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | character >> 18);
    put(0x80 | (character >> 12 & 0x3F));
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

// Whether a text is base64 in one of the two alphabets, and its bytes.
bool ParseBase64(absl::string_view text, std::string* bytes) {
  constexpr size_t kBlock = 4;  // characters, of which two may be padding
  for (int i = 0; i < 2 && text.size() % kBlock == (i == 0 ? 0 : kBlock - 1) &&
                  absl::ConsumeSuffix(&text, "=");
       ++i) {
  }
  const auto is_digit = [](char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '/' || c == '-' ||
           c == '_';
  };
  if (!std::all_of(text.begin(), text.end(), is_digit)) return false;
  const bool is_for_urls = text.find_first_of("-_") != text.npos;
  if (is_for_urls && text.find_first_of("+/") != text.npos) return false;
  return is_for_urls ? absl::WebSafeBase64Unescape(text, bytes)
                     : absl::Base64Unescape(text, bytes);
}

// What may be found at a place of the type of a field.
std::string Expected(const FieldDescriptor& field) {
  const auto integer = [](auto lowest, auto highest) {
    return absl::StrCat("an integer from ", lowest, " to ", highest);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return integer(std::numeric_limits<int32_t>::min(),
                     std::numeric_limits<int32_t>::max());
    case FieldDescriptor::CPPTYPE_UINT32:
      return integer(uint32_t{0}, std::numeric_limits<uint32_t>::max());
    case FieldDescriptor::CPPTYPE_INT64:
      return integer(std::numeric_limits<int64_t>::min(),
                     std::numeric_limits<int64_t>::max());
    case FieldDescriptor::CPPTYPE_UINT64:
      return integer(uint64_t{0}, std::numeric_limits<uint64_t>::max());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number that fits 32 bits";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number that fits 64 bits";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("a name of ", field.enum_type()->name());
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? "base64"
                                                         : "a string";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "an object";
  }
  return "";
}

// A set of small numbers.
class NumberSet {
 public:
  explicit NumberSet(int size) : bits_((static_cast<size_t>(size) + 63) / 64) {}

  // Returns whether the number was not in the set.
  bool Add(int number) {
    uint64_t& bits = bits_[static_cast<size_t>(number) / 64];
    const uint64_t bit = uint64_t{1} << (number % 64);
    const bool is_new = (bits & bit) == 0;
    bits |= bit;
    return is_new;
  }

 private:
  absl::InlinedVector<uint64_t, 1> bits_;
};

// A recursive descent over the text, guided by the type. Its functions return
// false after an error, which status() has; the callers of the one that failed
// complete the path.
class Parser {
 public:
  Parser(absl::string_view json, std::string* wire)
      : json_(json), wire_(*wire) {}

  bool ParseAll(const Descriptor& type) {
    if (json_.size() > kMaxBytes) {
      return Fail(0, absl::StrCat("expected at most ", kMaxBytes,
                                  " bytes, found ", json_.size()));
    }
    SkipSpace();
    if (!ParseMessage(type)) return false;
    SkipSpace();
    return at_ == json_.size() || FailHere("the end");
  }

  absl::Status status() const {
    if (problem_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(path_, path_.empty() ? "" : " ", problem_));
  }

 private:
  // Where the wire format of a map has a key, and the text.
  struct PlaceOfKey {
    uint32_t wire, wire_size, json;
  };

  // Errors.

  bool Fail(size_t at, absl::string_view problem) {
    problem_ = absl::StrCat("at byte ", at + 1, ": ", problem);
    return false;
  }

  bool FailAt(size_t at, absl::string_view expected) {
    return Fail(at, absl::StrCat("expected ", expected, ", found ", Found(at)));
  }

  bool FailHere(absl::string_view expected) { return FailAt(at_, expected); }

  // Names what is at a place.
  std::string Found(size_t at) const {
    if (at >= json_.size()) return "the end";
    const absl::string_view rest = json_.substr(at);
    switch (rest[0]) {
      case '{':
        return "an object";
      case '[':
        return "an array";
      case '"': {
        size_t end = 1;
        while (end < rest.size() && rest[end] != '"') {
          end += rest[end] == '\\' ? 2 : 1;
        }
        return Printable(rest.substr(0, end + 1), kMaxFoundBytes);
      }
      default: {
        size_t end = 0;
        while (end < rest.size() &&
               (absl::ascii_isalnum(rest[end]) || rest[end] == '-' ||
                rest[end] == '+' || rest[end] == '.')) {
          ++end;
        }
        if (end > 0) return Printable(rest.substr(0, end), kMaxFoundBytes);
        uint32_t character;
        const size_t size = std::max<size_t>(1, DecodeUtf8(rest, &character));
        return absl::StrCat("'", Printable(rest.substr(0, size)), "'");
      }
    }
  }

  // Puts a step before the path of an error.
  bool FailIn(absl::string_view step) {
    const bool needs_dot = !path_.empty() && path_[0] != '[';
    path_ = absl::StrCat(step, needs_dot ? "." : "", path_);
    return false;
  }

  // Tokens.

  void SkipSpace() {
    while (at_ < json_.size() && (json_[at_] == ' ' || json_[at_] == '\n' ||
                                  json_[at_] == '\r' || json_[at_] == '\t')) {
      ++at_;
    }
  }

  bool IsAt(char c) const { return at_ < json_.size() && json_[at_] == c; }

  // Skips this character, and space around it.
  bool Consume(char c) {
    SkipSpace();
    if (!IsAt(c)) return false;
    ++at_;
    SkipSpace();
    return true;
  }

  bool ConsumeWord(absl::string_view word) {
    if (json_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  // Reads a string. *text is valid until the next one.
  bool ReadString(absl::string_view expected, absl::string_view* text) {
    if (!IsAt('"')) return FailHere(expected);
    const size_t begin = ++at_;
    unsigned char all = 0;
    for (; at_ < json_.size(); ++at_) {
      const auto c = static_cast<unsigned char>(json_[at_]);
      if (c == '"') {
        *text = json_.substr(begin, at_ - begin);
        if (all >= 0x80 && !CheckUtf8(begin, *text)) return false;
        ++at_;
        return true;
      }
      if (c == '\\') {
        scratch_.assign(json_.data() + begin, at_ - begin);
        return ReadEscapedString(begin, text);
      }
      if (c < 0x20) return FailHere("no control character in a string");
      all |= c;
    }
    return FailHere("the end of the string");
  }

  // Continues to read a string at its first escape, after the part that is in
  // scratch_.
  bool ReadEscapedString(size_t begin, absl::string_view* text) {
    while (at_ < json_.size()) {
      const char c = json_[at_];
      if (c == '"') {
        if (!CheckUtf8(begin, json_.substr(begin, at_ - begin))) return false;
        ++at_;
        *text = scratch_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) {
        return FailHere("no control character in a string");
      }
      if (c == '\\') {
        if (!ReadEscape()) return false;
      } else {
        scratch_.push_back(c);
        ++at_;
      }
    }
    return FailHere("the end of the string");
  }

  bool ReadEscape() {
    const size_t begin = at_;
    if (++at_ >= json_.size()) return FailHere("the end of the string");
    constexpr absl::string_view kEscapes = R"("\/bfnrt)";
    constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char c = json_[at_++];
    if (c != 'u') {
      const size_t i = kEscapes.find(c);
      if (i == kEscapes.npos) return Fail(begin, "the escape is not valid");
      scratch_.push_back(kMeanings[i]);
      return true;
    }
    uint32_t character, low;
    if (!ReadHex(&character)) return Fail(begin, "the escape is not valid");
    const auto is_surrogate = [](uint32_t code, uint32_t first) {
      return code >= first && code < first + 0x400;
    };
    constexpr uint32_t kHigh = 0xD800, kLow = 0xDC00;
    if (is_surrogate(character, kHigh)) {
      if (!ConsumeWord("\\u") || !ReadHex(&low) || !is_surrogate(low, kLow)) {
        return Fail(begin, "the escape is half of a pair of surrogates");
      }
      character = 0x10000 + ((character - kHigh) << 10) + (low - kLow);
    } else if (is_surrogate(character, kLow)) {
      return Fail(begin, "the escape is half of a pair of surrogates");
    }
    AppendUtf8(character, &scratch_);
    return true;
  }

  // Reads four digits.
  bool ReadHex(uint32_t* value) {
    constexpr size_t kDigits = 4;
    *value = 0;
    if (json_.size() - at_ < kDigits) return false;
    for (size_t i = 0; i < kDigits; ++i) {
      const char c = absl::ascii_tolower(json_[at_++]);
      if (!absl::ascii_isxdigit(c)) return false;
      *value = *value << 4 |
               static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
  }

  bool CheckUtf8(size_t begin, absl::string_view text) {
    const size_t invalid = FindInvalidUtf8(text);
    if (invalid == text.npos) return true;
    return Fail(begin + invalid,
                absl::StrCat("expected UTF-8, found '",
                             Printable(text.substr(invalid, 1)), "'"));
  }

  // Reads a number or, if `is_quoted`, a string, whose text may be no number.
  bool ReadNumber(absl::string_view expected, absl::string_view* number,
                  bool* is_quoted) {
    *is_quoted = IsAt('"');
    if (*is_quoted) return ReadString(expected, number);
    const size_t size = NumberLength(json_.substr(at_));
    if (size == 0) return FailHere(expected);
    *number = json_.substr(at_, size);
    at_ += size;
    return true;
  }

  // The wire format.

  void PutVarint(uint64_t value) {
    while (value >= 0x80) {
      wire_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    wire_.push_back(static_cast<char>(value));
  }

  template <typename Fixed>
  void PutFixed(Fixed value) {
    // Little endian, as the wire format is.
    wire_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  void PutTag(const FieldDescriptor& field) {
    PutVarint(WireFormatLite::MakeTag(
        field.number(),
        WireFormatLite::WireTypeForFieldType(
            static_cast<WireFormatLite::FieldType>(field.type()))));
  }

  // Begins what is preceded by its length, and returns its place.
  size_t BeginLength(const FieldDescriptor& field) {
    PutVarint(WireFormatLite::MakeTag(
        field.number(), WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
    wire_.push_back(0);
    return wire_.size();
  }

  // Returns by how much the length has moved what comes after it.
  size_t EndLength(size_t begin) {
    size_t length = wire_.size() - begin;
    char bytes[10];
    size_t size = 0;
    while (length >= 0x80) {
      bytes[size++] = static_cast<char>(length | 0x80);
      length >>= 7;
    }
    bytes[size] = static_cast<char>(length);
    wire_[begin - 1] = bytes[0];
    wire_.insert(begin, bytes + 1, size);
    return size;
  }

  // Values.

  bool ParseMessage(const Descriptor& type) {
    if (!IsAt('{')) return FailHere("an object");
    if (!Enter()) return false;
    ++at_;
    SkipSpace();
    if (IsAt('}')) return Leave();
    NumberSet fields(type.field_count()), oneofs(type.oneof_decl_count());
    do {
      const FieldDescriptor* const field = ReadName(type, &fields);
      if (field == nullptr) return false;
      if (!Consume(':')) return FailHere("':'") || FailIn(field->json_name());
      if (!ParseField(*field, &oneofs)) return FailIn(field->json_name());
    } while (Consume(','));
    if (!IsAt('}')) return FailHere("',' or '}'");
    return Leave();
  }

  // Begins an object or an array.
  bool Enter() {
    if (++depth_ <= kMaxJsonDepth) return true;
    return Fail(at_, absl::StrCat("the text is nested too deeply: expected at ",
                                  "most ", kMaxJsonDepth, " levels"));
  }

  // Ends it, at its last character.
  bool Leave() {
    ++at_;
    --depth_;
    return true;
  }

  // Reads the name of a field. Returns null after an error.
  const FieldDescriptor* ReadName(const Descriptor& type, NumberSet* fields) {
    const size_t begin = at_;
    absl::string_view name;
    if (!ReadString("the name of a field", &name)) return nullptr;
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.json_name() != name && field.name() != name) continue;
      if (fields->Add(i)) return &field;
      Fail(begin, "the field has two values");
      FailIn(field.json_name());
      return nullptr;
    }
    Fail(begin, absl::StrCat(type.name(), " has no field ", Found(begin)));
    return nullptr;
  }

  bool ParseField(const FieldDescriptor& field, NumberSet* oneofs) {
    if (ConsumeWord("null")) return true;
    const OneofDescriptor* const oneof = field.containing_oneof();
    if (oneof != nullptr && !oneofs->Add(oneof->index())) {
      return Fail(at_, OneofError(*oneof));
    }
    if (field.is_map()) return ParseMap(field);
    if (field.is_repeated()) return ParseArray(field);
    return ParseTagged(field);
  }

  static std::string OneofError(const OneofDescriptor& oneof) {
    std::vector<absl::string_view> names;
    names.reserve(static_cast<size_t>(oneof.field_count()));
    for (int i = 0; i < oneof.field_count(); ++i) {
      names.push_back(oneof.field(i)->json_name());
    }
    return absl::StrCat("expected only one of ", absl::StrJoin(names, ", "));
  }

  bool ParseArray(const FieldDescriptor& field) {
    if (!IsAt('[')) return FailHere("an array");
    if (!Enter()) return false;
    ++at_;
    SkipSpace();
    if (IsAt(']')) return Leave();
    const bool is_packed = field.is_packed();
    const size_t begin = is_packed ? BeginLength(field) : 0;
    size_t i = 0;
    do {
      const bool ok = is_packed ? ParseValue(field) : ParseTagged(field);
      if (!ok) return FailIn(absl::StrCat("[", i, "]"));
      ++i;
    } while (Consume(','));
    if (is_packed) EndLength(begin);
    if (!IsAt(']')) return FailHere("',' or ']'");
    return Leave();
  }

  bool ParseMap(const FieldDescriptor& field) {
    if (!IsAt('{')) return FailHere("an object");
    if (!Enter()) return false;
    ++at_;
    SkipSpace();
    if (IsAt('}')) return Leave();
    const FieldDescriptor& value = *field.message_type()->map_value();
    std::vector<PlaceOfKey> keys;
    do {
      const size_t name_begin = at_;
      const size_t begin = BeginLength(field);
      if (!ParseKey(*field.message_type()->map_key())) return false;
      const size_t key_end = wire_.size(), name_end = at_;
      const auto fail = [&] {
        return FailIn(absl::StrCat(
            "[",
            Printable(json_.substr(name_begin, name_end - name_begin),
                      kMaxFoundBytes),
            "]"));
      };
      if (!Consume(':')) return FailHere("':'") || fail();
      if (!ParseTagged(value)) return fail();
      const size_t moved = EndLength(begin);
      keys.push_back({static_cast<uint32_t>(begin + moved),
                      static_cast<uint32_t>(key_end - begin),
                      static_cast<uint32_t>(name_begin)});
    } while (Consume(','));
    if (!CheckKeys(&keys)) return false;
    if (!IsAt('}')) return FailHere("',' or '}'");
    return Leave();
  }

  // A key is a string, even if its type is a number or a bool.
  bool ParseKey(const FieldDescriptor& key) {
    if (!IsAt('"')) return FailHere("a key in quotes");
    if (key.cpp_type() != FieldDescriptor::CPPTYPE_BOOL) {
      return ParseTagged(key);
    }
    ++at_;
    if (!ParseTagged(key)) return false;
    if (!IsAt('"')) return FailHere("the end of the string");
    ++at_;
    return true;
  }

  bool CheckKeys(std::vector<PlaceOfKey>* keys) {
    const absl::string_view wire = wire_;
    const auto key = [&](const PlaceOfKey& place) {
      return wire.substr(place.wire, place.wire_size);
    };
    std::sort(keys->begin(), keys->end(),
              [&](const PlaceOfKey& a, const PlaceOfKey& b) {
                const int order = key(a).compare(key(b));
                return order < 0 || (order == 0 && a.json < b.json);
              });
    for (size_t i = 1; i < keys->size(); ++i) {
      const PlaceOfKey& place = (*keys)[i];
      if (key((*keys)[i - 1]) != key(place)) continue;
      return Fail(place.json, absl::StrCat("expected each key once, found ",
                                           Found(place.json), " again"));
    }
    return true;
  }

  bool ParseTagged(const FieldDescriptor& field) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const size_t begin = BeginLength(field);
      if (!ParseMessage(*field.message_type())) return false;
      EndLength(begin);
      return true;
    }
    PutTag(field);
    return ParseValue(field);
  }

  // Parses a value that is no message, and writes it without a tag.
  bool ParseValue(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return ParseIntegerValue(field);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return ParseFloatValue<float>(field);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return ParseFloatValue<double>(field);
      case FieldDescriptor::CPPTYPE_BOOL:
        if (ConsumeWord("true")) {
          PutVarint(1);
        } else if (ConsumeWord("false")) {
          PutVarint(0);
        } else {
          return FailHere(Expected(field));
        }
        return true;
      case FieldDescriptor::CPPTYPE_ENUM:
        return ParseEnumValue(field);
      case FieldDescriptor::CPPTYPE_STRING:
        return ParseStringValue(field);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;  // ParseTagged() parses them
    }
    return false;
  }

  bool ParseStringValue(const FieldDescriptor& field) {
    const size_t begin = at_;
    absl::string_view text;
    if (!ReadString("a string", &text)) return false;
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
      std::string bytes;
      if (!ParseBase64(text, &bytes)) return FailAt(begin, Expected(field));
      PutVarint(bytes.size());
      wire_.append(bytes);
    } else {
      PutVarint(text.size());
      wire_.append(text.data(), text.size());
    }
    return true;
  }

  bool ParseEnumValue(const FieldDescriptor& field) {
    if (!IsAt('"')) return ParseIntegerValue(field);
    const size_t begin = at_;
    absl::string_view name;
    if (!ReadString(Expected(field), &name)) return false;
    const EnumValueDescriptor* const value =
        field.enum_type()->FindValueByName(std::string(name));
    if (value == nullptr) return FailAt(begin, Expected(field));
    PutVarint(static_cast<uint64_t>(int64_t{value->number()}));
    return true;
  }

  template <typename Float>
  bool ParseFloatValue(const FieldDescriptor& field) {
    const size_t begin = at_;
    absl::string_view number;
    bool is_quoted;
    if (!ReadNumber(Expected(field), &number, &is_quoted)) return false;
    Float value;
    if (number == "NaN") {
      value = std::numeric_limits<Float>::quiet_NaN();
    } else if (number == "Infinity") {
      value = std::numeric_limits<Float>::infinity();
    } else if (number == "-Infinity") {
      value = -std::numeric_limits<Float>::infinity();
    } else {
      if (is_quoted &&
          (number.empty() || NumberLength(number) != number.size())) {
        return FailAt(begin, Expected(field));
      }
      const auto result =
          absl::from_chars(number.data(), number.data() + number.size(), value);
      // Numbers that are too small are rounded.
      if (result.ec == std::errc::result_out_of_range &&
          (value > 1 || value < -1)) {
        return FailAt(begin, Expected(field));
      }
    }
    PutFixed(value);
    return true;
  }

  bool ParseIntegerValue(const FieldDescriptor& field) {
    const size_t begin = at_;
    absl::string_view number;
    bool is_quoted;
    const bool ok = ReadNumber("", &number, &is_quoted);
    SignedInteger value;
    if (!ok ||
        (is_quoted &&
         (number.empty() || NumberLength(number) != number.size())) ||
        ParseInteger(number, &value) != IntegerError::kNone ||
        !PutInteger(field, value)) {
      return FailAt(begin, Expected(field));
    }
    return true;
  }

  // Returns false if the type of the field does not have the value.
  bool PutInteger(const FieldDescriptor& field, const SignedInteger& value) {
    const bool is_unsigned =
        field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
        field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    const bool is_long = field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
                         field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    uint64_t most = std::numeric_limits<uint64_t>::max();
    if (!is_long) most >>= 32;
    if (!is_unsigned) most >>= 1;
    if (value.is_negative) most = is_unsigned ? 0 : most + 1;
    if (value.magnitude > most) return false;
    const uint64_t bits =
        value.is_negative ? uint64_t{0} - value.magnitude : value.magnitude;
    switch (field.type()) {
      case FieldDescriptor::TYPE_FIXED32:
      case FieldDescriptor::TYPE_SFIXED32:
        PutFixed(static_cast<uint32_t>(bits));
        break;
      case FieldDescriptor::TYPE_FIXED64:
      case FieldDescriptor::TYPE_SFIXED64:
        PutFixed(bits);
        break;
      case FieldDescriptor::TYPE_SINT32:
      case FieldDescriptor::TYPE_SINT64:
        PutVarint(WireFormatLite::ZigZagEncode64(static_cast<int64_t>(bits)));
        break;
      default:
        PutVarint(bits);
    }
    return true;
  }

  const absl::string_view json_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string& wire_;
  std::string scratch_;  // a string that has escapes
  std::string path_, problem_;
};

}  // namespace

absl::Status ParseJson(const Descriptor& type, absl::string_view json,
                       std::string* wire) {
  Parser parser(json, wire);
  (void)parser.ParseAll(type);
  return parser.status();
}

}  // namespace lmserve
