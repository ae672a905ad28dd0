// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/checkpoint.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

Checkpoint MakeCheckpoint() {
  Checkpoint checkpoint;
  checkpoint.description = "lstm units=3 \"quoted\"\nsecond line, \xC3\xBC";
  checkpoint.progress.epoch = 3;
  checkpoint.progress.batch = 17;
  checkpoint.progress.step = (uint64_t{1} << 60) + 1;
  checkpoint.progress.words = std::numeric_limits<uint64_t>::max();
  checkpoint.progress.seconds = 12.0625;
  checkpoint.progress.learning_rate = 0.1;
  checkpoint.progress.best_valid_loss = std::numeric_limits<double>::max();
  checkpoint.progress.best_epoch = 2;
  checkpoint.log = "{\"epoch\":1}\n{\"epoch\":2}\n";
  checkpoint.arrays["values"] = {1, -0.0f, 1e-45f, 3e38f, 0.1f};
  checkpoint.arrays["best"] = {2};
  checkpoint.arrays["state.0"] = {};
  return checkpoint;
}

class CheckpointTest : public testing::Test {
 protected:
  std::string Path() const { return directory_.File("c.safetensors"); }

  void WriteBytes(const std::string& bytes) const {
    std::ofstream(Path(), std::ios::binary) << bytes;
  }
  std::string ReadBytes() const {
    std::ifstream in(Path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  absl::StatusOr<Checkpoint> Read() const {
    return ReadCheckpoint(Path(), MakeCheckpoint().description);
  }

  // Returns the error for a file with this metadata.
  std::string ErrorOf(const std::string& progress) const {
    TensorFileWriter writer;
    writer.SetMetadata("description", MakeCheckpoint().description);
    writer.SetMetadata("log", "");
    writer.SetMetadata("progress", progress);
    WriteBytes(writer.Finish());
    const absl::Status status = Read().status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }

  const TemporaryDirectory directory_;
};

TEST_F(CheckpointTest, RoundTripKeepsAllBits) {
  const Checkpoint written = MakeCheckpoint();
  ASSERT_TRUE(WriteCheckpoint(Path(), written).ok());
  const absl::StatusOr<Checkpoint> read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->description, written.description);
  EXPECT_EQ(read->log, written.log);
  EXPECT_EQ(read->progress.epoch, written.progress.epoch);
  EXPECT_EQ(read->progress.batch, written.progress.batch);
  EXPECT_EQ(read->progress.step, written.progress.step);
  EXPECT_EQ(read->progress.words, written.progress.words);
  EXPECT_EQ(read->progress.seconds, written.progress.seconds);
  EXPECT_EQ(read->progress.learning_rate, written.progress.learning_rate);
  EXPECT_EQ(read->progress.best_valid_loss, written.progress.best_valid_loss);
  EXPECT_EQ(read->progress.best_epoch, written.progress.best_epoch);
  ASSERT_EQ(read->arrays.size(), written.arrays.size());
  for (const auto& [name, expected] : written.arrays) {
    const std::vector<float>& found = read->arrays.at(name);
    ASSERT_EQ(found.size(), expected.size()) << name;
    if (expected.empty()) continue;
    EXPECT_EQ(std::memcmp(found.data(), expected.data(),
                          expected.size() * sizeof(float)),
              0)
        << name;
  }
}

TEST_F(CheckpointTest, ReplacesTheCheckpointBefore) {
  Checkpoint checkpoint = MakeCheckpoint();
  ASSERT_TRUE(WriteCheckpoint(Path(), checkpoint).ok());
  checkpoint.progress.batch = 18;
  checkpoint.arrays.erase("best");
  ASSERT_TRUE(WriteCheckpoint(Path(), checkpoint).ok());
  EXPECT_EQ(Read()->progress.batch, 18u);
  EXPECT_EQ(Read()->arrays.count("best"), 0u);
  // No temporary file is left.
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(directory_.path()), {}),
      1);
}

