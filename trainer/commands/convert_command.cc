// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer convert: publishes a network with weights of another precision.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/load_version.h"
#include "trainer/neural/publish_network.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

struct ConvertOptions {
  ModelOptions source;
  std::string as;  // empty: the name of the source
  std::string precision;
};

absl::Status RunConvert(const ConvertOptions& options) {
  const std::string& store = options.source.store;
  const absl::StatusOr<uint64_t> source_number =
      FindVersion(store, options.source.model);
  if (!source_number.ok()) return source_number.status();
  const std::string source_name = ParseModelName(options.source.model)->name;
  const std::string source = VersionName(source_name, *source_number);
  const absl::StatusOr<ModelHandle> handle = LoadModelVersion(store, source);
  if (!handle.ok()) return handle.status();
  const auto& manifest = (*handle)->manifest();
  const ModelFiles files = (*handle)->files();
  const auto weights = files.find(kWeightsFile);
  if (weights == files.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": expected a neural network, found the family ",
                     manifest.family()));
  }
  NetworkVersion version;
  version.family = manifest.family();
  version.weights = std::string(weights->second);
  version.precision = *ParsePrecision(options.precision);
  version.properties = {manifest.properties().begin(),
                        manifest.properties().end()};
  version.properties["converted_from"] = source;
  const Vocabulary& vocabulary = (*handle)->model().vocabulary();
  version.self_test = {FirstWords(vocabulary)};
  if (const TranslationModel* model = (*handle)->model().translation()) {
    const Vocabulary& source_words = model->source_vocabulary();
    version.files[std::string(kSourceVocabularyFile)] =
        std::string(source_words.text());
    version.self_test_sources = {FirstWords(source_words)};
  }
  const std::string name = options.as.empty() ? source_name : options.as;
  const absl::StatusOr<uint64_t> number =
      PublishNetwork(store, name, vocabulary, std::move(version));
  if (!number.ok()) return number.status();
  PrintPublished(name, *number);
  return absl::OkStatus();
}

}  // namespace

void AddConvertCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ConvertOptions>();
  cli::App& command = *app.add_subcommand(
      "convert",
      "Publish a copy of a neural network with weights of another precision.\n"
      "  lm_trainer convert --precision int8 --as lstm-int8 --store store "
      "--model lstm");
  AddPrecisionOption(command, &options->precision)->required();
  command.add_option("--as", options->as,
                     "Name of the model to publish (default: the name of the "
                     "model that is read)");
  AddSourceOptions(command, &options->source);
  command.callback([=] { *action = [=] { return RunConvert(*options); }; });
}

}  // namespace lmserve
