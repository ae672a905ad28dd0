// SPDX-License-Identifier: Apache-2.0
#include "text_io/line_reader.h"

#include <unistd.h>

#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

Lines ReadAll(LineReader& reader) {
  Lines lines;
  absl::string_view line;
  while (reader.Next(&line)) lines.emplace_back(line);
  return lines;
}

// Returns lines of 0 to 999 bytes which together fill many blocks.
Lines ManyLines() {
  std::mt19937 random(1);
  Lines lines;
  for (int i = 0; i < 2000; ++i) {
    lines.emplace_back(random() % 1000, static_cast<char>('a' + i % 26));
  }
  return lines;
}

class LineReaderTest : public testing::Test {
 protected:
  std::unique_ptr<LineReader> Open(absl::string_view bytes) {
    WriteBytes(path_, bytes);
    return LineReader::Open(path_).value();
  }

  Lines Read(absl::string_view bytes) {
    const std::unique_ptr<LineReader> reader = Open(bytes);
    Lines lines = ReadAll(*reader);
    EXPECT_TRUE(reader->status().ok()) << reader->status();
    return lines;
  }

  // Returns the error message for a file that cannot be read to its end.
  std::string Failure(absl::string_view bytes) {
    const std::unique_ptr<LineReader> reader = Open(bytes);
    ReadAll(*reader);
    EXPECT_EQ(reader->status().code(), absl::StatusCode::kDataLoss);
    return std::string(reader->status().message());
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("text");
};

TEST_F(LineReaderTest, Lines) {
  EXPECT_THAT(Read("one\ntwo words\n"), ElementsAre("one", "two words"));
  EXPECT_THAT(Read("one\ntwo"), ElementsAre("one", "two"));
  EXPECT_THAT(Read("\n\na\n\n"), ElementsAre("", "", "a", ""));
  EXPECT_THAT(Read("a\r\nb"), ElementsAre("a\r", "b"));
  EXPECT_THAT(Read(absl::string_view("a\0b\n", 4)),
              ElementsAre(std::string("a\0b", 3)));
}

TEST_F(LineReaderTest, LinesCanBeLimited) {
  const auto reader = Open("abc\n" + std::string(1 << 20, 'x') + "\n");
  reader->LimitLines(3);
  EXPECT_THAT(ReadAll(*reader), ElementsAre("abc"));
  EXPECT_THAT(reader->status().message(),
              HasSubstr("line 2: expected at most 3 bytes"));
  const auto last = Open("abc\nabcd");
  last->LimitLines(3);
  EXPECT_THAT(ReadAll(*last), ElementsAre("abc"));
  EXPECT_EQ(last->status().code(), absl::StatusCode::kInvalidArgument);
}

// A small file can have a line that does not fit into memory.
TEST_F(LineReaderTest, ALimitedLineIsNotReadToItsEnd) {
  std::mt19937 random(1);
  std::string line(16 << 20, 'x');  // which does not become much smaller
  for (char& c : line) c = static_cast<char>('0' + random() % 64);
  const auto reader = Open(Gzip(line));
  reader->LimitLines(1 << 20);
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  EXPECT_LT(reader->Progress(), 0.9);
}

TEST_F(LineReaderTest, EmptyFiles) {
  EXPECT_THAT(Read(""), IsEmpty());
  EXPECT_THAT(Read(Gzip("")), IsEmpty());
  EXPECT_THAT(Read(Xz("")), IsEmpty());
  EXPECT_THAT(Read(Bzip2("")), IsEmpty());
  EXPECT_THAT(Read(Zstd("")), IsEmpty());
}

TEST_F(LineReaderTest, LineNumbersAndName) {
  const std::unique_ptr<LineReader> reader = Open("a\n\nb");
  EXPECT_EQ(reader->line_number(), 0u);
  absl::string_view line;
  for (uint64_t number = 1; reader->Next(&line); ++number) {
    EXPECT_EQ(reader->line_number(), number);
  }
  EXPECT_EQ(reader->line_number(), 3u);
  EXPECT_FALSE(reader->Next(&line));  // again at the end
  EXPECT_EQ(reader->name(), path_);
  const absl::Status error = LineError(*reader, "no good");
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error.message(), path_ + " line 3: no good");
}

TEST_F(LineReaderTest, ManyBlocksPlainAndCompressed) {
  const Lines lines = ManyLines();
  const std::string text = absl::StrJoin(lines, "\n") + "\n";
  EXPECT_EQ(Read(text), lines);
  EXPECT_EQ(Read(Gzip(text)), lines);
  EXPECT_EQ(Read(Xz(text)), lines);
  EXPECT_EQ(Read(Bzip2(text)), lines);
  EXPECT_EQ(Read(Zstd(text)), lines);
}

