// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/labeled_text.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr ColumnFormat kColumns = {
    .is_conllu = false, .word_column = 1, .label_column = 0};

std::vector<LabeledSentence> Tagged(const std::string& text,
                                    const ColumnFormat& format = {}) {
  return ReadTaggedText(*LineReader::FromString(text), format).value();
}

std::string TaggedError(const std::string& text,
                        const ColumnFormat& format = {}) {
  return ReadTaggedText(*LineReader::FromString(text), format)
      .status()
      .ToString();
}

std::vector<LabeledSentence> Classified(const std::string& text) {
  return ReadClassifiedText(*LineReader::FromString(text)).value();
}

TEST(LabeledTextTest, ReadsConllU) {
  const auto text = Tagged(
      "# text = don't go\n"
      "1-2\tdon't\t_\t_\t_\n"
      "1\tdo\tdo\tAUX\tVBP\n"
      "2\tn't\tnot\tPART\tRB\n"
      "2.1\tghost\t_\tVERB\t_\n"
      "3\tgo\tgo\tVERB\tVB\r\n"
      "\n"
      "\n"
      "1\tNew York\tNY\tPROPN\tNNP\n");
  ASSERT_EQ(text.size(), 2u);
  EXPECT_THAT(text[0].words, ElementsAre("do", "n't", "go"));
  EXPECT_THAT(text[0].labels, ElementsAre("AUX", "PART", "VERB"));
  EXPECT_THAT(text[1].words, ElementsAre("New_York"));
  const auto xpos =
      Tagged("1\tgo\tgo\tVERB\tVB\n", {.is_conllu = true, .label_column = 5});
  EXPECT_THAT(xpos[0].labels, ElementsAre("VB"));
}

TEST(LabeledTextTest, ReadsColumns) {
  const auto text = Tagged("the DT B-NP\n#\tNN I-NP\n \nruns VBZ O", kColumns);
  ASSERT_EQ(text.size(), 2u);
  EXPECT_THAT(text[0].words, ElementsAre("the", "#"));
  EXPECT_THAT(text[0].labels, ElementsAre("B-NP", "I-NP"));
  EXPECT_THAT(text[1].labels, ElementsAre("O"));
  const auto tags =
      Tagged("the DT B-NP\n",
             {.is_conllu = false, .word_column = 1, .label_column = 2});
  EXPECT_THAT(tags[0].labels, ElementsAre("DT"));
}

TEST(LabeledTextTest, ReadsAuxiliaryLabels) {
  ColumnFormat format = kColumns;
  format.auxiliary_column = 2;
  const auto text = Tagged("the DT B-NP\ncat NN I-NP\n\nruns VBZ O\n", format);
  ASSERT_EQ(text.size(), 2u);
  EXPECT_THAT(text[0].labels, ElementsAre("B-NP", "I-NP"));
  EXPECT_THAT(text[0].auxiliary, ElementsAre("DT", "NN"));
  EXPECT_THAT(Tagged("the DT B-NP\n", kColumns)[0].auxiliary, ElementsAre());
  format.auxiliary_column = 4;
  EXPECT_THAT(TaggedError("the DT B-NP\n", format),
              HasSubstr("line 1: expected the auxiliary label in column 4, "
                        "found 3 columns"));
}

// A label that the training text does not have leaves the sentence out; an
// auxiliary one only leaves out what it is auxiliary to.
TEST(LabeledTextTest, IdsOfAuxiliaryLabels) {
  ColumnFormat format = kColumns;
  format.auxiliary_column = 2;
  const auto text = Tagged("a N X\nb V Y\nc D X\n", format);
  const LabelIndex index = IndexLabeledText(text, "", 1).value();
  EXPECT_THAT(index.labels, ElementsAre("X", "Y"));
  EXPECT_THAT(index.auxiliary, ElementsAre("D", "N", "V"));
  std::vector<std::string> spellings;
  EXPECT_THAT(ToIds(text, index, "text", &spellings)[0].auxiliary,
              ElementsAre(1, 2, 0));
  const auto valid = ToIds(Tagged("a N Y\nb UH X\n\na N Z\n", format), index,
                           "valid", &spellings);
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_THAT(valid[0].labels, ElementsAre(1, 0));
  EXPECT_THAT(valid[0].auxiliary, ElementsAre());
}

TEST(LabeledTextTest, RefusesBrokenLinesByNumber) {
  EXPECT_THAT(TaggedError("1\tgo\tgo\tVERB\n2\tgo\n"),
              HasSubstr("line 2: expected the label in column 4, found 2 "
                        "columns"));
  EXPECT_THAT(TaggedError("1\tgo\tgo\t\tVB\n"),
              HasSubstr("line 1: expected the label in column 4, found an "
                        "empty column"));
  EXPECT_THAT(TaggedError("1\tgo\tgo\tV B\n"),
              HasSubstr("without white space, found 'V B'"));
  EXPECT_THAT(TaggedError("1\tg\xff\tgo\tVERB\n"),
              HasSubstr("line 1: expected valid UTF-8"));
  EXPECT_THAT(TaggedError("# only a comment\n\n"),
              HasSubstr("expected at least one sentence, found none"));
  EXPECT_THAT(
      TaggedError("the\n",
                  {.is_conllu = false, .word_column = 2, .label_column = 0}),
      HasSubstr("line 1: expected the word in column 2, found 1 columns"));
}

TEST(LabeledTextTest, ReadsSentencesWithALabel) {
  const auto text = Classified("1\ta good film\n\n0 bad .\n");
  ASSERT_EQ(text.size(), 2u);
  EXPECT_THAT(text[0].labels, ElementsAre("1"));
  EXPECT_THAT(text[0].words, ElementsAre("a", "good", "film"));
  EXPECT_THAT(text[1].words, ElementsAre("bad", "."));
  EXPECT_THAT(ReadClassifiedText(*LineReader::FromString("1 a\n0\n"))
                  .status()
                  .ToString(),
              HasSubstr("line 2: expected a label and a text, found one word"));
  EXPECT_FALSE(ReadClassifiedText(*LineReader::FromString("\n")).ok());
}

TEST(LabeledTextTest, MakesIds) {
  const auto text = Tagged("a X\nb Y\na X\n\nc Y\n", kColumns);
  const LabelIndex index = IndexLabeledText(text, "", 2).value();
  EXPECT_THAT(index.labels, ElementsAre("X", "Y"));
  ASSERT_EQ(index.vocabulary.size(), 4u);
  EXPECT_EQ(index.vocabulary.word(3), "a");
  EXPECT_THAT(index.word_counts, ElementsAre(2, 0, 0, 2));
  std::vector<std::string> spellings;
  const auto ids = ToIds(text, index, "text", &spellings);
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_THAT(ids[0].words, ElementsAre(3, 0, 3));
  EXPECT_THAT(ids[0].spellings, ElementsAre(0, 1, 0));
  EXPECT_THAT(ids[0].labels, ElementsAre(0, 1, 0));
  // Another text adds spellings; its sentences with other labels are left out.
  const auto valid = ToIds(Tagged("b X\nd Z\n\nd X\nb Y\n", kColumns), index,
                           "valid", &spellings);
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_THAT(valid[0].spellings, ElementsAre(3, 1));
  EXPECT_THAT(spellings, ElementsAre("a", "b", "c", "d"));
}

}  // namespace
}  // namespace lmserve
