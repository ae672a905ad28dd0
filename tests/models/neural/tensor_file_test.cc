// SPDX-License-Identifier: Apache-2.0
//
// Tests of safetensors files: what is written can be read, the bytes equal
// those of the reference writer, and broken files are refused with an error.

#include "models/neural/tensor_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/shared_data.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

using Shape = std::vector<int64_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Copies bytes to memory of exactly their size, so that a sanitizer detects
// reads past the end.
std::vector<char> Exactly(absl::string_view bytes) {
  return {bytes.begin(), bytes.end()};
}

absl::string_view View(const std::vector<char>& bytes) {
  return {bytes.data(), bytes.size()};
}

template <typename T>
std::string Bytes(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()),
          numbers.size() * sizeof(T)};
}

// Returns a file with any header and data.
std::string File(absl::string_view header, absl::string_view data) {
  return absl::StrCat(Bytes<uint64_t>({header.size()}), header, data);
}

// Returns a file with the given entries in the object of the header, and
// data_size bytes of data.
std::string FileOf(absl::string_view entries, size_t data_size = 0) {
  return File(absl::StrCat("{", entries, "}"), std::string(data_size, '\1'));
}

std::string ErrorOf(const std::string& file) {
  const std::vector<char> bytes = Exactly(file);
  const absl::Status status = TensorFile::Parse(View(bytes)).status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

// Returns a file with tensors of several types, in the order a, c, b, d.
std::string SmallFile() {
  TensorFileWriter writer;
  const std::vector<float> floats = {1.5, -2, 0.25, kInfinity, -0.0f, 7};
  const std::string bf16 = Bytes<uint16_t>({0x3F80, 0xC000, 0x7F80});
  const std::string i64 = Bytes<int64_t>({-1, int64_t{1} << 40});
  const std::string i8 = Bytes<int8_t>({-128, 127, 0});
  writer.Add("b", {TensorType::kBf16, {3}, bf16});
  writer.Add("d", {TensorType::kI8, {3, 1}, i8});
  writer.AddFloats("c", {2, 3}, floats);
  writer.Add("a", {TensorType::kI64, {2}, i64});
  writer.SetMetadata("seed", "1");
  writer.SetMetadata("format", "pt");
  return writer.Finish();
}

TEST(TensorFileWriterTest, WritesTheBytesOfTheReferenceWriter) {
  const std::string header =
      R"({"__metadata__":{"format":"pt","seed":"1"},)"
      R"("a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
      R"("c":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]},)"
      R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[40,46]},)"
      R"("d":{"dtype":"I8","shape":[3,1],"data_offsets":[46,49]}}      )";
  const std::string expected = absl::StrCat(
      Bytes<uint64_t>({272}), header, Bytes<int64_t>({-1, int64_t{1} << 40}),
      Bytes<float>({1.5, -2, 0.25, kInfinity, -0.0f, 7}),
      Bytes<uint16_t>({0x3F80, 0xC000, 0x7F80}), Bytes<int8_t>({-128, 127, 0}));
  EXPECT_EQ(SmallFile(), expected);
}

TEST(TensorFileWriterTest, NumbersBeginAtAMultipleOf8) {
  for (size_t length = 1; length <= 8; ++length) {
    TensorFileWriter writer;
    writer.Add(std::string(length, 'a'), {TensorType::kI8, {1}, "!"});
    const std::string file = writer.Finish();
    ASSERT_EQ(file.size() % 8, 1u);
    EXPECT_EQ(file.back(), '!');
    const size_t brace = file.rfind('}');
    EXPECT_EQ(file.substr(brace + 1),
              std::string(file.size() - brace - 2, ' ') + "!");
    EXPECT_LT(file.size() - brace - 2, 8u);
  }
}

TEST(TensorFileWriterTest, AFileMayBeEmpty) {
  const std::string file = TensorFileWriter().Finish();
  EXPECT_EQ(file, File("{}      ", ""));
  const auto read = TensorFile::Parse(file);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->tensors(), IsEmpty());
  EXPECT_THAT(read->metadata(), IsEmpty());
}

