// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_file.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/torch_writer.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Returns the bytes of floats 0, 1, 2, ...
std::string Numbers(size_t count) {
  std::vector<float> floats(count);
  for (size_t i = 0; i < count; ++i) floats[i] = static_cast<float>(i);
  return {reinterpret_cast<const char*>(floats.data()), count * sizeof(float)};
}

std::vector<float> FloatsOf(const TensorView& tensor) {
  std::vector<float> floats(tensor.size());
  CopyFloats(tensor, absl::MakeSpan(floats));
  return floats;
}

// Returns a file whose pickle was written by hand.
std::string FileOf(const PickleWriter& pickle,
                   std::vector<ZipFile> more = {{"m/data/0", Numbers(6)}}) {
  more.insert(more.begin(), {"m/data.pkl", pickle.Finish()});
  return MakeZip(more);
}

// A dictionary of one tensor "t" that views the numbers 0 to 5.
PickleWriter View(int64_t offset, const std::vector<int64_t>& shape,
                  const std::vector<int64_t>& strides) {
  PickleWriter pickle;
  pickle.Raw("}").String("t");
  pickle.Tensor("FloatStorage", "0", 6, offset, shape, strides).Raw("s");
  return pickle;
}

std::vector<float> ReadView(int64_t offset, const std::vector<int64_t>& shape,
                            const std::vector<int64_t>& strides) {
  const std::string bytes = FileOf(View(offset, shape, strides));
  const auto file = TorchFile::Parse(bytes);
  EXPECT_TRUE(file.ok()) << file.status();
  const auto read = file->StateDict({});
  EXPECT_TRUE(read.ok()) << read.status();
  if (!read.ok()) return {};
  EXPECT_EQ(read->tensors.at("t").shape, shape);
  return FloatsOf(read->tensors.at("t"));
}

std::string Error(const std::string& bytes,
                  const std::vector<std::string>& keys = {}) {
  const auto file = TorchFile::Parse(bytes);
  return std::string(file.ok() ? file->StateDict(keys).status().message()
                               : file.status().message());
}

std::string ViewError(int64_t offset, const std::vector<int64_t>& shape,
                      const std::vector<int64_t>& strides) {
  return Error(FileOf(View(offset, shape, strides)));
}

