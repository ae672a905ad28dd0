// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_parser.h"

#include <google/protobuf/util/message_differencer.h>

#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "server/http/json_printer.h"
#include "tests/server/http/json_reference.h"
#include "tests/server/http/json_types.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Reads messages of the type json.All of JsonTypes.
class JsonParserTest : public testing::Test {
 protected:
  // Returns the message that the JSON is, in the text format, or its error.
  std::string Read(absl::string_view json) {
    std::string wire;
    const absl::Status status = ParseJson(types_.all(), json, &wire);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      return std::string(status.message());
    }
    const auto message = types_.NewMessage();
    EXPECT_TRUE(message->ParseFromString(wire)) << json;
    return message->ShortDebugString();
  }

  // What the field has if its value is written in this way.
  std::string ReadField(absl::string_view name, absl::string_view value) {
    return Read(absl::StrCat("{\"", name, "\":", value, "}"));
  }

  JsonTypes types_;
};

TEST_F(JsonParserTest, NamesAreInLowerCamelCaseOrAsInTheProto) {
  EXPECT_EQ(Read(R"({"twoWords2":1})"), "two_words2: 1");
  EXPECT_EQ(Read(R"({"two_words2":1})"), "two_words2: 1");
  EXPECT_EQ(Read(R"({"\u0074woWords2":1})"), "two_words2: 1");
  EXPECT_EQ(Read(R"({"renamed-field":1})"), "has_json_name: 1");
  EXPECT_EQ(Read(R"({"has_json_name":1})"), "has_json_name: 1");
  EXPECT_EQ(Read(R"({"hasJsonName":1})"),
            "at byte 2: All has no field \"hasJsonName\"");
  EXPECT_EQ(Read(R"({"child":{"children":[{},{"a":[[[1]]]}]}})"),
            "child.children[1] at byte 27: All has no field \"a\"");
}

TEST_F(JsonParserTest, SpaceMayBeBetweenTokens) {
  EXPECT_EQ(Read(" {\t\"i32\" :\r\n1 , \"i32s\" : [ 1 , 2 ] , \"byName\" : { "
                 "\"a\" : 1 } } \n"),
            "i32: 1 i32s: 1 i32s: 2 by_name { key: \"a\" value: 1 }");
  EXPECT_EQ(Read(" { } "), "");
  EXPECT_EQ(Read(R"({"i32s": [ ], "byName": { } })"), "");
}

TEST_F(JsonParserTest, OnlyValidJsonIsAccepted) {
  for (const char* json : {"",
                           " ",
                           "null",
                           "1",
                           "[]",
                           "\"\"",
                           "{",
                           "{}}",
                           "{} {}",
                           "{}x",
                           "\xef\xbb\xbf{}",
                           "{/**/}",
                           "{\"i32\"}",
                           "{\"i32\":}",
                           "{\"i32\":1,}",
                           "{,\"i32\":1}",
                           "{\"i32\" 1}",
                           "{i32:1}",
                           "{'i32':1}",
                           "{\"i32\":1",
                           "{\"i32\":1;}",
                           "{\"i32s\":[1,]}",
                           "{\"i32s\":[,1]}",
                           "{\"i32s\":[1",
                           "{\"i32s\":[1}",
                           "{\"i32s\":[1 2]}",
                           "{\"i32\":nul}",
                           "{\"i32\":nulls}",
                           "{\"b\":True}",
                           "{\"b\":truee}",
                           "{\"s\":\"}",
                           "{\"s\":'a'}",
                           "{\"s\":\"\t\"}",
                           "{\"s\":\"\n\"}",
                           "{\"s\":\"\\\n\"}",
                           "{\"s\":\"\\",
                           "{\"s\":\"\\\"",
                           "{\"s\":\"\\a\"}",
                           "{\"s\":\"\\u\"}",
                           "{\"s\":\"\\u00g0\"}",
                           "{\"s\":\"\\u00",
                           "{\"d\":01}",
                           "{\"d\":1.}",
                           "{\"d\":.1}",
                           "{\"d\":+1}",
                           "{\"d\":-}",
                           "{\"d\":1e}",
                           "{\"d\":1e+}",
                           "{\"d\":0x1}",
                           "{\"d\":NaN}",
                           "{\"d\":Infinity}",
                           "{\"d\":1f}",
                           "{\"byName\":{1:1}}",
                           "{\"byName\":{\"a\":1,}}",
                           "{\"byName\":[\"a\"]}"}) {
    EXPECT_THAT(Read(json), HasSubstr("at byte ")) << json;
  }
}

