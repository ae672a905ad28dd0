// SPDX-License-Identifier: Apache-2.0
//
// lm_client classify: prints the labels of texts.

#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/ask_about_texts.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct ClassifyOptions {
  std::string model;
  std::vector<std::string> texts;
  uint32_t best = 1;
};

// Prints the best label and the text on one line, and the other labels below.
void Print(const std::string& text, const lm::v1::ClassifiedText& classified) {
  for (int i = 0; i < classified.labels_size(); ++i) {
    std::cout << absl::StreamFormat("%8.3f %%  %s",
                                    100 * std::exp(classified.log_probs(i)),
                                    ForPeople(classified.labels(i)));
    if (i == 0) std::cout << "\t" << ForPeople(text);
    std::cout << "\n";
  }
}

void PrintJson(const std::string& text,
               const lm::v1::ClassifiedText& classified) {
  nlohmann::ordered_json labels = nlohmann::ordered_json::array();
  for (int i = 0; i < classified.labels_size(); ++i) {
    labels.push_back({{"label", classified.labels(i)},
                      {"log_prob", JsonNumber(classified.log_probs(i))}});
  }
  std::cout << DumpJson({{"text", text},
                         {"labels", std::move(labels)},
                         {"words", classified.word_count()},
                         {"unknown", classified.unknown_count()}})
            << "\n";
}

// Returns INTERNAL unless there is an answer for each text that was sent, with
// arrays of equal lengths.
absl::Status CheckSizes(const lm::v1::ClassifyResponse& response, size_t sent) {
  bool is_right = static_cast<size_t>(response.texts_size()) == sent;
  for (const lm::v1::ClassifiedText& text : response.texts()) {
    is_right &= text.labels_size() == text.log_probs_size();
  }
  if (is_right) return absl::OkStatus();
  return absl::InternalError("the server's answer has arrays of wrong sizes");
}

absl::StatusOr<bool> RunClassify(const ClassifyOptions& options,
                                 const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  lm::v1::ClassifyResponse response;
  const auto send = [&](absl::Span<const std::string> texts) {
    lm::v1::ClassifyRequest request;
    request.set_model(*model);
    request.set_best(options.best);
    for (const std::string& text : texts) request.add_texts()->set_text(text);
    absl::StatusOr<lm::v1::ClassifyResponse> classified =
        client.Classify(request);
    if (!classified.ok()) return classified.status();
    response = *std::move(classified);
    return CheckSizes(response, texts.size());
  };
  const auto print = [&](size_t i, const std::string& text) {
    const auto& classified = response.texts(static_cast<int>(i));
    common.json ? PrintJson(text, classified) : Print(text, classified);
  };
  return AskAboutTexts(options.texts, {.field = "texts",
                                       .words_per_call = kWordsPerCall,
                                       .as_json = common.json,
                                       .send = send,
                                       .print = print});
}

}  // namespace

void AddClassifyCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<ClassifyOptions>();
  cli::App& command = *app.add_subcommand(
      "classify",
      "Print the most probable label of each text, and how probable it is.\n"
      "  lm_client classify --model tone 'the cat is small'\n"
      "  lm_client classify --model tone --best 0 'the cat is small'\n"
      "  lm_client classify --model tone --json < texts.txt");
  command.add_option("text", options->texts,
                     "Texts to classify [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command
      .add_option("--best", options->best,
                  "Number of labels to print for each text, the most probable "
                  "ones; 0: all")
      ->capture_default_str();
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunClassify(*options, common);
    };
  });
}

}  // namespace lmserve
