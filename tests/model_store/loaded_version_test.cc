// SPDX-License-Identifier: Apache-2.0
#include "model_store/loaded_version.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "model_store/self_test.h"
#include "tests/model_store/version_files.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr double kLn10 = 2.302585092994045684;
constexpr const char* kFiles[] = {"manifest.json", "ngram.bin", "selftest.json",
                                  "vocabulary.txt"};
constexpr const char* kListedFiles[] = {"ngram.bin", "selftest.json",
                                        "vocabulary.txt"};

class LoadedVersionTest : public testing::Test {
 protected:
  LoadedVersionTest() { PublishTinyModel(store_.path(), "m"); }

  std::string Path(const std::string& file) const {
    return directory_ + "/" + file;
  }

  absl::Status Load() const {
    return LoadModel(store_.path(), "m", 1).status();
  }

  // Returns the message of the load, which must fail with DATA_LOSS.
  std::string Error() const {
    const absl::Status status = Load();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    return std::string(status.message());
  }

  const TemporaryDirectory store_;
  const std::string directory_ = store_.File("m/1");
};

TEST_F(LoadedVersionTest, AnswersAsPublished) {
  const absl::StatusOr<ModelHandle> loaded = LoadModel(store_.path(), "m", 1);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->name(), "m");
  EXPECT_EQ((*loaded)->version(), 1u);
  EXPECT_EQ((*loaded)->manifest().family(), "ngram");
  EXPECT_EQ((*loaded)->manifest().properties().at("order"), "3");
  uint64_t bytes = 0;
  for (const char* file : kListedFiles) {
    bytes += std::filesystem::file_size(Path(file));
  }
  EXPECT_EQ((*loaded)->file_bytes(), bytes);
  const ModelFiles files = (*loaded)->files();
  EXPECT_EQ(files.size(), std::size(kListedFiles));
  for (const char* file : kListedFiles) {
    EXPECT_EQ(files.at(file), ReadBytes(Path(file))) << file;
  }
  const std::vector<std::string> texts = {"the cat"};
  const lm::v1::SelfTest scores = MakeSelfTest((*loaded)->model(), texts);
  EXPECT_NEAR(scores.cases(0).log_probs(0), -0.3 * kLn10, 1e-5);
  EXPECT_NEAR(scores.cases(0).log_probs(1), -0.18 * kLn10, 1e-5);
}

TEST_F(LoadedVersionTest, NoSuchVersionIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(LoadModel(store_.path(), "m", 2).status()));
  EXPECT_TRUE(absl::IsNotFound(LoadModel(store_.path(), "n", 1).status()));
  EXPECT_TRUE(absl::IsNotFound(LoadModel(store_.File("no"), "m", 1).status()));
}

TEST_F(LoadedVersionTest, UnlistedFilesAreNotRead) {
  WriteBytes(Path("notes.txt"), "anything");
  EXPECT_TRUE(Load().ok()) << Load();
}

TEST_F(LoadedVersionTest, MissingFile) {
  for (const char* file : kFiles) {
    std::filesystem::rename(Path(file), store_.File("kept"));
    EXPECT_THAT(Error(), StartsWith(absl::StrCat("file '", file, "': ")));
    std::filesystem::rename(store_.File("kept"), Path(file));
  }
  EXPECT_TRUE(Load().ok()) << Load();
}

// A copy that is in progress or was interrupted: some files do not exist yet.
TEST_F(LoadedVersionTest, HalfCopiedDirectory) {
  for (int subset = 0; subset < 15; ++subset) {
    const std::string copy = store_.File(absl::StrCat("m/", 2 + subset));
    std::filesystem::create_directory(copy);
    for (int i = 0; i < 4; ++i) {
      if (subset >> i & 1) {
        std::filesystem::copy(Path(kFiles[i]), copy + "/" + kFiles[i]);
      }
    }
    EXPECT_TRUE(
        absl::IsDataLoss(LoadModel(store_.path(), "m", 2 + subset).status()))
        << subset;
  }
}