TEST_F(JsonParserTest, NullIsAFieldThatIsNotSet) {
  EXPECT_EQ(Read(R"({"i32":null,"s":null,"child":null,"children":null,)"
                 R"("byName":null,"maybe":null,"color":null})"),
            "");
  EXPECT_EQ(Read(R"({"one":null,"two":"b"})"), "two: \"b\"");
  EXPECT_EQ(Read(R"({"i32s":[1,null]})"),
            "i32s[1] at byte 12: expected an integer from -2147483648 to "
            "2147483647, found null");
  EXPECT_EQ(Read(R"({"children":[null]})"),
            "children[0] at byte 14: expected an object, found null");
  EXPECT_EQ(Read(R"({"byName":{"a":null}})"),
            "byName[\"a\"] at byte 16: expected an integer from "
            "-9223372036854775808 to 9223372036854775807, found null");
}

TEST_F(JsonParserTest, NothingHasTwoValues) {
  EXPECT_EQ(Read(R"({"i32":1,"i32":1})"),
            "i32 at byte 10: the field has two values");
  EXPECT_EQ(Read(R"({"child":{"twoWords2":1,"two_words2":null}})"),
            "child.twoWords2 at byte 25: the field has two values");
  EXPECT_EQ(Read(R"({"one":1,"two":"b"})"),
            "two at byte 16: expected only one of one, two, three");
  EXPECT_EQ(Read(R"({"byName":{"b":1,"a":1,"b":2}})"),
            "byName at byte 24: expected each key once, found \"b\" again");
  EXPECT_EQ(Read(R"({"byNumber":{"7":{},"07":{}}})"),
            "byNumber at byte 21: expected an integer from -2147483648 to "
            "2147483647, found \"07\"");
  EXPECT_EQ(Read(R"({"byNumber":{"7":{},"7.0":{}}})"),
            "byNumber at byte 21: expected each key once, found \"7.0\" again");
}

TEST_F(JsonParserTest, IntegersHaveManyForms) {
  for (const char* form : {"1000", "\"1000\"", "1e3", "1E+3", "\"1e3\"",
                           "1000.000", "10000e-1", "0.001e6", "1.000e3"}) {
    EXPECT_EQ(ReadField("i32", form), "i32: 1000") << form;
    EXPECT_EQ(ReadField("u64", form), "u64: 1000") << form;
  }
  for (const char* form :
       {"0", "-0", "0.0", "0e99999999999999999999", "-0e-7"}) {
    EXPECT_EQ(ReadField("u32s", absl::StrCat("[", form, "]")), "u32s: 0");
  }
  for (const char* form :
       {"1.5", "1e-1", "\"\"", "\" 1\"", "\"1 \"", "\"0x1\"", "\"one\"", "true",
        "[]", "{}", "1e99999999999999999999", "99999999999999999999",
        "1e-99999999999999999999", "\"NaN\"", "\"1,000\""}) {
    for (const char* field : {"i32", "s32", "sf32", "u32", "f32", "i64", "s64",
                              "sf64", "u64", "f64"}) {
      EXPECT_THAT(ReadField(field, form),
                  StartsWith(absl::StrCat(field, " at byte ")))
          << form;
    }
  }
}