TEST(TensorFileTest, ReadsWhatWasWritten) {
  const std::string file = SmallFile();
  const auto read = TensorFile::Parse(file);
  ASSERT_TRUE(read.ok()) << read.status();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : read->tensors()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(read->metadata(),
              ElementsAre(Pair("format", "pt"), Pair("seed", "1")));

  const TensorView* a = read->Find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type, TensorType::kI64);
  EXPECT_EQ(a->shape, Shape({2}));
  EXPECT_EQ(a->size(), 2u);
  EXPECT_EQ(a->bytes, Bytes<int64_t>({-1, int64_t{1} << 40}));
  EXPECT_EQ(read->Find("d")->bytes, Bytes<int8_t>({-128, 127, 0}));
  EXPECT_EQ(read->Find("e"), nullptr);
}

TEST(TensorFileTest, ReadsOddNamesAndMetadata) {
  const std::string name = "a\"\\\n\x01 \xC3\xA9";
  TensorFileWriter writer;
  writer.Add(name, {TensorType::kBool, {1}, "\1"});
  writer.Add("", {TensorType::kU8, {0}, ""});
  writer.SetMetadata(name, name);
  writer.SetMetadata("", "");
  const std::string file = writer.Finish();
  const auto read = TensorFile::Parse(file);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_NE(read->Find(name), nullptr);
  EXPECT_NE(read->Find(""), nullptr);
  EXPECT_EQ(read->metadata().at(name), name);
}

TEST(TensorFileTest, EmptyTensorsAndSingleNumbers) {
  TensorFileWriter writer;
  const std::vector<float> one = {3};
  writer.AddFloats("none", {0}, {});
  writer.AddFloats("rows of none", {2, 0, 5}, {});
  writer.AddFloats("one", {}, one);
  const std::string file = writer.Finish();
  const auto read = TensorFile::Parse(file);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->GetFloats("none", {0}).value(), IsEmpty());
  EXPECT_THAT(read->GetFloats("rows of none", {2, 0, 5}).value(), IsEmpty());
  EXPECT_THAT(read->GetFloats("one", {}).value(), ElementsAre(3));
}

TEST(TensorFileTest, EveryTypeIsWrittenAlignedAndRead) {
  const std::string bytes(24, '\2');
  TensorFileWriter writer;
  for (int type = 0; type <= static_cast<int>(TensorType::kU64); ++type) {
    TensorView tensor = {static_cast<TensorType>(type), {3}, bytes};
    tensor.bytes = tensor.bytes.substr(0, 3 * TensorTypeSize(tensor.type));
    writer.Add(TensorTypeName(tensor.type), tensor);
  }
  const std::string file = writer.Finish();
  std::vector<uint64_t> aligned(file.size() / 8 + 1);
  char* copy = reinterpret_cast<char*>(aligned.data());
  std::copy(file.begin(), file.end(), copy);
  const auto read = TensorFile::Parse({copy, file.size()});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tensors().size(), 13u);
  for (const auto& [name, tensor] : read->tensors()) {
    EXPECT_EQ(TensorTypeName(tensor.type), name);
    EXPECT_EQ(tensor.size(), 3u) << name;
    EXPECT_TRUE(tensor.is_aligned()) << name;
  }
}

TEST(TensorFileTest, ReportsAlignment) {
  const std::string file =
      FileOf(R"("a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]})",
             5);
  const auto read = TensorFile::Parse(file);
  ASSERT_TRUE(read.ok()) << read.status();
  const auto address = [](const TensorView& tensor) {
    return reinterpret_cast<uintptr_t>(tensor.bytes.data());
  };
  EXPECT_TRUE(read->Find("a")->is_aligned());
  EXPECT_EQ(read->Find("b")->is_aligned(), address(*read->Find("b")) % 4 == 0);
  EXPECT_EQ(read->GetFloats("b", {1}).value()[0],
            std::bit_cast<float>(uint32_t{0x01010101}));
}

TEST(TensorFileTest, GetChecksTypeAndShape) {
  const std::string file = SmallFile();
  const auto read = TensorFile::Parse(file).value();
  EXPECT_TRUE(read.Get("c", TensorType::kF32, {2, 3}).ok());
  const auto error = [&](absl::string_view name, TensorType type,
                         const Shape& shape) {
    return std::string(read.Get(name, type, shape).status().message());
  };
  EXPECT_EQ(error("c", TensorType::kF32, {3, 2}),
            "safetensors: tensor 'c': expected F32 [3, 2], found F32 [2, 3]");
  EXPECT_EQ(error("c", TensorType::kI8, {2, 3}),
            "safetensors: tensor 'c': expected I8 [2, 3], found F32 [2, 3]");
  EXPECT_EQ(error("e", TensorType::kF32, {}),
            "safetensors: tensor 'e': expected F32 [], found none");
  EXPECT_THAT(read.GetFloats("c", {2, 3}).value(),
              ElementsAre(1.5, -2, 0.25, kInfinity, 0, 7));
  EXPECT_THAT(read.GetFloats("b", {3}).value(), ElementsAre(1, -2, kInfinity));
  EXPECT_EQ(read.GetFloats("a", {2}).status().message(),
            "safetensors: tensor 'a': expected floats [2], found I64 [2]");
  EXPECT_EQ(read.GetFloats("e", {2}).status().message(),
            "safetensors: tensor 'e': expected floats [2], found none");
}

