// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/training_chart.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/charts/xml.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Returns the records of a normal training: one record per thousand words, ten
// per epoch.
std::vector<TrainingRecord> Training(int records) {
  std::vector<TrainingRecord> training;
  for (int i = 1; i <= records; ++i) {
    TrainingRecord record = {
        .epoch = 1 + (i - 1) / 10,
        .step = 20ull * i,
        .seconds = 0.5 * i,
        .words = 1000ull * i,
        .learning_rate = 1e-3 / i,
        .train_loss = 4 + 6.0 / i,
        .gradient_norm = 1 + std::sin(i) / 2,
        .max_gradient_norm = 2,
        .layer_gradient_norms = {{"input", 0.01}, {"output", 0.5}}};
    if (i % 10 == 0) record.valid_loss = 4.5 + std::abs(i - 40) / 100.0;
    training.push_back(record);
  }
  return training;
}

// Draws a chart and expects that it is well-formed XML.
std::string Draw(const std::vector<TrainingRecord>& records,
                 absl::string_view title = "A model") {
  std::string svg = DrawTrainingChart(title, records);
  EXPECT_EQ(XmlChecker::Problem(svg), "");
  return svg;
}

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

// Returns the number of points of the longest line.
size_t MostPoints(const std::string& svg) {
  size_t most = 0;
  for (size_t at = 0; (at = svg.find(" d=\"", at)) != std::string::npos;) {
    at += 4;
    const std::string path = svg.substr(at, svg.find('"', at) - at);
    most = std::max(most, Count(path, "L"));
  }
  return most;
}

TEST(TrainingChart, HasTitlesAndLegends) {
  EXPECT_THAT(
      Draw(Training(100)),
      AllOf(HasSubstr("width=\"900\" height=\"700\""),
            HasSubstr("<title>A model</title>"),
            HasSubstr(">epoch 10, step 2000, 100k words in 50 s, 2k words/s<"),
            HasSubstr(">Loss, nats a word<"), HasSubstr(">Perplexity"),
            HasSubstr(">Learning rate<"),
            HasSubstr(">Gradient norms, before clipping<"),
            HasSubstr(">train<"), HasSubstr(">valid<"), HasSubstr(">input<"),
            HasSubstr(">output<")));
}

TEST(TrainingChart, TheBestPerplexityHasARing) {
  const std::string svg = Draw(Training(100));
  EXPECT_THAT(svg, HasSubstr(">best valid</text>"));
  EXPECT_EQ(Count(svg, ">90.02</text>"),
            2u);  // exp(4.5) in the plot and in the legend
}

TEST(TrainingChart, WordsAndEpochsBelow) {
  const std::string svg = Draw(Training(100));
  EXPECT_THAT(svg, HasSubstr(">60k</text>"));
  EXPECT_THAT(svg, HasSubstr("text-anchor=\"middle\">7</text>"));
  // Each of the four plots has a mark at the start of each epoch.
  EXPECT_EQ(Count(svg, "<path d=\"M425.5 0v"), 4u);  // 614 * 70k / 101k
}

TEST(TrainingChart, TitlesAreEscapedAndShortened) {
  EXPECT_THAT(Draw(Training(2), "<a> & \"b\" \xff\x01"),
              HasSubstr("&lt;a&gt; &amp; &quot;b&quot; \uFFFD\uFFFD</text>"));
  const std::string svg = Draw(Training(2), std::string(500, '<'));
  EXPECT_THAT(svg, HasSubstr("\u2026"));
}

TEST(TrainingChart, NamesOfLayersAreEscaped) {
  std::vector<TrainingRecord> records = Training(2);
  records[1].layer_gradient_norms.emplace_back("<&>", 1);
  EXPECT_THAT(Draw(records), HasSubstr(">&lt;&amp;&gt;</text>"));
}

TEST(TrainingChart, NoRecords) {
  const std::string svg = Draw({});
  EXPECT_THAT(svg, HasSubstr(">no records yet<"));
  EXPECT_EQ(Count(svg, ">nothing yet<"), 4u);
}

TEST(TrainingChart, OneRecord) {
  const std::string svg = Draw(Training(1));
  EXPECT_EQ(Count(svg, ">nothing yet<"), 0u);
  EXPECT_THAT(svg, Not(HasSubstr("best valid")));  // the loss was not measured
  Draw({TrainingRecord()});
}

