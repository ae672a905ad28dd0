// SPDX-License-Identifier: Apache-2.0
//
// lm_client tag: prints the labels of the words of sentences.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ask_about_texts.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct TagOptions {
  std::string model;
  std::vector<std::string> sentences;
  uint32_t alternatives = 0;
};

// Prints a word a line with its label, in columns as taggers are trained on,
// and a blank line after the sentence.
void Print(const lm::v1::TaggedSentence& sentence) {
  for (int i = 0; i < sentence.words_size(); ++i) {
    std::cout << ForPeople(sentence.words(i)) << "\t"
              << ForPeople(sentence.labels(i));
    if (i < sentence.alternatives_size()) {
      const lm::v1::LabelScores& best = sentence.alternatives(i);
      for (int j = 0; j < best.labels_size(); ++j) {
        std::cout << absl::StreamFormat("\t%s %.3f%%",
                                        ForPeople(best.labels(j)),
                                        100 * std::exp(best.log_probs(j)));
      }
    }
    std::cout << "\n";
  }
  std::cout << "\n";
}

void PrintJson(const std::string& text,
               const lm::v1::TaggedSentence& sentence) {
  nlohmann::ordered_json words = nlohmann::ordered_json::array();
  for (int i = 0; i < sentence.words_size(); ++i) {
    nlohmann::ordered_json word = {{"word", sentence.words(i)},
                                   {"label", sentence.labels(i)},
                                   {"unknown", sentence.unknown(i)}};
    if (i < sentence.alternatives_size()) {
      word["log_prob"] = JsonNumber(sentence.log_probs(i));
      nlohmann::ordered_json& best = word["alternatives"] =
          nlohmann::ordered_json::array();
      const lm::v1::LabelScores& scores = sentence.alternatives(i);
      for (int j = 0; j < scores.labels_size(); ++j) {
        best.push_back({{"label", scores.labels(j)},
                        {"log_prob", JsonNumber(scores.log_probs(j))}});
      }
    }
    words.push_back(std::move(word));
  }
  std::cout << DumpJson({{"text", text}, {"words", std::move(words)}}) << "\n";
}

// Returns INTERNAL unless there is a sentence for each that was sent, with
// arrays of equal lengths.
absl::Status CheckSizes(const lm::v1::TagResponse& response, size_t sent,
                        bool has_alternatives) {
  bool is_right = static_cast<size_t>(response.sentences_size()) == sent;
  for (const lm::v1::TaggedSentence& sentence : response.sentences()) {
    const int words = sentence.words_size();
    const int expected = has_alternatives ? words : 0;
    is_right &= sentence.labels_size() == words &&
                sentence.unknown_size() == words &&
                sentence.log_probs_size() == expected &&
                sentence.alternatives_size() == expected;
  }
  if (is_right) return absl::OkStatus();
  return absl::InternalError("the server's answer has arrays of wrong sizes");
}

absl::StatusOr<bool> RunTag(const TagOptions& options,
                            const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  lm::v1::TagResponse response;
  const auto send = [&](absl::Span<const std::string> sentences) {
    lm::v1::TagRequest request;
    request.set_model(*model);
    request.set_alternatives(options.alternatives);
    for (const std::string& sentence : sentences) {
      request.add_sentences()->set_text(sentence);
    }
    absl::StatusOr<lm::v1::TagResponse> tagged = client.Tag(request);
    if (!tagged.ok()) return tagged.status();
    response = *std::move(tagged);
    return CheckSizes(response, sentences.size(), options.alternatives > 0);
  };
  const auto print = [&](size_t i, const std::string& text) {
    const auto& sentence = response.sentences(static_cast<int>(i));
    common.json ? PrintJson(text, sentence) : Print(sentence);
  };
  return AskAboutTexts(
      options.sentences,
      {.field = "sentences",
       .words_per_call = kWordsPerCall / std::max(options.alternatives, 1u),
       .as_json = common.json,
       .send = send,
       .print = print});
}

}  // namespace

void AddTagCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<TagOptions>();
  cli::App& command = *app.add_subcommand(
      "tag",
      "Print the label that a tagger gives each word: one line for each word, "
      "with a tab before the label, and a blank line after each sentence.\n"
      "  lm_client tag --model pos 'the cat is small'\n"
      "  lm_client tag --model pos --alternatives 3 'the cat is small'\n"
      "  lm_client tag --model pos --json < sentences.txt");
  command.add_option("sentence", options->sentences,
                     "Sentences to tag [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command
      .add_option("--alternatives", options->alternatives,
                  "Print for each word also the N most probable labels")
      ->check(cli::Range(0, 50'000))
      ->capture_default_str();
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunTag(*options, common);
    };
  });
}

}  // namespace lmserve