// What a copy can leave for a while is told from damage.
TEST_F(LoadedVersionTest, AMissingOrShortFileIsIncomplete) {
  EXPECT_FALSE(IsIncomplete(absl::OkStatus()));
  for (const char* file : kFiles) {
    const std::string bytes = ReadBytes(Path(file));
    std::filesystem::remove(Path(file));
    EXPECT_TRUE(IsIncomplete(Load())) << file;
    WriteBytes(Path(file), "");
    EXPECT_TRUE(IsIncomplete(Load())) << file;
    WriteBytes(Path(file), bytes + "x");
    EXPECT_TRUE(absl::IsDataLoss(Load())) << file;
    EXPECT_FALSE(IsIncomplete(Load())) << file;
    WriteBytes(Path(file), bytes);
  }
  for (const char* file : kListedFiles) {
    const std::string bytes = ReadBytes(Path(file));
    WriteBytes(Path(file), bytes.substr(1));
    EXPECT_TRUE(IsIncomplete(Load())) << file;
    std::string changed = bytes;
    changed[0] ^= 1;
    WriteBytes(Path(file), changed);
    EXPECT_FALSE(IsIncomplete(Load())) << file;
    WriteBytes(Path(file), bytes);
  }
  EXPECT_TRUE(absl::IsNotFound(LoadModel(store_.path(), "m", 2).status()));
  EXPECT_FALSE(IsIncomplete(LoadModel(store_.path(), "m", 2).status()));
}

// While one file grows, the others are not read at each look.
TEST_F(LoadedVersionTest, SizesAreCheckedBeforeBytes) {
  std::string bytes = ReadBytes(Path("ngram.bin"));
  bytes[0] ^= 1;
  WriteBytes(Path("ngram.bin"), bytes);
  std::filesystem::remove(Path("vocabulary.txt"));
  EXPECT_THAT(Error(), StartsWith("file 'vocabulary.txt': "));
}

TEST_F(LoadedVersionTest, OneByteLessOrMore) {
  for (const char* file : kListedFiles) {
    const std::string bytes = ReadBytes(Path(file));
    for (size_t size : {bytes.size() - 1, bytes.size() + 1}) {
      std::filesystem::resize_file(Path(file), size);
      EXPECT_EQ(Error(), absl::StrCat("file '", file, "': size: expected ",
                                      bytes.size(), ", found ", size));
    }
    WriteBytes(Path(file), bytes);
  }
}

TEST_F(LoadedVersionTest, EveryByteOfTheFilesCounts) {
  for (const char* file : kListedFiles) {
    const std::string bytes = ReadBytes(Path(file));
    const std::string expected = absl::StrCat(
        "file '", file, "': SHA-256: expected ", Sha256(bytes), ", found ");
    for (size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      changed[i] ^= 1 << i % 8;
      WriteBytes(Path(file), changed);
      ASSERT_EQ(Error(), expected + Sha256(changed)) << "byte " << i;
    }
    WriteBytes(Path(file), bytes);
  }
}

// Only bytes of the fields that are for people may change.
TEST_F(LoadedVersionTest, EveryByteOfTheManifestCounts) {
  const std::string bytes = ReadBytes(Path("manifest.json"));
  lm::v1::Manifest expected = ParseManifest(bytes).value();
  expected.clear_properties();
  expected.clear_created();
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 1 << i % 7;
    WriteBytes(Path("manifest.json"), changed);
    if (!Load().ok()) {
      EXPECT_THAT(Error(), testing::AnyOf(HasSubstr("manifest.json"),
                                          HasSubstr("file '")));
      ++refused;
      continue;
    }
    lm::v1::Manifest found =
        LoadModel(store_.path(), "m", 1).value()->manifest();
    found.clear_properties();
    found.clear_created();
    EXPECT_TRUE(MessageDifferencer::Equals(found, expected)) << "byte " << i;
  }
  // At least every digit of the three digests matters.
  EXPECT_GE(refused, 3 * 64);
}

