// SPDX-License-Identifier: Apache-2.0
//
// lm_client embed: prints the vectors of texts.

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/ask_about_texts.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct EmbedOptions {
  std::string model;
  std::vector<std::string> texts;
  std::string pooling = "mean";
  bool normalize = false;
};

lm::v1::Pooling ParsePooling(const std::string& name) {
  if (name == "max") return lm::v1::POOLING_MAX;
  if (name == "last") return lm::v1::POOLING_LAST;
  return lm::v1::POOLING_MEAN;
}

// Prints the numbers with as many digits as a float has, so that reading them
// gives the same floats.
void Print(const lm::v1::Embedding& embedding) {
  for (int i = 0; i < embedding.values_size(); ++i) {
    if (i > 0) std::cout << " ";
    std::cout << absl::StreamFormat("%.9g", embedding.values(i));
  }
  std::cout << "\n";
}

void PrintJson(const std::string& text, const lm::v1::Embedding& embedding) {
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  for (float value : embedding.values()) values.push_back(JsonNumber(value));
  std::cout << DumpJson({{"text", text},
                         {"embedding", std::move(values)},
                         {"words", embedding.word_count()},
                         {"unknown", embedding.unknown_count()}})
            << "\n";
}

absl::StatusOr<bool> RunEmbed(const EmbedOptions& options,
                              const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  lm::v1::EmbedResponse response;
  const auto send = [&](absl::Span<const std::string> texts) {
    lm::v1::EmbedRequest request;
    request.set_model(*model);
    request.set_pooling(ParsePooling(options.pooling));
    request.set_normalize(options.normalize);
    for (const std::string& text : texts) request.add_texts()->set_text(text);
    absl::StatusOr<lm::v1::EmbedResponse> embedded = client.Embed(request);
    if (!embedded.ok()) return embedded.status();
    response = *std::move(embedded);
    if (static_cast<size_t>(response.embeddings_size()) == texts.size()) {
      return absl::OkStatus();
    }
    return absl::InternalError("the server's answer lacks vectors");
  };
  const auto print = [&](size_t i, const std::string& text) {
    const auto& embedding = response.embeddings(static_cast<int>(i));
    common.json ? PrintJson(text, embedding) : Print(embedding);
  };
  return AskAboutTexts(options.texts, {.field = "texts",
                                       .words_per_call = kWordsPerCall,
                                       .as_json = common.json,
                                       .send = send,
                                       .print = print});
}

}  // namespace

void AddEmbedCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<EmbedOptions>();
  cli::App& command = *app.add_subcommand(
      "embed",
      "Print a vector for each text, one a line: the states of a recurrent "
      "model, a tagger, a classifier or, of source texts, a translation "
      "model.\n"
      "  lm_client embed --model lstm 'the cat is small'\n"
      "  lm_client embed --model lstm --pooling max --normalize < texts.txt");
  command.add_option("text", options->texts,
                     "Texts to embed [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command
      .add_option("--pooling", options->pooling,
                  "How the states at the words become one vector: the greatest "
                  "value of each unit (max), the mean of each (mean), or the "
                  "state after all words (last)")
      ->check(cli::IsMember({"max", "mean", "last"}))
      ->capture_default_str();
  command.add_flag("--normalize", options->normalize,
                   "Divide each vector by its Euclidean norm");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunEmbed(*options, common);
    };
  });
}

}  // namespace lmserve