TEST_F(LineReaderTest, IncompressibleBytes) {
  std::mt19937 random(2);
  std::string text(1'000'000, '\0');
  for (char& c : text) c = 'A' + random() % 32;
  EXPECT_THAT(Read(Gzip(text)), ElementsAre(text));
  EXPECT_THAT(Read(Xz(text)), ElementsAre(text));
  EXPECT_THAT(Read(Bzip2(text)), ElementsAre(text));
  EXPECT_THAT(Read(Zstd(text)), ElementsAre(text));
}

TEST_F(LineReaderTest, VeryLongLine) {
  std::string line;
  line.resize(10'000'000, 'x');
  EXPECT_THAT(Read(line + "\nshort"), ElementsAre(line, "short"));
  for (const auto& compress : {Gzip, Xz, Bzip2, Zstd}) {
    EXPECT_THAT(Read(compress(line)), ElementsAre(line));
  }
}

// `cat a.gz b.gz` is a valid gzip file; a line may continue in the next member.
TEST_F(LineReaderTest, ConcatenatedMembers) {
  for (const auto& compress : {Gzip, Xz, Bzip2, Zstd}) {
    EXPECT_THAT(Read(compress("a\nb") + compress("") + compress("c\n")),
                ElementsAre("a", "bc"));
  }
}

TEST_F(LineReaderTest, TruncatedArchives) {
  const std::pair<std::string, std::string> archives[] = {
      {"gzip", Gzip("one\ntwo\n")},
      {"xz", Xz("one\ntwo\n")},
      {"bzip2", Bzip2("one\ntwo\n")},
      {"zstd", Zstd("one\ntwo\n")}};
  for (const auto& [name, bytes] : archives) {
    for (size_t size = 6; size < bytes.size(); ++size) {
      EXPECT_EQ(Failure(bytes.substr(0, size)),
                absl::StrCat(path_, ": the ", name, " data is truncated"));
    }
    EXPECT_THAT(Failure(bytes + bytes.substr(0, 8)), HasSubstr("truncated"));
  }
}

TEST_F(LineReaderTest, CorruptArchives) {
  std::pair<std::string, std::string> archives[] = {
      {"gzip", Gzip("one\ntwo\n")},
      {"xz", Xz("one\ntwo\n")},
      {"bzip2", Bzip2("one\ntwo\n")},
      {"zstd", Zstd("one\ntwo\n")}};
  archives[0].second[archives[0].second.size() - 8] ^= 1;  // the checksum
  archives[1].second[archives[1].second.size() / 2] ^= 1;
  archives[2].second[11] ^= 1;
  archives[3].second.back() ^= 1;
  for (const auto& [name, bytes] : archives) {
    EXPECT_EQ(Failure(bytes),
              absl::StrCat(path_, ": the ", name, " data is corrupt"));
  }
  EXPECT_THAT(Failure(Gzip("one\n") + "no member"), HasSubstr("corrupt"));
  EXPECT_THAT(Failure(Xz("one\n") + "no stream, but a text"),
              HasSubstr("corrupt"));
  EXPECT_THAT(Failure(Bzip2("one\n") + "no stream, but a text"),
              HasSubstr("corrupt"));
  EXPECT_THAT(Failure(Zstd("one\n") + "no frame"), HasSubstr("corrupt"));
}

TEST_F(LineReaderTest, NoLinesAfterAFailure) {
  const std::string text = absl::StrJoin(ManyLines(), "\n");
  const std::string gzip = Gzip(text);
  const auto reader = Open(gzip.substr(0, gzip.size() - 20));
  const size_t lines = ReadAll(*reader).size();
  EXPECT_LT(lines, 2000u);
  EXPECT_FALSE(reader->status().ok());
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
}

TEST_F(LineReaderTest, ProgressGoesFromZeroToOne) {
  const auto reader = Open(absl::StrJoin(ManyLines(), "\n"));
  absl::string_view line;
  double last = 0;
  while (reader->Next(&line)) {
    EXPECT_GE(reader->Progress(), last);
    last = reader->Progress();
  }
  EXPECT_EQ(last, 1);
  EXPECT_EQ(Open("")->Progress(), -1);
}