TEST_F(CheckpointTest, NoFile) {
  EXPECT_TRUE(absl::IsNotFound(Read().status())) << Read().status();
  EXPECT_THAT(Read().status().message(), HasSubstr(Path()));
}

TEST_F(CheckpointTest, NoFolder) {
  EXPECT_FALSE(
      WriteCheckpoint(directory_.File("none/c"), MakeCheckpoint()).ok());
}

TEST_F(CheckpointTest, OfAnotherTraining) {
  ASSERT_TRUE(WriteCheckpoint(Path(), MakeCheckpoint()).ok());
  const absl::Status status = ReadCheckpoint(Path(), "gru units=3").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(Path()));
  EXPECT_THAT(status.message(), HasSubstr("expected\n  gru units=3\nfound\n  "
                                          "lstm units=3"));
}

// Tries every prefix of a file.
TEST_F(CheckpointTest, CutOff) {
  ASSERT_TRUE(WriteCheckpoint(Path(), MakeCheckpoint()).ok());
  const std::string bytes = ReadBytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    WriteBytes(bytes.substr(0, size));
    ASSERT_TRUE(absl::IsInvalidArgument(Read().status()))
        << size << ": " << Read().status();
  }
  WriteBytes(bytes);
  EXPECT_TRUE(Read().ok());
}

TEST_F(CheckpointTest, NoCheckpoint) {
  WriteBytes("no safetensors at all");
  EXPECT_THAT(Read().status().message(),
              HasSubstr("expected a checkpoint of a training"));
  WriteBytes(TensorFileWriter().Finish());
  EXPECT_THAT(
      Read().status().message(),
      HasSubstr(
          "expected a checkpoint of a training: expected description in its"));
}

TEST_F(CheckpointTest, InvalidProgress) {
  const std::string whole =
      R"({"epoch":1,"batch":2,"step":3,"words":4,"seconds":5.5,)"
      R"("learning_rate":6,"best_valid_loss":7,"best_epoch":0})";
  const auto with = [&](absl::string_view from, absl::string_view to) {
    return absl::StrReplaceAll(whole, {{from, to}});
  };
  EXPECT_THAT(ErrorOf("no json"), HasSubstr("expected a number"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("expected a number"));
  EXPECT_THAT(ErrorOf(with("\"step\":3,", "")),
              HasSubstr("expected a number as step"));
  EXPECT_THAT(ErrorOf(with(":5.5", ":null")),
              HasSubstr("expected a number as seconds"));
  EXPECT_THAT(ErrorOf(with(":2", ":\"2\"")),
              HasSubstr("expected a number as batch"));
  // Counts are integers and not negative.
  EXPECT_THAT(ErrorOf(with(":2", ":-2")), HasSubstr("batch"));
  EXPECT_THAT(ErrorOf(with(":3", ":3.5")), HasSubstr("step"));
  EXPECT_THAT(ErrorOf(with(":4", ":1e30")), HasSubstr("words"));
}

// Arrays of another type or with more than one dimension.
TEST_F(CheckpointTest, InvalidArrays) {
  for (const TensorView& tensor : {TensorView{TensorType::kI32, {1}, "1234"},
                                   TensorView{TensorType::kF32, {1, 1}, "1234"},
                                   TensorView{TensorType::kF32, {}, "1234"}}) {
    ASSERT_TRUE(WriteCheckpoint(Path(), MakeCheckpoint()).ok());
    const std::string bytes = ReadBytes();
    const TensorFile file = TensorFile::Parse(bytes).value();
    TensorFileWriter writer;
    for (const auto& [key, value] : file.metadata()) {
      writer.SetMetadata(key, value);
    }
    writer.Add("values", tensor);
    WriteBytes(writer.Finish());
    EXPECT_TRUE(absl::IsInvalidArgument(Read().status()));
    EXPECT_THAT(Read().status().message(), HasSubstr("'values'"));
  }
}

}  // namespace
}  // namespace lmserve