TEST_F(LoadedVersionTest, TruncatedManifest) {
  const std::string bytes = ReadBytes(Path("manifest.json"));
  for (size_t size = 0; size <= bytes.rfind('}'); ++size) {
    std::filesystem::resize_file(Path("manifest.json"), size);
    ASSERT_THAT(Error(), StartsWith("manifest.json: ")) << size;
    WriteBytes(Path("manifest.json"), bytes);
  }
}

TEST_F(LoadedVersionTest, ManifestThatSaysOtherwise) {
  const struct {
    void (*change)(lm::v1::Manifest&);
    const char* expected;
  } cases[] = {
      {[](lm::v1::Manifest& m) { m.mutable_files(0)->set_size(1u << 31); },
       "file 'ngram.bin': size: expected 2147483648, found [0-9]+"},
      {[](lm::v1::Manifest& m) { m.mutable_files(0)->clear_size(); },
       "file 'ngram.bin': size: expected 0, found [0-9]+"},
      {[](lm::v1::Manifest& m) {
         m.mutable_files(0)->set_sha256(std::string(64, '0'));
       },
       "file 'ngram.bin': SHA-256: expected 0+, found [0-9a-f]+"},
      {[](lm::v1::Manifest& m) { m.set_family("neural"); },
       "file 'manifest.json': family: expected ngram .*, found 'neural'"},
      {[](lm::v1::Manifest& m) { m.set_tokenizer("bpe"); },
       "manifest.json: tokenizer: expected whitespace, found 'bpe'"},
      {[](lm::v1::Manifest& m) { m.set_format_version(2); },
       "manifest.json: format_version: expected 1, found '2': a newer "
       "lmserve wrote this version"},
      {[](lm::v1::Manifest& m) {
         m.mutable_files(0)->set_name("../1/ngram.bin");
       },
       "manifest.json: files.name: .* found '../1/ngram.bin'"},
      {[](lm::v1::Manifest& m) { m.mutable_files()->DeleteSubrange(0, 1); },
       "the file ngram.bin is missing"},
      {[](lm::v1::Manifest& m) { m.mutable_files()->DeleteSubrange(2, 1); },
       "the file vocabulary.txt is missing"},
  };
  const std::string good = ReadBytes(Path("manifest.json"));
  for (const auto& c : cases) {
    ChangeManifest(directory_, c.change);
    EXPECT_THAT(Error(), MatchesRegex(c.expected));
    WriteBytes(Path("manifest.json"), good);
  }
}

TEST_F(LoadedVersionTest, SelfTestThatDisagrees) {
  const struct {
    const char* json;
    const char* expected;
  } cases[] = {
      // ln 10^-1.3 is -2.9934.
      {R"({"cases": [{"text": "", "log_probs": [-2.5]}]})",
       "file 'selftest.json': self-test 0, word 0: log-probability: "
       "expected -2.5, found -2.993"},
      {R"({"cases": [{"text": "", "log_probs": ["NaN"]}]})",
       "file 'selftest.json': self-test 0, word 0"},
      {R"({"cases": [{"text": "the", "log_probs": [-0.690776]}]})",
       "file 'selftest.json': self-test 0: expected 1 words, found 2"},
      {"{}", "file 'selftest.json': self-test: expected a text, found none"},
      {"", "selftest.json: cannot parse the JSON"},
      {R"({"cases": [], "more": 1})", "selftest.json: cannot parse the JSON"},
  };
  for (const auto& c : cases) {
    ForgeFile(directory_, "selftest.json", c.json);
    EXPECT_THAT(Error(), StartsWith(c.expected));
  }
}