// Converts numbers of a type to float, at every alignment.
template <typename T>
std::vector<float> Converted(TensorType type, const std::vector<T>& numbers) {
  const std::string bytes = Bytes(numbers);
  std::vector<float> floats(numbers.size());
  for (size_t shift = 0; shift < 8; ++shift) {
    const std::vector<char> shifted =
        Exactly(absl::StrCat(std::string(shift, 'x'), bytes));
    std::vector<float> found(numbers.size());
    CopyFloats({type,
                {static_cast<int64_t>(numbers.size())},
                View(shifted).substr(shift)},
               absl::MakeSpan(found));
    EXPECT_TRUE(shift == 0 || std::memcmp(found.data(), floats.data(),
                                          found.size() * sizeof(float)) == 0)
        << "at " << shift;
    floats = found;
  }
  return floats;
}

TEST(CopyFloatsTest, ConvertsEveryTypeOfFloat) {
  const float smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_THAT(
      Converted<float>(TensorType::kF32, {1.1f, -0.0f, smallest, -kInfinity}),
      ElementsAre(1.1f, 0, smallest, -kInfinity));
  EXPECT_THAT(
      Converted<double>(TensorType::kF64, {0.1, -1e-60, 1e300, -kInfinity}),
      ElementsAre(0.1f, 0, kInfinity, -kInfinity));
  EXPECT_THAT(
      Converted<uint16_t>(TensorType::kBf16, {0x3F80, 0xC049, 0x0001, 0xFF80}),
      ElementsAre(1, -3.140625, 0x1p-133, -kInfinity));
  EXPECT_THAT(
      Converted<uint16_t>(TensorType::kF16,
                          {0x3C00, 0xC248, 0x0001, 0x03FF, 0x7BFF, 0xFC00}),
      ElementsAre(1, -3.140625, 0x1p-24, 0x1.FF8p-15, 65504, -kInfinity));
}

// Compares every 16-bit number with the definition of its type.
TEST(CopyFloatsTest, ConvertsAllShortFloatsExactly) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const std::vector<float> bf16 = Converted(TensorType::kBf16, all);
  const std::vector<float> f16 = Converted(TensorType::kF16, all);
  for (uint32_t i = 0; i < all.size(); ++i) {
    const float wide = std::bit_cast<float>(i << 16);
    EXPECT_TRUE(std::isnan(wide) ? std::isnan(bf16[i])
                                 : std::bit_cast<uint32_t>(bf16[i]) == i << 16)
        << i;
    const int exponent = i >> 10 & 31;
    const int fraction = i & 1023;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(f16[i]), fraction != 0) << i;
      EXPECT_EQ(std::isinf(f16[i]), fraction == 0) << i;
      continue;
    }
    const float value = exponent == 0
                            ? std::ldexp(fraction, -24)
                            : std::ldexp(1024 + fraction, exponent - 25);
    EXPECT_EQ(f16[i], i >> 15 ? -value : value) << i;
    EXPECT_EQ(std::signbit(f16[i]), i >> 15 == 1) << i;
  }
}

TEST(BrokenTensorFileTest, HeaderSize) {
  EXPECT_EQ(ErrorOf(""),
            "safetensors: size of the header: expected 8 bytes, found 0");
  EXPECT_EQ(ErrorOf("1234567"),
            "safetensors: size of the header: expected 8 bytes, found 7");
  EXPECT_EQ(ErrorOf(Bytes<uint64_t>({3}) + "{}"),
            "safetensors: size of the header: expected at most 2, found 3");
  EXPECT_EQ(ErrorOf(Bytes<uint64_t>({~uint64_t{0}}) + "{}"),
            "safetensors: size of the header: expected at most 2, found "
            "18446744073709551615");
  std::string large;
  large.resize(100'000'001, ' ');
  EXPECT_EQ(ErrorOf(File(large, "")),
            "safetensors: size of the header: expected at most 100000000, "
            "found 100000001");
}