TEST(TrainingChart, ManyRecordsAreThinned) {
  const std::string svg = Draw(Training(20'000));
  EXPECT_LE(MostPoints(svg), 1000u);
  EXPECT_GE(MostPoints(svg), 600u);
  EXPECT_LT(svg.size(), 200'000u);
  // There is room for the marks of a few of the two thousand epochs.
  EXPECT_LE(Count(svg, "stroke-dasharray=\"3 3\""), 4u);
  EXPECT_LE(Count(svg, "<path d=\"M"), 4u * (26 + 11 + 10));
}

TEST(TrainingChart, LayersMayComeAndGo) {
  std::vector<TrainingRecord> records = Training(3);
  records[0].layer_gradient_norms.clear();
  records[2].layer_gradient_norms = {{"new", 1}};
  EXPECT_THAT(Draw(records), AllOf(HasSubstr(">input<"), HasSubstr(">new<")));
}

// Expects that no coordinate is NaN or infinite.
void ExpectNoSuchNumbers(const std::string& svg) {
  for (const char* text : {"nan ", "inf ", "\"nan", "\"inf", "Lnan", "Mnan"}) {
    EXPECT_THAT(svg, Not(HasSubstr(text)));
  }
}

TEST(TrainingChart, NumbersThatAreNotFinite) {
  for (double bad : {kNan, kInfinity, -kInfinity}) {
    std::vector<TrainingRecord> records = Training(30);
    for (int i = 12; i < 30; ++i) {
      records[i].train_loss = records[i].learning_rate = bad;
      records[i].gradient_norm = records[i].max_gradient_norm = bad;
      records[i].valid_loss = records[i].seconds = bad;
      records[i].layer_gradient_norms[0].second = bad;
    }
    const std::string svg = Draw(records);
    EXPECT_THAT(svg, HasSubstr(">not finite<"));
    ExpectNoSuchNumbers(svg);
  }
}

TEST(TrainingChart, NothingButNan) {
  const std::string svg = Draw({{.learning_rate = kNan,
                                 .train_loss = kNan,
                                 .valid_loss = kNan,
                                 .gradient_norm = kNan,
                                 .max_gradient_norm = kNan,
                                 .layer_gradient_norms = {{"a", kNan}}}});
  EXPECT_THAT(svg, Not(HasSubstr("best valid")));
  ExpectNoSuchNumbers(svg);
}

TEST(TrainingChart, HugeRanges) {
  constexpr double kMax = std::numeric_limits<double>::max();
  std::vector<TrainingRecord> records = Training(30);
  records[3].train_loss = kMax;
  records[4].train_loss = -kMax;
  records[5].gradient_norm = kMax;
  records[6].gradient_norm = std::numeric_limits<double>::denorm_min();
  records[7].learning_rate = 0;
  records[8].learning_rate = -1;
  records[29].words = std::numeric_limits<uint64_t>::max();
  records[29].epoch = std::numeric_limits<int>::max();
  const std::string svg = Draw(records);
  ExpectNoSuchNumbers(svg);
  EXPECT_THAT(svg, Not(HasSubstr("00000000000")));  // no huge coordinate
}

// A record that is out of order is drawn at its own number of words.
TEST(TrainingChart, RecordsOutOfOrder) {
  std::vector<TrainingRecord> records = Training(30);
  std::swap(records[2], records[25]);
  EXPECT_EQ(Count(Draw(records), ">nothing yet<"), 0u);
}

TEST(XmlChecker, FindsProblems) {
  const std::string head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  EXPECT_EQ(XmlChecker::Problem(head + "<a b=\"&lt;\"><c/>x&amp;</a>\n"), "");
  for (const char* wrong :
       {"", "<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<a b=\"<\"/>", "</a>",
        "<a>&x;</a>", "<a>></a>", "<a", "x<a/>", "<a>\x01</a>", "<a>\xff</a>",
        "<a b=\"", "<a><b></a></b>"}) {
    EXPECT_NE(XmlChecker::Problem(head + wrong), "") << wrong;
  }
  EXPECT_NE(XmlChecker::Problem("<a/>"), "");
}

}  // namespace
}  // namespace lmserve