TEST_F(LoadedVersionTest, ModelFilesThatAreBrokenYetVerify) {
  const std::string ngram = ReadBytes(Path("ngram.bin"));
  const std::string vocabulary = ReadBytes(Path("vocabulary.txt"));
  std::string high_order = ngram;
  high_order[8] = 17;
  ForgeFile(directory_, "ngram.bin", high_order);
  EXPECT_THAT(Error(),
              StartsWith("ngram.bin at byte 8: order: expected 1 to 16, "
                         "found 17"));
  ForgeFile(directory_, "ngram.bin", "");
  EXPECT_THAT(Error(), StartsWith("ngram.bin at byte 0: "));
  ForgeFile(directory_, "ngram.bin", ngram.substr(0, ngram.size() - 1));
  EXPECT_THAT(Error(), HasSubstr("file size"));
  ForgeFile(directory_, "ngram.bin", ngram);
  ForgeFile(directory_, "vocabulary.txt", vocabulary + "zebra\n");
  EXPECT_THAT(Error(), HasSubstr("words: expected 11, found 10"));
  ForgeFile(directory_, "vocabulary.txt", vocabulary + "the\n");
  EXPECT_THAT(Error(), StartsWith("vocabulary line 11: "));
  ForgeFile(directory_, "vocabulary.txt", vocabulary);
  EXPECT_TRUE(Load().ok()) << Load();
}

// As in a cache of Hugging Face, where the files of a snapshot are links to
// "../../blobs/DIGEST".
TEST_F(LoadedVersionTest, LinkToAFileInTheStore) {
  std::filesystem::create_directory(store_.File("blobs"));
  for (const char* file : kFiles) {
    std::filesystem::rename(Path(file),
                            store_.File(absl::StrCat("blobs/", file)));
    std::filesystem::create_symlink(absl::StrCat("../../blobs/", file),
                                    Path(file));
  }
  EXPECT_TRUE(Load().ok()) << Load();
}

// As in a volume of Kubernetes: the files are links to "..data/FILE", and
// "..data" is a link to a directory beside it.
TEST_F(LoadedVersionTest, LinkThroughALinkToADirectory) {
  std::filesystem::create_directory(Path("..2026_11_29"));
  std::filesystem::create_directory_symlink("..2026_11_29", Path("..data"));
  for (const char* file : kFiles) {
    std::filesystem::rename(Path(file),
                            Path(absl::StrCat("..2026_11_29/", file)));
    std::filesystem::create_symlink(absl::StrCat("..data/", file), Path(file));
  }
  EXPECT_TRUE(Load().ok()) << Load();
}

TEST_F(LoadedVersionTest, LinkOutOfTheStoreMustBeAllowed) {
  const TemporaryDirectory elsewhere;
  for (const char* file : kFiles) {
    std::filesystem::rename(Path(file), elsewhere.File(file));
    std::filesystem::create_symlink(elsewhere.File(file), Path(file));
    EXPECT_EQ(Error(), absl::StrCat("file '", file,
                                    "': expected a file in the store, found a "
                                    "symbolic link that leads out of it"));
    const auto loaded =
        LoadModel(store_.path(), "m", 1, {.follow_links = true});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    std::filesystem::remove(Path(file));
    std::filesystem::rename(elsewhere.File(file), Path(file));
  }
}

TEST_F(LoadedVersionTest, LinkWithoutATarget) {
  std::filesystem::remove(Path("vocabulary.txt"));
  std::filesystem::create_symlink("none", Path("vocabulary.txt"));
  EXPECT_THAT(Error(), StartsWith("file 'vocabulary.txt': cannot follow the "
                                  "symbolic link"));
}

