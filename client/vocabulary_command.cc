// SPDX-License-Identifier: Apache-2.0
//
// lm_client vocabulary: prints the words that a model knows.

#include <iostream>
#include <memory>
#include <string>

#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

absl::StatusOr<bool> RunVocabulary(const std::string& name,
                                   const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, name);
  if (!model.ok()) return model.status();
  lm::v1::GetVocabularyRequest request;
  request.set_model(*model);
  const auto vocabulary = client.GetVocabulary(request);
  if (!vocabulary.ok()) return vocabulary.status();
  for (int id = 0; id < vocabulary->words_size(); ++id) {
    const std::string& word = vocabulary->words(id);
    if (common.json) {
      const nlohmann::ordered_json json = {{"id", id}, {"word", word}};
      std::cout << DumpJson(json) << "\n";
    } else {
      std::cout << word << "\n";
    }
  }
  return true;
}

}  // namespace

void AddVocabularyCommand(cli::App& app, CommandFunction* run) {
  auto model = std::make_shared<std::string>();
  cli::App& command = *app.add_subcommand(
      "vocabulary",
      "Print the words that a model knows, one a line, in the order of their "
      "ids from 0.\n"
      "  lm_client vocabulary --model en");
  command.add_option("--model", *model, kModelHelp);
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunVocabulary(*model, common);
    };
  });
}

}  // namespace lmserve