TEST(BrokenTensorFileTest, HeaderIsNotAJsonObject) {
  EXPECT_EQ(ErrorOf(File("", "")),
            "safetensors: header: expected '{' at the start, found ''");
  EXPECT_EQ(ErrorOf(File(" {}", "")),
            "safetensors: header: expected '{' at the start, found ' {}'");
  EXPECT_EQ(ErrorOf(File("[]", "")),
            "safetensors: header: expected '{' at the start, found '[]'");
  EXPECT_EQ(ErrorOf(File(absl::string_view("{}\0x", 4), "")),
            "safetensors: header: expected JSON, found a NUL byte");
  EXPECT_EQ(ErrorOf(File("{}{}", "")),
            "safetensors: header before byte 11: expected JSON, found '{}{'");
  for (const char* json :
       {"{", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":tru}", "{'a':1}",
        "{\"a\xFF\":1}", "{/**/}", "{\"a\":{\"shape\":[1e999]}}"}) {
    EXPECT_THAT(ErrorOf(File(json, "")), HasSubstr("expected JSON")) << json;
  }
}

// Deeply nested JSON is refused early, wherever it is in the header.
TEST(BrokenTensorFileTest, DepthIsBounded) {
  for (const char* nested : {"[", "{\"a\":"}) {
    for (const char* prefix :
         {"{\"a\":", "{\"__metadata__\":{\"a\":", "{\"a\":{\"dtype\":",
          "{\"a\":{\"shape\":[", "{\"a\":{\"data_offsets\":["}) {
      std::string json = prefix;
      for (int i = 0; i < 100'000; ++i) json += nested;
      EXPECT_THAT(ErrorOf(File(json, "")), HasSubstr(": expected ")) << prefix;
    }
  }
}

struct BrokenHeader {
  const char* entries;
  const char* error;
};

TEST(BrokenTensorFileTest, Form) {
  static constexpr BrokenHeader kBroken[] = {
      {R"("a":1)", "tensor 'a': expected an object, found 1"},
      {R"("a":-1)", "tensor 'a': expected an object, found -1"},
      {R"("a":null)", "tensor 'a': expected an object, found null"},
      {R"("a":[])", "tensor 'a': expected an object, found a list"},
      {R"("a":{})",
       "tensor 'a': expected dtype, shape and data_offsets, found 0 of them"},
      {R"("a":{"dtype":"F32","shape":[]})",
       "tensor 'a': expected dtype, shape and data_offsets, found 2 of them"},
      {R"("a":{"type":"F32"})",
       "tensor 'a': 'type': expected dtype, shape and data_offsets, found "
       "'type'"},
      {R"("a":{"dtype":"F32","dtype":"F32"})",
       "tensor 'a': 'dtype': expected a unique field, found a duplicate"},
      {R"("a":{"dtype":"F8_E4M3"})",
       "tensor 'a': 'dtype': expected a known dtype, found 'F8_E4M3'"},
      {R"("a":{"dtype":"f32"})",
       "tensor 'a': 'dtype': expected a known dtype, found 'f32'"},
      {R"("a":{"dtype":32})",
       "tensor 'a': 'dtype': expected a string, found 32"},
      {R"("a":{"dtype":{}})",
       "tensor 'a': 'dtype': expected a string, found an object"},
      {R"("a":{"dtype":["F32"]})",
       "tensor 'a': 'dtype': expected a string, found a list"},
      {R"("a":{"shape":3})", "tensor 'a': 'shape': expected a list, found 3"},
      {R"("a":{"shape":"3"})",
       "tensor 'a': 'shape': expected a list, found a string"},
      {R"("a":{"shape":{}})",
       "tensor 'a': 'shape': expected a list, found an object"},
      {R"("a":{"shape":[-1]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "-1"},
      {R"("a":{"shape":[1.0]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "1.0"},
      {R"("a":{"shape":[9223372036854775808]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "9223372036854775808"},
      {R"("a":{"shape":[99999999999999999999]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "99999999999999999999"},
      {R"("a":{"shape":[true]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "a boolean"},
      {R"("a":{"shape":["1"]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "a string"},
      {R"("a":{"shape":[[1]]})",
       "tensor 'a': 'shape': expected integers from 0 to 2^63 - 1, found "
       "a list"},
      {R"("a":{"data_offsets":[]})",
       "tensor 'a': 'data_offsets': expected 2 numbers, found 0"},
      {R"("a":{"data_offsets":[0]})",
       "tensor 'a': 'data_offsets': expected 2 numbers, found 1"},
      {R"("a":{"data_offsets":[0,0,0]})",
       "tensor 'a': 'data_offsets': expected 2 numbers, found more"},
      {R"("__metadata__":[])",
       "'__metadata__': expected an object, found a "
       "list"},
      {R"("__metadata__":{"a":1})",
       "'__metadata__': 'a': expected a string, found 1"},
      {R"("__metadata__":{"a":"","a":""})",
       "'__metadata__': 'a': expected a unique key, found a duplicate"},
      {R"("__metadata__":{},"__metadata__":{})",
       "'__metadata__': expected a unique name, found a duplicate"},
  };
  for (const BrokenHeader& broken : kBroken) {
    EXPECT_EQ(ErrorOf(FileOf(broken.entries)),
              absl::StrCat("safetensors: ", broken.error))
        << broken.entries;
  }
}

TEST(BrokenTensorFileTest, TooManyDimensions) {
  const auto file = [](int rank) {
    std::string shape = "1";
    for (int i = 1; i < rank; ++i) shape += ",1";
    return FileOf(absl::StrCat(R"("a":{"dtype":"I8","shape":[)", shape,
                               R"(],"data_offsets":[0,1]})"),
                  1);
  };
  EXPECT_EQ(ErrorOf(file(64)), "");
  EXPECT_EQ(ErrorOf(file(65)),
            "safetensors: tensor 'a': 'shape': expected at most 64, found "
            "more");
}

TEST(BrokenTensorFileTest, DuplicateNames) {
  EXPECT_EQ(
      ErrorOf(FileOf(R"("a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                     R"("a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]})",
                     2)),
      "safetensors: tensor 'a': expected a unique name, found a duplicate");
}

TEST(BrokenTensorFileTest, LongAndOddNamesAreCut) {
  EXPECT_EQ(
      ErrorOf(FileOf(
          absl::StrCat("\"\\u0000\xC3\xA9", std::string(1000, 'x'), "\":1"))),
      absl::StrCat("safetensors: tensor '\\x00\\xc3\\xa9", std::string(97, 'x'),
                   "...': expected an object, found 1"));
}

// Returns a file with two tensors "a" and "b" that have the given shapes and
// offsets, and 8 bytes of data.
std::string TwoTensors(absl::string_view a, absl::string_view b) {
  return FileOf(absl::StrCat(R"("a":{"dtype":"F32",)", a,
                             R"(},"b":{"dtype":"F32",)", b, "}"),
                8);
}

TEST(BrokenTensorFileTest, Offsets) {
  const std::string first = R"("shape":[1],"data_offsets":[0,4])";
  const std::string second = R"("shape":[1],"data_offsets":[4,8])";
  EXPECT_EQ(ErrorOf(TwoTensors(first, second)), "");
  EXPECT_EQ(ErrorOf(TwoTensors(second, first)), "");
  static constexpr BrokenHeader kBroken[] = {
      {R"("shape":[1],"data_offsets":[0,4])",
       "tensor 'b': begin (tensors must be contiguous): expected "
       "4, found 0"},
      {R"("shape":[1],"data_offsets":[3,7])",
       "tensor 'b': begin (tensors must be contiguous): expected "
       "4, found 3"},
      {R"("shape":[0],"data_offsets":[5,5])",
       "tensor 'b': begin (tensors must be contiguous): expected "
       "4, found 5"},
      {R"("shape":[1],"data_offsets":[4,3])",
       "tensor 'b': end: expected 4 to 8, found 3"},
      {R"("shape":[2],"data_offsets":[4,12])",
       "tensor 'b': end: expected 4 to 8, found 12"},
      {R"("shape":[1],"data_offsets":[4,9223372036854775807])",
       "tensor 'b': end: expected 4 to 8, found 9223372036854775807"},
      {R"("shape":[1],"data_offsets":[4,7])",
       "tensor 'b': bytes: expected 4 for F32 [1], found 3"},
      {R"("shape":[2,1],"data_offsets":[4,8])",
       "tensor 'b': bytes: expected 8 for F32 [2, 1], found 4"},
      {R"("shape":[],"data_offsets":[4,4])",
       "tensor 'b': bytes: expected 4 for F32 [], found 0"},
      {R"("shape":[0],"data_offsets":[4,4])",
       "end of the tensors: expected 8, found 4"},
      {R"("shape":[4611686018427387904,4],"data_offsets":[4,4])",
       "tensor 'b': expected fewer than 2^63 bytes, found F32 "
       "[4611686018427387904, 4]"},
      {R"("shape":[4294967296,4294967296],"data_offsets":[4,4])",
       "tensor 'b': expected fewer than 2^63 bytes, found F32 [4294967296, "
       "4294967296]"},
      {R"("shape":[0,2305843009213693952],"data_offsets":[4,4])",
       "tensor 'b': expected fewer than 2^63 bytes, found F32 [0, "
       "2305843009213693952]"},
  };
  for (const BrokenHeader& broken : kBroken) {
    EXPECT_EQ(ErrorOf(TwoTensors(first, broken.entries)),
              absl::StrCat("safetensors: ", broken.error));
  }
  EXPECT_EQ(ErrorOf(FileOf("", 1)),
            "safetensors: end of the tensors: expected 1, found 0");
}

TEST(BrokenTensorFileTest, EveryTruncationIsRefused) {
  const std::string file = SmallFile();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(ErrorOf(file.substr(0, size)), HasSubstr(": expected "))
        << size;
  }
  EXPECT_THAT(ErrorOf(file + "x"), HasSubstr("end of the tensors"));
}

// The tensors of an accepted file must be within its bytes.
TEST(BrokenTensorFileTest, RandomChangesAreRefusedOrHarmless) {
  const std::string file = SmallFile();
  const absl::string_view likely = "{}[]\",:0123456789eFIB ";
  std::mt19937 random(1);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<char> bytes = Exactly(file);
    for (uint32_t change = 0; change <= random() % 3; ++change) {
      bytes[random() % bytes.size()] =
          random() % 2 ? likely[random() % likely.size()] : random();
    }
    const auto read = TensorFile::Parse(View(bytes));
    if (!read.ok()) continue;
    ++accepted;
    size_t size = 0;
    for (const auto& [name, tensor] : read->tensors()) {
      size += tensor.bytes.size();
      if (!IsFloatType(tensor.type)) continue;
      EXPECT_TRUE(read->GetFloats(name, tensor.shape).ok());
    }
    EXPECT_LE(size, bytes.size());
  }
  EXPECT_GT(accepted, 100);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Reads files written by PyTorch, with a vocabulary of 37 words and embeddings
// of 6 numbers.
TEST(TensorFileTest, ReadsPyTorchsFiles) {
  for (const char* name : {"bigru_1", "bilstm_2", "gru_1", "gru_2", "lstm_1",
                           "lstm_2", "rnn_relu_2", "rnn_tanh_1"}) {
    const std::string path =
        SharedFile(absl::StrCat("reference/torch/", name, ".safetensors"));
    if (path.empty()) GTEST_SKIP() << "the files of PyTorch are not available";
    const std::string bytes = ReadFile(path);
    const auto file = TensorFile::Parse(bytes);
    ASSERT_TRUE(file.ok()) << name << ": " << file.status();
    EXPECT_EQ(file->metadata().at("seed"), "1");
    EXPECT_TRUE(file->Get("input.tokens", TensorType::kI64, {9, 4}).ok());
    EXPECT_TRUE(file->GetFloats("encoder.weight", {37, 6}).ok());
    EXPECT_TRUE(file->GetFloats("decoder.bias", {37}).ok());
    const auto log_probs = file->GetFloats("expect.logprob", {9, 4, 37});
    ASSERT_TRUE(log_probs.ok()) << name << ": " << log_probs.status();
    double sum = 0;
    for (size_t w = 0; w < 37; ++w) sum += std::exp((*log_probs)[w]);
    EXPECT_NEAR(sum, 1, 1e-5) << name;

    TensorFileWriter writer;
    for (const auto& [key, value] : file->metadata()) {
      writer.SetMetadata(key, value);
    }
    for (const auto& [key, tensor] : file->tensors()) writer.Add(key, tensor);
    const std::string written = writer.Finish();
    const auto again = TensorFile::Parse(written);
    ASSERT_TRUE(again.ok()) << name << ": " << again.status();
    ASSERT_EQ(again->tensors().size(), file->tensors().size());
    for (const auto& [key, tensor] : file->tensors()) {
      const auto same = again->Get(key, tensor.type, tensor.shape);
      ASSERT_TRUE(same.ok()) << name << ": " << same.status();
      EXPECT_EQ(same->bytes, tensor.bytes) << key;
    }
  }
}

}  // namespace
}  // namespace lmserve