// The answers of a model whose file is mapped would change, or the process
// would end with SIGBUS.
TEST_F(LoadedVersionTest, FilesMayChangeAfterwards) {
  const ModelHandle handle = LoadModel(store_.path(), "m", 1).value();
  const std::vector<std::string> texts = {"the cat is small"};
  const lm::v1::SelfTest expected = MakeSelfTest(handle->model(), texts);
  for (const char* file : kListedFiles) {
    const std::string bytes = ReadBytes(Path(file));
    std::fstream(Path(file), std::ios::in | std::ios::out)
        << std::string(bytes.size() / 2, 'x');
    EXPECT_TRUE(RunSelfTest(handle->model(), expected).ok()) << file;
    std::filesystem::resize_file(Path(file), 0);
    EXPECT_TRUE(RunSelfTest(handle->model(), expected).ok()) << file;
  }
}

TEST_F(LoadedVersionTest, KeepsOnlyWhatTheModelReadsInPlace) {
  const ModelHandle handle =
      LoadModel(store_.path(), "m", 1, {.keep_files = false}).value();
  ASSERT_EQ(handle->files().size(), 1u);
  EXPECT_EQ(handle->files().begin()->first, "ngram.bin");
  EXPECT_GT(handle->file_bytes(), handle->files().begin()->second.size());
}

TEST_F(LoadedVersionTest, MapsWhatTheModelReadsInPlace) {
  const ModelHandle copied = LoadModel(store_.path(), "m", 1).value();
  const ModelHandle mapped =
      LoadModel(store_.path(), "m", 1, {.map_files = true}).value();
  EXPECT_EQ(mapped->files(), copied->files());
  const auto is_mapped = [] {
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    return text.find("ngram.bin") != std::string::npos;
  };
  EXPECT_TRUE(is_mapped());
}

TEST_F(LoadedVersionTest, VerifiesMappedFiles) {
  const std::string path = store_.path() + "/m/1/ngram.bin";
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const char last = static_cast<char>(file.get());
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(~last));
  }
  const absl::Status status =
      LoadModel(store_.path(), "m", 1, {.map_files = true}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("SHA-256"));
}

// The files of a network are freed after it was made: a use of their memory
// would end the process.
TEST_F(LoadedVersionTest, NetworksKeepNoFiles) {
  constexpr char kText[] = "the cat is small\na dog barks at the cat\n";
  PublishRecurrentModel(store_.path(), "lstm", kText);
  PublishBidirectionalModel(store_.path(), "both", kText);
  PublishTranslationModel(store_.path(), "translation", kText, kText);
  const std::vector<std::string> texts = {"the cat is small", "a cat"};
  for (const char* name : {"lstm", "both", "translation"}) {
    const ModelHandle whole = LoadModel(store_.path(), name, 1).value();
    const ModelHandle handle =
        LoadModel(store_.path(), name, 1, {.keep_files = false}).value();
    EXPECT_GE(whole->files().size(), 3u);
    EXPECT_TRUE(handle->files().empty());
    EXPECT_EQ(MakeSelfTest(handle->model(), texts, texts).SerializeAsString(),
              MakeSelfTest(whole->model(), texts, texts).SerializeAsString());
  }
}

TEST_F(LoadedVersionTest, EndsWithTheErrorOfItsCheck) {
  int checks = 0;
  const auto stop_at = [&](int last) {
    checks = 0;
    LoadOptions options;
    options.check = [&checks, last] {
      return ++checks == last ? absl::CancelledError("enough")
                              : absl::OkStatus();
    };
    return LoadModel(store_.path(), "m", 1, options).status();
  };
  EXPECT_TRUE(stop_at(0).ok());
  const int all = checks;
  EXPECT_GE(all, 8);  // the manifest, both ends of each file, and the self-test
  for (int last = 1; last <= all; ++last) {
    EXPECT_EQ(stop_at(last), absl::CancelledError("enough")) << last;
    EXPECT_EQ(checks, last);
  }
}