template <typename Integer>
std::string RangeOf(Integer) {
  using Limits = std::numeric_limits<Integer>;
  return absl::StrCat("expected an integer from ", Limits::min(), " to ",
                      Limits::max());
}

TEST_F(JsonParserTest, IntegersHaveTheRangeOfTheirType) {
  const auto check = [&](absl::string_view field, auto zero,
                         absl::string_view too_small,
                         absl::string_view too_large) {
    using Limits = std::numeric_limits<decltype(zero)>;
    for (const auto value : {Limits::min(), Limits::max()}) {
      const std::string text = absl::StrCat(value);
      for (const std::string& form :
           {text, absl::StrCat("\"", text, "\""), absl::StrCat(text, ".0"),
            absl::StrCat(text, ".000E0")}) {
        EXPECT_EQ(ReadField(field, form),
                  value == 0 ? "" : absl::StrCat(field, ": ", text));
      }
    }
    for (const absl::string_view value : {too_small, too_large}) {
      EXPECT_THAT(ReadField(field, value), HasSubstr(RangeOf(zero)));
    }
  };
  for (const char* field : {"i32", "s32", "sf32"}) {
    check(field, int32_t{0}, "-2147483649", "2147483648");
  }
  for (const char* field : {"u32", "f32"}) {
    check(field, uint32_t{0}, "-1", "4294967296");
  }
  for (const char* field : {"i64", "s64", "sf64"}) {
    check(field, int64_t{0}, "-9223372036854775809", "9223372036854775808");
  }
  for (const char* field : {"u64", "f64"}) {
    check(field, uint64_t{0}, "-1", "18446744073709551616");
  }
  // Doubles do not have all of these digits.
  EXPECT_EQ(ReadField("u64", "1.8446744073709551615e19"),
            "u64: 18446744073709551615");
}

TEST_F(JsonParserTest, FloatsAreRoundedToTheNearest) {
  EXPECT_EQ(ReadField("f", "0.1"), "f: 0.1");
  EXPECT_EQ(ReadField("d", "\"-1.5e3\""), "d: -1500");
  EXPECT_EQ(ReadField("d", "\"NaN\""), "d: nan");
  EXPECT_EQ(ReadField("f", "\"Infinity\""), "f: inf");
  EXPECT_EQ(ReadField("d", "\"-Infinity\""), "d: -inf");
  EXPECT_EQ(ReadField("d", "-0"), "d: -0");
  EXPECT_EQ(ReadField("fs", "[1e-46,-1e-400]"), "fs: 0 fs: -0");
  EXPECT_EQ(ReadField("f", "3.4028235e38"), "f: 3.40282347e+38");
  EXPECT_THAT(ReadField("f", "3.4028236e38"),
              HasSubstr("expected a number that fits 32 bits, found 3.402"));
  EXPECT_THAT(ReadField("d", "-1e309"),
              HasSubstr("expected a number that fits 64 bits, found -1e309"));
  // By way of a double it would be rounded to 1.
  EXPECT_EQ(ReadField("f", "1.00000005960464477540"), "f: 1.00000012");
  for (const char* form : {"\"\"", "\"inf\"", "\"nan\"", "\"1 \"", "\"0x1\"",
                           "\"+1\"", "true", "[]", "\"1f\""}) {
    EXPECT_THAT(ReadField("d", form), StartsWith("d at byte 6: ")) << form;
  }
}

