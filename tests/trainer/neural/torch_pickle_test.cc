// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_pickle.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/torch_writer.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using Kind = TorchPickle::Kind;

std::string Error(const std::string& bytes) {
  return TorchPickle::Parse(bytes).status().ToString();
}

// The error of the instructions after those of the protocol.
std::string ErrorOf(absl::string_view instructions) {
  return Error(PickleWriter().Raw(instructions).Finish());
}

TEST(TorchPickleTest, Values) {
  const std::string bytes = PickleWriter()
                                .Raw("(")
                                .Raw({"K\xff", 2})
                                .Raw({"M\x01\x02", 3})
                                .Integer(-5)
                                .Raw({"\x8a\x00", 2})
                                .Raw({"\x8a\x01\xff", 3})
                                .Raw({"\x8a\x05\x00\x00\x00\x00\x01", 7})
                                .Raw("N\x88\x89")
                                .Raw({"G\0\0\0\0\0\0\0\0", 9})
                                .String("text")
                                .Raw({"\x8c\x02hi", 4})
                                .Raw(")]}t")
                                .Finish();
  const auto pickle = TorchPickle::Parse(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  const auto& items = pickle->root().items;
  ASSERT_EQ(pickle->root().kind, Kind::kTuple);
  std::vector<Kind> kinds;
  std::vector<int64_t> numbers;
  for (TorchPickle::Id id : items) {
    kinds.push_back(pickle->value(id).kind);
    numbers.push_back(pickle->value(id).number);
  }
  EXPECT_THAT(
      kinds, testing::ElementsAre(
                 Kind::kInteger, Kind::kInteger, Kind::kInteger, Kind::kInteger,
                 Kind::kInteger, Kind::kInteger, Kind::kNone, Kind::kBool,
                 Kind::kBool, Kind::kFloat, Kind::kString, Kind::kString,
                 Kind::kTuple, Kind::kList, Kind::kDict));
  EXPECT_THAT(
      std::vector<int64_t>(numbers.begin(), numbers.begin() + 9),
      testing::ElementsAre(255, 513, -5, 0, -1, int64_t{1} << 32, 0, 1, 0));
  EXPECT_EQ(pickle->value(items[10]).text, "text");
  EXPECT_EQ(pickle->value(items[11]).text, "hi");
}

// Protocol 4 has frames, a memo without numbers and classes from the stack.
TEST(TorchPickleTest, Protocol4) {
  const std::string bytes(
      "\x80\x04\x95\x05\0\0\0\0\0\0\0"
      "\x8c\x0b"
      "collections\x94\x8c\x0b"
      "OrderedDict\x94"
      "\x93\x94)R\x94.",
      11 + 14 + 14 + 6);
  const auto pickle = TorchPickle::Parse(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_EQ(pickle->root().kind, Kind::kDict);
}

TEST(TorchPickleTest, Tensors) {
  const std::string bytes =
      PickleWriter()
          .Tensor("BFloat16Storage", "7", 100, 3, {2, 4}, {4, 1})
          .Finish();
  const auto pickle = TorchPickle::Parse(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  ASSERT_EQ(pickle->root().kind, Kind::kTensor);
  const TorchPickle::Tensor& tensor = pickle->tensors()[0];
  EXPECT_EQ(tensor.offset, 3);
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(tensor.strides, (std::vector<int64_t>{4, 1}));
  const TorchPickle::Storage& storage = pickle->storages()[tensor.storage];
  EXPECT_EQ(storage.type, TensorType::kBf16);
  EXPECT_EQ(storage.key, "7");
  EXPECT_EQ(storage.size, 100);
  // torch.nn.Parameter(tensor)
  PickleWriter parameter;
  parameter.Global("torch._utils", "_rebuild_parameter").Raw("(");
  parameter.Tensor("FloatStorage", "0", 1, 0, {1}, {1}).Raw("\x88}tR");
  const std::string parameter_bytes = parameter.Finish();
  const auto read = TorchPickle::Parse(parameter_bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->root().kind, Kind::kTensor);
}

// No code of a pickle is executed, whatever it calls.
TEST(TorchPickleTest, ClassesAreRefusedByName) {
  EXPECT_THAT(Error(PickleWriter()
                        .Global("os", "system")
                        .String("echo")
                        .Raw("\x85R")
                        .Finish()),
              HasSubstr("expected tensors and plain data, found the class "
                        "'os.system'; save only the state_dict"));
  for (auto [module, name] :
       {std::pair("builtins", "eval"), std::pair("argparse", "Namespace"),
        std::pair("torch", "storage"), std::pair("torch._utils", "_rebuild_"),
        std::pair("torch.nn.modules.rnn", "LSTM"), std::pair("", "")}) {
    EXPECT_THAT(Error(PickleWriter().Global(module, name).Finish()),
                HasSubstr("found the class"));
  }
  // Known classes are called in their way only.
  EXPECT_THAT(ErrorOf("ccollections\nOrderedDict\n(]tR"),
              HasSubstr("found a call of 'collections.OrderedDict' with 1 "
                        "arguments"));
  EXPECT_THAT(ErrorOf("ctorch\nFloatStorage\n)R"), HasSubstr("found a call"));
  EXPECT_THAT(ErrorOf("ctorch._utils\n_rebuild_tensor_v2\n)R"),
              HasSubstr("expected a storage, an offset, a shape and strides"));
  EXPECT_THAT(ErrorOf("ccollections\nOrderedDict\n)\x81"),
              HasSubstr("found a call"));
  EXPECT_THAT(ErrorOf("](K\x01K\x02tR"),
              HasSubstr("expected a class and its arguments"));
}

TEST(TorchPickleTest, InstructionsThatTensorsDoNotNeed) {
  // INST, OBJ, REDUCE of an unknown, EXT1, DUP, POP, NEWOBJ_EX ...
  for (int opcode :
       {0x69, 0x6f, 0x32, 0x30, 0x31, 0x50, 0x46, 0x49, 0x4c, 0x53, 0x54,
        0x55, 0x56, 0x6c, 0x64, 0x67, 0x70, 0x82, 0x83, 0x84, 0x8b, 0x8d,
        0x8e, 0x8f, 0x90, 0x91, 0x92, 0x96, 0x97, 0x98, 0x00, 0xff}) {
    EXPECT_THAT(ErrorOf(std::string(1, static_cast<char>(opcode))),
                HasSubstr("byte 2: expected an instruction of a dictionary of "
                          "tensors, found "))
        << opcode;
  }
}

TEST(TorchPickleTest, WrongStacks) {
  EXPECT_THAT(ErrorOf(""),
              HasSubstr("expected 1 values on the stack, found 0"));
  EXPECT_THAT(ErrorOf("NN"), HasSubstr("expected one value at the end"));
  EXPECT_THAT(ErrorOf("t"), HasSubstr("expected a mark"));
  EXPECT_THAT(ErrorOf("N\x86"), HasSubstr("expected 2 values"));
  EXPECT_THAT(ErrorOf("N(\x85"), HasSubstr("expected 1 values"));
  EXPECT_THAT(ErrorOf("NNa"), HasSubstr("expected a list, found None"));
  EXPECT_THAT(ErrorOf("](NNs"), HasSubstr("expected 3 values"));
  EXPECT_THAT(ErrorOf("](NNNNu"),
              HasSubstr("expected a dictionary, found a list"));
  EXPECT_THAT(ErrorOf("}(NNNu"), HasSubstr("an odd number"));
  EXPECT_THAT(ErrorOf({"h\x05", 2}), HasSubstr("found none at 5"));
  EXPECT_THAT(ErrorOf({"q\x05", 2}), HasSubstr("expected 1 values"));
  EXPECT_THAT(ErrorOf("NQ"), HasSubstr("expected a storage"));
  EXPECT_THAT(ErrorOf("}Nb"),
              HasSubstr("expected a dictionary and its fields"));
  EXPECT_THAT(Error(PickleWriter().Raw("N").Finish() + "N"),
              HasSubstr("expected the end, found 1 more bytes"));
  EXPECT_THAT(Error("\x80\x01N."), HasSubstr("expected protocol 2 to 5"));
  EXPECT_THAT(Error(""), HasSubstr("byte 0: expected 1 more bytes, found 0"));
  EXPECT_THAT(ErrorOf({"X\xff\xff\xff\xff", 5}),
              HasSubstr("expected 4294967295 more bytes"));
  EXPECT_THAT(ErrorOf({"\x8a\x09", 2}), HasSubstr("at most 64 bits"));
}

// Neither parsing nor a container in itself recurses.
TEST(TorchPickleTest, DeepAndCircular) {
  std::string deep(300'000, ']');
  deep += std::string(299'999, 'a');
  EXPECT_EQ(ErrorOf(deep), "OK");
  EXPECT_EQ(ErrorOf({"]q\0h\0a", 6}), "OK");
}

TEST(TorchPickleTest, EveryPrefixAndByte) {
  const std::string bytes =
      PickleWriter()
          .Raw("}(")
          .String("a")
          .Tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})
          .Raw("u")
          .Finish();
  ASSERT_EQ(Error(bytes), "OK");
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_NE(Error(bytes.substr(0, i)), "OK");
    for (int value = 0; value < 256; ++value) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(value);
      (void)TorchPickle::Parse(changed);
    }
  }
}

}  // namespace
}  // namespace lmserve