// Takes the memory that this process can still have, except for `mebibytes`.
void LeaveMemory(size_t mebibytes) {
  constexpr size_t kMebibyte = 1 << 20;
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages;
  const uint64_t size = pages * 4096 + (mebibytes + 10) * kMebibyte;
  const rlimit limit = {size, size};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  std::vector<void*> taken;
  taken.reserve(1'000'000);
  while (void* memory = std::malloc(kMebibyte)) taken.push_back(memory);
  for (size_t i = 0; i < mebibytes && !taken.empty(); ++i) {
    std::free(taken.back());
    taken.pop_back();
  }
}

TEST_F(LoadedVersionTest, TooLittleMemoryIsAnError) {
  if (IsSanitized()) {
    GTEST_SKIP() << "sanitizers need address space of their own";
  }
  // Names no model has; the vocabulary must be parsed before that is noticed.
  std::string words = ReadBytes(Path("vocabulary.txt"));
  for (int i = 0; i < 400'000; ++i) absl::StrAppend(&words, "w", i, "\n");
  ForgeFile(directory_, "vocabulary.txt", words);
  const auto load = [&] {
    LeaveMemory(12);
    const absl::Status status = Load();
    std::cerr << status << "\n";
    _exit(absl::IsResourceExhausted(status) ? 0 : 1);
  };
  EXPECT_EXIT(load(), testing::ExitedWithCode(0),
              "RESOURCE_EXHAUSTED: .*memory: ");
}

TEST_F(LoadedVersionTest, FileOfMoreThanTheMemoryIsNotRead) {
  constexpr uint64_t kHuge = uint64_t{1} << 42;
  std::filesystem::resize_file(Path("ngram.bin"), kHuge);
  ChangeManifest(directory_, [](lm::v1::Manifest& manifest) {
    manifest.mutable_files(0)->set_size(kHuge);
  });
  const absl::Status status = Load();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              StartsWith("file 'ngram.bin': memory: expected at least "
                         "4398046511104 bytes available, found "));
}

TEST_F(LoadedVersionTest, SelfTestsAskForLittle) {
  const auto forge = [&](int texts, int words) {
    lm::v1::SelfTest test;
    for (int i = 0; i < texts; ++i) {
      std::string* text = test.add_cases()->mutable_text();
      for (int t = 0; t < words; ++t) absl::StrAppend(text, "the ");
    }
    ForgeFile(directory_, "selftest.json", ToJson(test));
    return Error();
  };
  constexpr absl::string_view kPrefix =
      "file 'selftest.json': self-test: expected at most ";
  EXPECT_EQ(forge(101, 1), absl::StrCat(kPrefix, "100 texts, found 101"));
  EXPECT_EQ(forge(1, 1001),
            absl::StrCat(kPrefix, "1000 words in a text, found 1001"));
  EXPECT_EQ(forge(11, 1000), absl::StrCat(kPrefix, "10000 words, found 11000"));
  ForgeFile(directory_, "selftest.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(Error(),
            "file 'selftest.json': size: expected at most 1048576, found "
            "1048577");
}

TEST_F(LoadedVersionTest, SomethingElseInPlaceOfAFile) {
  for (const char* file : kFiles) {
    std::filesystem::rename(Path(file), store_.File("kept"));
    std::filesystem::create_directory(Path(file));
    EXPECT_THAT(Error(), StartsWith(absl::StrCat("file '", file, "': ")));
    std::filesystem::remove(Path(file));
    ASSERT_EQ(mkfifo(Path(file).c_str(), 0600), 0);
    EXPECT_THAT(Error(), StartsWith(absl::StrCat("file '", file, "': ")));
    std::filesystem::rename(store_.File("kept"), Path(file));
  }
}

TEST_F(LoadedVersionTest, HugeManifestIsNotParsed) {
  std::filesystem::resize_file(Path("manifest.json"), (1 << 20) + 1);
  EXPECT_THAT(Error(),
              StartsWith("file 'manifest.json': size: expected at most"));
}

}  // namespace
}  // namespace lmserve