TEST_F(JsonParserTest, StringsAreUtf8) {
  EXPECT_EQ(ReadField("s", R"("\"\\\/\b\f\n\r\t")"),
            R"(s: "\"\\/\010\014\n\r\t")");
  EXPECT_EQ(ReadField("s", R"("\u0041\u00e9\u20AC\ud83D\uDE00\u0000")"),
            R"(s: "A\303\251\342\202\254\360\237\230\200\000")");
  EXPECT_EQ(ReadField("s", "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\""),
            R"(s: "\303\251\360\237\230\200\177")");
  for (const char* form :
       {"\"\xff\"", "\"\xc3\"", "\"a\\n\xe2\x82\"", "\"\xed\xa0\x80\"",
        "\"\xc0\xaf\"", "\"\xf4\x90\x80\x80\""}) {
    EXPECT_THAT(ReadField("s", form), HasSubstr("expected UTF-8")) << form;
    EXPECT_THAT(Read(absl::StrCat("{", form, ":1}")),
                HasSubstr("expected UTF-8"));
    EXPECT_THAT(ReadField("byName", absl::StrCat("{", form, ":1}")),
                HasSubstr("expected UTF-8"));
  }
  for (const char* form :
       {R"("\ud83d")", R"("\ud83d\n")", R"("\ud83dx")", R"("\ude00")",
        R"("\ud83d\ud83d")", R"("\ud83d\u0041")", R"("\ud83d\u")"}) {
    EXPECT_EQ(ReadField("s", form),
              "s at byte 7: the escape is half of a pair of surrogates");
  }
}

TEST_F(JsonParserTest, BytesAreBase64) {
  for (const char* form : {"\"+/8A\"", "\"-_8A\""}) {
    EXPECT_EQ(ReadField("y", form), R"(y: "\373\377\000")") << form;
  }
  for (const char* form : {"\"+/8=\"", "\"-_8=\"", "\"-_8\""}) {
    EXPECT_EQ(ReadField("y", form), R"(y: "\373\377")") << form;
  }
  EXPECT_EQ(ReadField("y", "\"_w==\""), R"(y: "\377")");
  for (const char* form :
       {"\"+_8A\"", "\"A\"", "\"AA=\"", "\"AAA==\"", "\"=\"", "\"====\"",
        "\"A A=\"", "\"AA.=\"", "\"A===\"", "\"AAAA=\""}) {
    EXPECT_THAT(ReadField("y", form), HasSubstr("expected base64")) << form;
  }
}

TEST_F(JsonParserTest, EnumsAreNamesOrIntegers) {
  EXPECT_EQ(ReadField("color", "\"BLUE\""), "color: BLUE");
  EXPECT_EQ(ReadField("color", "-2"), "color: BLUE");
  EXPECT_EQ(ReadField("color", "1e1"), "color: 10");
  EXPECT_EQ(ReadField("colors", R"(["RED",1,-3])"),
            "colors: RED colors: GREEN colors: -3");
  EXPECT_EQ(ReadField("color", "\"PINK\""),
            "color at byte 10: expected a name of Color, found \"PINK\"");
  for (const char* form : {"\"red\"", "\"\"", "1.5", "2147483648", "true"}) {
    EXPECT_THAT(ReadField("color", form), HasSubstr("a name of Color")) << form;
  }
}

TEST_F(JsonParserTest, MapsHaveKeysOfManyTypes) {
  EXPECT_EQ(Read(R"({"byNumber":{"-1":{"i32":3}},"byBool":{"true":"GREEN",)"
                 R"("false":1},"byBig":{"18446744073709551615":"x"}})"),
            "by_number { key: -1 value { i32: 3 } } "
            "by_bool { key: false value: GREEN } "
            "by_bool { key: true value: GREEN } "
            "by_big { key: 18446744073709551615 value: \"x\" }");
  for (const char* form :
       {R"("byBool":{"True":1})", R"("byBool":{"true ":1})",
        R"("byBool":{"true)", R"("byBool":{true:1})", R"("byBig":{"":"x"})",
        R"("byNumber":{"x":{}})", R"("byNumber":{1:{}})"}) {
    EXPECT_THAT(Read(absl::StrCat("{", form, "}")), StartsWith("by")) << form;
  }
}