TEST_F(LineReaderTest, MissingFilesAndDirectories) {
  const absl::Status missing =
      LineReader::Open(directory_.File("missing")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr(directory_.File("missing")));
  const absl::Status folder = LineReader::Open(directory_.path()).status();
  EXPECT_EQ(folder.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(folder.message(), HasSubstr("directory"));
}

// Editors of Windows write a byte order mark; the first word is the same
// without it, in whatever the text is compressed.
TEST_F(LineReaderTest, ByteOrderMarkIsPassedOver) {
  const std::string text = "\xEF\xBB\xBFturn on\nturn \xEF\xBB\xBFoff\n";
  for (const std::string& bytes :
       {text, Gzip(text), Xz(text), Bzip2(text), Zstd(text)}) {
    EXPECT_THAT(Read(bytes), ElementsAre("turn on", "turn \xEF\xBB\xBFoff"));
  }
  EXPECT_THAT(Read("\xEF\xBB\xBF"), IsEmpty());
  EXPECT_THAT(Read("\xEF\xBB\xBF\n"), ElementsAre(""));
  EXPECT_THAT(ReadAll(*LineReader::FromString("\xEF\xBB\xBFon")),
              ElementsAre("on"));
  // Files that were concatenated, or that got a second mark.
  EXPECT_THAT(Read("\xEF\xBB\xBF\xEF\xBB\xBFturn\n\xEF\xBB\xBFoff\n"),
              ElementsAre("turn", "off"));
}

// As one line, such a text would be another one.
TEST_F(LineReaderTest, LinesThatEndWithCarriageReturnsAloneAreRefused) {
  const std::string line(500, 'a');
  for (const std::string& bytes :
       {std::string("turn on\rturn off\r"), std::string("turn on\rturn off"),
        absl::StrCat(line, line, "\r", line), Gzip("a\rb\r")}) {
    const auto reader = Open(bytes);
    EXPECT_THAT(ReadAll(*reader), IsEmpty());
    EXPECT_EQ(reader->status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(reader->status().message(),
                HasSubstr("expected lines that end with LF, found CR alone"));
  }
  EXPECT_THAT(Read("turn on\r"), ElementsAre("turn on\r"));
  EXPECT_THAT(Read("turn\ron\nturn off\n"),
              ElementsAre("turn\ron", "turn off"));
  EXPECT_THAT(Read(absl::StrCat(line, line, "\r", line, "\noff\n")),
              ElementsAre(absl::StrCat(line, line, "\r", line), "off"));
}

TEST_F(LineReaderTest, OtherFormatsAreNamed) {
  for (const std::string& bytes :
       {std::string("PK\x03\x04 data"), Gzip("PK\x03\x04 data")}) {
    const auto reader = Open(bytes);
    EXPECT_THAT(ReadAll(*reader), IsEmpty());
    EXPECT_EQ(reader->status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(reader->status().message(),
              path_ + ": expected text, found a zip archive");
  }
}

TEST_F(LineReaderTest, KnowsWhetherALineEnds) {
  const auto reader = Open("a\nb");
  absl::string_view line;
  ASSERT_TRUE(reader->Next(&line));
  EXPECT_TRUE(reader->has_line_end());
  ASSERT_TRUE(reader->Next(&line));
  EXPECT_FALSE(reader->has_line_end());
}

TEST(LineReaderFromString, Lines) {
  const auto reader = LineReader::FromString("a\nb");
  EXPECT_THAT(ReadAll(*reader), ElementsAre("a", "b"));
  EXPECT_EQ(reader->name(), "text");
  EXPECT_THAT(ReadAll(*LineReader::FromString("")), IsEmpty());
}

// Replaces the standard input by a pipe that delivers its bytes one by one, for
// the lifetime of the object.
class StandardInput {
 public:
  explicit StandardInput(std::string bytes) : kept_(dup(STDIN_FILENO)) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    writer_ = std::thread([bytes = std::move(bytes), end = ends[1]] {
      for (char c : bytes) {
        if (write(end, &c, 1) != 1) std::abort();
      }
      close(end);
    });
  }
  ~StandardInput() {
    writer_.join();
    dup2(kept_, STDIN_FILENO);
    close(kept_);
  }

 private:
  const int kept_;
  std::thread writer_;
};

TEST(LineReaderStandardInput, PlainAndCompressed) {
  for (const std::string& bytes :
       {std::string("one\ntwo"), std::string("\xEF\xBB\xBFone\ntwo"),
        Gzip("one\ntwo"), Xz("one\ntwo"), Bzip2("one\ntwo"),
        Zstd("one\ntwo")}) {
    const StandardInput input(bytes);
    const auto reader = LineReader::Open("-").value();
    EXPECT_THAT(ReadAll(*reader), ElementsAre("one", "two"));
    EXPECT_EQ(reader->name(), "standard input");
    EXPECT_EQ(reader->Progress(), -1);
  }
}

}  // namespace
}  // namespace lmserve
