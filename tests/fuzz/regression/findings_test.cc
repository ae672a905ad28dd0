// SPDX-License-Identifier: Apache-2.0
//
// One test for each defect that the fuzzers found.

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/model_store.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "ngram_files/arpa.h"
#include "server/handlers/rerank.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "text_io/line_reader.h"

namespace lmserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Here "a b" is less probable than words that were not seen after "a".
NgramTable FloorAboveAChild() {
  NgramTable table;
  table.rule = UnseenRule::kFloor;
  table.levels.resize(2);
  table.levels[0] = {{0, 1, 2, 3, 4},
                     {-2, -kInfinity, -2, -2, -2},
                     {0, 0, 0, -1, 0},
                     {0, 0, 0, 0, 1, 1}};
  table.levels[1] = {{4}, {-5}, {}, {}};
  return table;
}

// <s>, which is never predicted, was counted among the words that have the
// floor probability, so one word was missing.
TEST(LoaderFindings, WordsAtTheFloorAreCountedWithoutBeginOfSentence) {
  const BuiltNgramModel built =
      BuildModel(Vocabulary::Parse("<unk>\n<s>\n</s>\na\nb\n").value(),
                 FloorAboveAChild());
  std::vector<std::byte> state(built.model->state_size());
  built.model->Start(state.data());
  built.model->ScoreWord(state.data(), 3);
  const std::byte* row = state.data();
  std::vector<ScoredWord> best(3);
  built.model->TopK({&row, 1}, best.size(), absl::MakeSpan(best));
  EXPECT_THAT(best, testing::ElementsAre(ScoredWord{0, -1}, ScoredWord{2, -1},
                                         ScoredWord{3, -1}));
}

// A list of best words in the wrong order was accepted, and wrong words were
// predicted.
TEST(LoaderFindings, BestWordsInAnotherOrderAreRefused) {
  const BuiltNgramModel built = BuildFromArpa(TinyArpa());
  std::vector<char> bytes(built.bytes.begin(), built.bytes.end());
  // Swaps the first two of the 10 best words, which are the end of the file.
  char* best = bytes.data() + bytes.size() - 10 * sizeof(WordId);
  std::swap_ranges(best, best + sizeof(WordId), best + sizeof(WordId));
  const auto file = NgramFile::Parse({bytes.data(), bytes.size()}, 10);
  EXPECT_THAT(
      file.status().ToString(),
      testing::HasSubstr("best words: expected descending probability"));
}

// A back-off weight that is too large for ngram.bin was detected only when the
// file was built.
TEST(ArpaFindings, BackOffTooLarge) {
  for (const char* backoff : {"435", "1e38", "1e39"}) {
    const std::string arpa = absl::StrReplaceAll(
        TinyArpa(), {{"cat\t-0.25", std::string("cat\t") + backoff}});
    const auto lines = LineReader::FromString(arpa);
    EXPECT_THAT(ReadArpa(*lines, ArpaOptions()).status().ToString(),
                testing::HasSubstr(
                    "line 12: expected a back-off weight of at most 434.294"))
        << backoff;
  }
}

// For an impossible text and a large alpha, -infinity / infinity gave NaN.
TEST(RequestFindings, ImpossibleTextOverAnInfiniteDivisor) {
  const TemporaryDirectory directory;
  const BuiltNgramModel built = BuildFromArpa(
      absl::StrReplaceAll(TinyArpa(), {{"-1.5\t<unk>", "-99\t<unk>"}}));
  NewVersion version;
  version.family = std::string(kNgramFamily);
  version.files = {
      {std::string(kVocabularyFile), built.model->vocabulary().text()},
      {std::string(kNgramFile), built.bytes}};
  version.self_test = {"the cat"};
  ASSERT_TRUE(Publish(directory.path(), "tiny", version).ok());
  const auto store = ModelStore::Open(directory.path()).value();

  lm::v1::RerankRequest request;
  request.add_models("tiny");
  request.set_normalization(lm::v1::NORMALIZATION_POWER);
  request.set_alpha(1e308);
  request.add_candidates()->mutable_text()->set_text("zebra");
  request.add_candidates()->mutable_text()->set_text("the cat");
  lm::v1::RerankResponse response;
  const Limits limits;
  ASSERT_TRUE(TestServing(*store, limits)
                  .Answer(HandleRerank, request, &response)
                  .ok());
  EXPECT_EQ(response.candidates(0).index(), 1u);
  // An impossible word counts -1e6, which is not normalized.
  EXPECT_EQ(response.candidates(1).score(), -1e6);
  EXPECT_EQ(response.candidates(1).features(0), -1e6);
}

}  // namespace
}  // namespace lmserve