TEST(TorchFileTest, ReadsAStateDict) {
  const std::string numbers = Numbers(6), half("\x00\x3c\x00\xc0", 4);
  const TensorFile::Tensors tensors = {
      {"a.weight", {TensorType::kF32, {2, 3}, numbers}},
      {"b", {TensorType::kF16, {2}, half}}};
  for (const std::string key : {"", "model"}) {
    const std::string bytes = MakeTorchFile(tensors, key);
    const TorchFile file = TorchFile::Parse(bytes).value();
    const auto read = file.StateDict(key.empty() ? std::vector<std::string>()
                                                 : std::vector{key});
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(read->tensors.size(), 2u);
    EXPECT_EQ(read->tensors.at("a.weight").bytes, numbers);
    EXPECT_EQ(read->tensors.at("a.weight").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_THAT(FloatsOf(read->tensors.at("b")), ElementsAre(1, -2));
  }
}

TEST(TorchFileTest, Views) {
  EXPECT_THAT(ReadView(0, {6}, {1}), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(ReadView(2, {2, 2}, {2, 1}), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(ReadView(0, {3, 2}, {1, 3}), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(ReadView(1, {2}, {3}), ElementsAre(1, 4));
  EXPECT_THAT(ReadView(0, {2, 2}, {0, 1}), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(ReadView(5, {}, {}), ElementsAre(5));
  EXPECT_THAT(ReadView(0, {1, 1, 2}, {77, 99, 1}), ElementsAre(0, 1));
  EXPECT_THAT(ReadView(6, {3, 0}, {1, 1}), ElementsAre());
}

TEST(TorchFileTest, ViewsMustBeWithinTheirNumbers) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const std::string& error :
       {ViewError(0, {7}, {1}), ViewError(1, {6}, {1}), ViewError(6, {1}, {1}),
        ViewError(0, {2}, {6}), ViewError(0, {3, 3}, {1, 1}),
        ViewError(0, {1000}, {0}), ViewError(kMost, {1}, {1}),
        ViewError(0, {2}, {kMost}), ViewError(kMost, {2, 2}, {kMost, kMost}),
        ViewError(0, {kMost, kMost, kMost}, {0, 0, 0}),
        ViewError(0, {1 << 20, 1 << 20, 1 << 24}, {1, 1, 1})}) {
    EXPECT_THAT(error, HasSubstr("tensor 't': expected a part of the 6 numbers "
                                 "of its storage"));
  }
}

TEST(TorchFileTest, StoragesMustHaveTheirSize) {
  EXPECT_THAT(Error(FileOf(View(0, {6}, {1}), {{"m/data/0", Numbers(5)}})),
              HasSubstr("expected 6 numbers of 4 bytes in the file "
                        "'m/data/0', found 20 bytes"));
  EXPECT_THAT(Error(FileOf(View(0, {6}, {1}), {})),
              HasSubstr("expected the file 'm/data/0', found none"));
}

TEST(TorchFileTest, OtherThingsAreRefused) {
  const std::string numbers = Numbers(1);
  const TensorFile::Tensors one = {{"a", {TensorType::kF32, {1}, numbers}}};
  EXPECT_THAT(Error(MakeTorchFile(one, "model")),
              HasSubstr("key 'epoch': expected a tensor, found an integer; if "
                        "the state_dict is in a dictionary, name its key with "
                        "--state-dict; the keys are 'epoch', 'model'"));
  EXPECT_EQ(Error(MakeTorchFile(one, "model"), {"net"}),
            "expected the key 'net', found 'epoch', 'model'");
  EXPECT_EQ(Error(MakeTorchFile(one, "model"), {"epoch"}),
            "expected a dictionary, found an integer");
  PickleWriter list;
  EXPECT_EQ(Error(FileOf(list.Raw("]"))),
            "expected a dictionary, found a list");
  PickleWriter number_key;
  EXPECT_THAT(Error(FileOf(number_key.Raw("}").Integer(1).Integer(2).Raw("s"))),
              HasSubstr("expected names of tensors as keys, found an integer"));
  PickleWriter empty;
  empty.Raw("}");
  EXPECT_THAT(Error(FileOf(empty, {{"m/constants.pkl", ""}})),
              HasSubstr("TorchScript"));
  EXPECT_THAT(Error(FileOf(empty, {{"m/byteorder", "big"}})),
              HasSubstr("byteorder: expected little, found 'big'"));
  EXPECT_THAT(Error(FileOf(empty, {{"n/data.pkl", ""}})),
              HasSubstr("expected one file data.pkl"));
  EXPECT_THAT(Error(MakeZip({{"a", "b"}})), HasSubstr("found none"));
}

TEST(TorchFileTest, ANameTwice) {
  PickleWriter pickle;
  pickle.Raw("}(");
  for (int i = 0; i < 2; ++i) {
    pickle.String("t").Tensor("FloatStorage", "0", 6, 0, {6}, {1});
  }
  EXPECT_THAT(Error(FileOf(pickle.Raw("u"))),
              HasSubstr("'t': expected each name once"));
}

std::vector<std::string> WordsOf(PickleWriter& pickle) {
  const std::string bytes = FileOf(pickle);
  const auto words = TorchFile::Parse(bytes).value().Words();
  if (!words.ok()) return {std::string(words.status().message())};
  return *words;
}

TEST(TorchFileTest, Vocabularies) {
  PickleWriter list, map, hole, twice, number, vocab;
  list.Raw("](").String("a").String("b").Raw("e");
  EXPECT_THAT(WordsOf(list), ElementsAre("a", "b"));
  map.Raw("}(").String("b").Integer(1).String("a").Integer(0).Raw("u");
  EXPECT_THAT(WordsOf(map), ElementsAre("a", "b"));
  hole.Raw("}(").String("b").Integer(2).String("a").Integer(0).Raw("u");
  EXPECT_THAT(WordsOf(hole),
              ElementsAre("word 'b': expected an id below 2, the number of "
                          "words, found 2"));
  twice.Raw("}(").String("b").Integer(0).String("a").Integer(0).Raw("u");
  EXPECT_THAT(WordsOf(twice), ElementsAre("word 'a': expected an id of its "
                                          "own, found 0, that of 'b'"));
  number.Raw("](").String("a").Integer(1).Raw("e");
  EXPECT_THAT(WordsOf(number),
              ElementsAre("word 1: expected a string, found an integer"));
  // torchtext.vocab.Vocab of torchtext 0.9 or earlier.
  vocab.Global("torchtext.vocab", "Vocab").Raw(")\x81}(").String("freqs");
  vocab.Global("collections", "Counter").Raw("}").String("a").Integer(7);
  vocab.Raw("s\x85R").String("itos").Raw("](").String("<unk>").String("a");
  vocab.Raw("e").String("unk_index").Integer(0).String("vectors").Raw("Nub");
  EXPECT_THAT(WordsOf(vocab), ElementsAre("<unk>", "a"));
}

}  // namespace
}  // namespace lmserve
