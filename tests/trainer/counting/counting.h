// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TRAINER_COUNTING_COUNTING_H_
#define LMSERVE_TESTS_TRAINER_COUNTING_COUNTING_H_

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "trainer/counting/count_text.h"
#include "trainer/counting/suffix_links.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/trie_reader.h"
#include "trainer/counting/word_list.h"
#include "trainer/ngram/load_counts.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Helpers that count a text in files.

// Returns a text of `sentences` sentences. A few words are frequent, most are
// rare, and some sentences repeat.
inline std::string ZipfText(int seed, int sentences, int words) {
  std::mt19937 random(seed);
  std::string text, sentence;
  for (int i = 0; i < sentences; ++i) {
    if (random() % 8 != 0) {
      sentence.clear();
      const int length = 1 + random() % 12;
      for (int j = 0; j < length; ++j) {
        const uint64_t limit = 1 + random() % words;
        absl::StrAppend(&sentence, j == 0 ? "" : " ", "w", random() % limit);
      }
    }
    absl::StrAppend(&text, sentence, "\n");
  }
  return text;
}

// Returns a text with all that is unusual, and no sentence marker inside a
// line.
inline std::string HostileText() {
  std::string text = "\n\n  \t \n<s> a b c </s>\n</s>\n<s>\n<s> </s>\n";
  absl::StrAppend(&text, "a\r\n", "a <unk> b <UNK>\n",
                  absl::string_view("a\0b c\n", 6));
  absl::StrAppend(&text, "\xEF\xBB\xBF", "with a mark\n",
                  "x \xEF\xBB\xBFmark within\n", "\xC2\xA0 space\n");
  for (int i = 0; i < 3000; ++i) text += "a a a a a a a\n";
  for (int i = 0; i < 200000; ++i) {
    absl::StrAppend(&text, std::string(1, 'a' + int64_t{i} * i % 7 % 26), " ");
  }
  text += "\n";
  for (int i = 0; i < 26; ++i) text += std::string(1, 'a' + i) + "\n";
  absl::StrAppend(&text, std::string(60000, 'L'), " long\n", "no line end");
  return text;
}

// All that is counted of a text.
struct FullCounts {
  std::string vocabulary;
  NgramCounts counts;
  std::vector<std::vector<uint64_t>> adjusted;  // by order, from 1 on
  TextTotals totals;
};

// Counts a text in memory: the reference.
inline FullCounts CountInMemory(const CountOptions& options) {
  const Corpus corpus = ReadCorpusFile(options.corpus, options.text).value();
  FullCounts result;
  result.vocabulary = std::string(corpus.vocabulary.text());
  result.counts = CountNgrams(corpus, options.order, 1);
  for (int k = 1; k < options.order; ++k) {
    const std::vector<uint32_t> adjusted = AdjustedCounts(result.counts, k);
    result.adjusted.emplace_back(adjusted.begin(), adjusted.end());
  }
  const auto& last = result.counts.levels.back().counts;
  result.adjusted.emplace_back(last.begin(), last.end());
  result.totals = {corpus.sentences,
                   corpus.tokens(),
                   corpus.unknown,
                   corpus.blank_lines,
                   {}};
  for (std::string& text : FirstSentences(corpus.vocabulary, corpus.words)) {
    result.totals.self_test.push_back({0, std::move(text)});
  }
  return result;
}

// Builds the trie of a directory of counts and reads it.
inline absl::StatusOr<FullCounts> ReadFullCounts(const std::string& directory,
                                                 uint64_t memory, int threads,
                                                 WorkDirectory& work) {
  const auto manifest = ReadCountsManifest(directory);
  if (!manifest.ok()) return manifest.status();
  const auto shape = WriteTrie(directory, *manifest, nullptr, work);
  if (!shape.ok()) return shape.status();
  absl::Status status = LinkSuffixes(*shape, memory, threads, nullptr, work);
  if (!status.ok()) return status;
  FullCounts result;
  const auto vocabulary = ReadWordListVocabulary(directory + "/words");
  if (!vocabulary.ok()) return vocabulary.status();
  result.vocabulary = std::string(vocabulary->text());
  auto counts = LoadCounts(*shape, work);
  if (!counts.ok()) return counts.status();
  result.counts = *std::move(counts);
  for (int k = 1; k <= shape->order(); ++k) {
    auto reader = TrieReader::Open(*shape, k, work);
    if (!reader.ok()) return reader.status();
    result.adjusted.emplace_back();
    while ((*reader)->Next()) {
      for (const TrieChild& child : (*reader)->children()) {
        result.adjusted.back().push_back(child.count);
      }
    }
    if (!(*reader)->status().ok()) return (*reader)->status();
  }
  result.totals = manifest->totals;
  return result;
}

// Counts a text in files below `temporary`.
inline absl::StatusOr<FullCounts> CountInFiles(const CountOptions& options,
                                               const std::string& temporary,
                                               bool resume = false) {
  auto work = WorkDirectory::Open(temporary, CountTaskName(options), resume);
  if (!work.ok()) return work.status();
  const std::string directory = (*work)->File("counts");
  absl::Status status = CountText(options, **work, directory);
  if (!status.ok()) return status;
  return ReadFullCounts(directory, options.memory, options.threads, **work);
}

inline void ExpectSame(const FullCounts& expected, const FullCounts& found) {
  // Comparisons print no difference: the vectors are long.
  EXPECT_TRUE(expected.vocabulary == found.vocabulary);
  EXPECT_EQ(expected.counts.begin_sentence, found.counts.begin_sentence);
  ASSERT_EQ(expected.counts.order(), found.counts.order());
  for (int k = 1; k <= expected.counts.order(); ++k) {
    const CountedLevel& a = expected.counts.levels[k - 1];
    const CountedLevel& b = found.counts.levels[k - 1];
    EXPECT_EQ(a.size(), b.size()) << "order " << k;
    EXPECT_TRUE(a.words == b.words) << "order " << k;
    EXPECT_TRUE(a.counts == b.counts) << "order " << k;
    EXPECT_TRUE(a.suffixes == b.suffixes) << "order " << k;
    EXPECT_TRUE(a.children == b.children) << "order " << k;
    EXPECT_TRUE(expected.adjusted[k - 1] == found.adjusted[k - 1])
        << "order " << k;
  }
  EXPECT_EQ(expected.totals.sentences, found.totals.sentences);
  EXPECT_EQ(expected.totals.tokens, found.totals.tokens);
  EXPECT_EQ(expected.totals.unknown, found.totals.unknown);
  EXPECT_EQ(expected.totals.blank_lines, found.totals.blank_lines);
  // The places of sentences in memory are not known.
  ASSERT_EQ(expected.totals.self_test.size(), found.totals.self_test.size());
  for (size_t i = 0; i < found.totals.self_test.size(); ++i) {
    EXPECT_EQ(expected.totals.self_test[i].text,
              found.totals.self_test[i].text);
  }
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TRAINER_COUNTING_COUNTING_H_