// The length of each part takes more bytes than were left for it.
TEST_F(JsonParserTest, LongPartsAreNested) {
  std::string names, json = "{";
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&names, i == 0 ? "" : ",", "\"", i, "\":", i);
  }
  const std::string numbers(40'001, '1');
  absl::StrAppend(&json, R"("child":{"byName":{)", names,
                  R"(},"children":[{"byName":{)", names, R"(},"child":{"s":")",
                  numbers, R"("}},{}]}})");
  std::string wire;
  ASSERT_TRUE(ParseJson(types_.all(), json, &wire).ok());
  const auto message = types_.NewMessage();
  ASSERT_TRUE(message->ParseFromString(wire));
  EXPECT_EQ(message->ByteSizeLong(), wire.size());
  std::string reference;
  ASSERT_TRUE(
      JsonReference(types_.pool()).Parse(types_.all(), json, &reference));
  const auto expected = types_.NewMessage();
  ASSERT_TRUE(expected->ParseFromString(reference));
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(*message, *expected));
}

TEST_F(JsonParserTest, NestingIsLimited) {
  const auto nested = [](int levels) {
    std::string json = "{";
    for (int i = 1; i < levels; ++i) json += R"("child":{)";
    return json + std::string(levels, '}');
  };
  EXPECT_THAT(Read(nested(kMaxJsonDepth)), StartsWith("child {"));
  EXPECT_THAT(Read(nested(kMaxJsonDepth + 1)),
              HasSubstr("expected at most 32 levels"));
  std::string arrays = "{";
  for (int i = 0; i < 10'000; ++i) arrays += R"("children":[{)";
  EXPECT_THAT(Read(arrays), HasSubstr("expected at most 32 levels"));
}

TEST_F(JsonParserTest, ErrorsSayWhatWasFound) {
  EXPECT_EQ(ReadField("i32", "\"" + std::string(1000, 'x') + "\"").size(),
            std::string("i32 at byte 8: expected an integer from -2147483648 "
                        "to 2147483647, found ")
                    .size() +
                40);
  EXPECT_EQ(ReadField("s", "{}"),
            "s at byte 6: expected a string, found an object");
  EXPECT_EQ(ReadField("child", "[]"),
            "child at byte 10: expected an object, found an array");
  EXPECT_EQ(ReadField("b", "\"true\""),
            "b at byte 6: expected true or false, found \"true\"");
  EXPECT_EQ(ReadField("children", "[{}"),
            "children at byte 16: expected ',' or ']', found '}'");
  EXPECT_EQ(Read("{\"s\":\x1b"),
            "s at byte 6: expected a string, found '\\x1b'");
  EXPECT_EQ(Read("{\"s\":"), "s at byte 6: expected a string, found the end");
  EXPECT_EQ(Read("{\"s\" 1"), "s at byte 6: expected ':', found 1");
}

TEST_F(JsonParserTest, RandomTextsGiveNoMoreThanTheReference) {
  const JsonReference reference(types_.pool());
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 100; ++i) {
    const auto message = types_.NewMessage();
    FillRandomly(random, message.get());
    text.clear();
    AppendJson(*message, &text);
    for (int j = 0; j < 20; ++j) {
      std::string changed = text;
      const size_t at = random() % changed.size();
      constexpr absl::string_view kBytes = "\"\\{}[],:01-.eun \xc3";
      if (random() % 2 == 0) {
        changed.erase(at, 1);
      } else {
        changed[at] = kBytes[random() % kBytes.size()];
      }
      std::string wire, expected_wire;
      if (!ParseJson(types_.all(), changed, &wire).ok()) continue;
      const auto read = types_.NewMessage(), expected = types_.NewMessage();
      ASSERT_TRUE(read->ParseFromString(wire)) << changed;
      if (!reference.Parse(types_.all(), changed, &expected_wire)) continue;
      ASSERT_TRUE(expected->ParseFromString(expected_wire));
      google::protobuf::util::MessageDifferencer differencer;
      differencer.set_float_comparison(
          google::protobuf::util::MessageDifferencer::APPROXIMATE);
      ASSERT_TRUE(differencer.Compare(*read, *expected)) << changed;
    }
  }
}

}  // namespace
}  // namespace lmserve
