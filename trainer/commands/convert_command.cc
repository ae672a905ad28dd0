// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer convert: publishes a network with weights of another precision, or
// an n-gram model in another layout.

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/load_version.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/ngram/compact/count_trie.h"
#include "models/ngram/ngram_set.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/layout_options.h"
#include "trainer/neural/publish_network.h"
#include "trainer/ngram/table_of_model.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

struct ConvertOptions {
  ModelOptions source;
  std::string as;         // empty: the name of the source
  std::string precision;  // of a network; empty for an n-gram model
  LayoutOptions layout;   // of an n-gram model
};

// The version that is read.
struct Source {
  std::string name;     // NAME
  std::string version;  // NAME@VERSION
  ModelHandle handle;
};

std::map<std::string, std::string> Properties(const Source& source) {
  const auto& manifest = source.handle->manifest();
  std::map<std::string, std::string> properties = {
      manifest.properties().begin(), manifest.properties().end()};
  properties["converted_from"] = source.version;
  return properties;
}

absl::StatusOr<uint64_t> ConvertNetwork(const ConvertOptions& options,
                                        const Source& source,
                                        const std::string& name) {
  const auto& manifest = source.handle->manifest();
  const ModelFiles files = source.handle->files();
  const auto weights = files.find(kWeightsFile);
  if (weights == files.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        source.version, ": expected a neural network, found the family ",
        manifest.family()));
  }
  NetworkVersion version;
  version.family = manifest.family();
  version.weights = std::string(weights->second);
  version.precision = *ParsePrecision(options.precision);
  version.properties = Properties(source);
  const Vocabulary& vocabulary = source.handle->model().vocabulary();
  version.self_test = {FirstWords(vocabulary)};
  if (const TranslationModel* model = source.handle->model().translation()) {
    const Vocabulary& source_words = model->source_vocabulary();
    version.files[std::string(kSourceVocabularyFile)] =
        std::string(source_words.text());
    version.self_test_sources = {FirstWords(source_words)};
  }
  if (const auto labels = files.find(kLabelsFile); labels != files.end()) {
    version.files[std::string(kLabelsFile)] = std::string(labels->second);
  }
  return PublishNetwork(options.source.store, name, vocabulary,
                        std::move(version));
}

absl::StatusOr<uint64_t> ConvertNgram(const ConvertOptions& options,
                                      const Source& source,
                                      const std::string& name) {
  const LanguageModel* model = source.handle->model().left_to_right();
  const auto* ngrams = dynamic_cast<const NgramSet*>(model);
  if (ngrams == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.version, ": expected the family ngram, found ",
                     source.handle->manifest().family()));
  }
  const ModelFiles files = source.handle->files();
  const auto file = files.find(kNgramFile);
  if (options.layout.is_compact() && CountTrie::Matches(file->second)) {
    return absl::InvalidArgumentError(absl::StrCat(
        source.version,
        ": expected a model that does not have counts in the "
        "compact layout: it would need more room with probabilities"));
  }
  const absl::StatusOr<NgramFileContents> contents =
      BuildTableFile(CopyTable(*ngrams), options.layout);
  if (!contents.ok()) return contents.status();
  std::map<std::string, std::string> properties = Properties(source);
  properties.erase("quantize");
  AddLayoutProperties(options.layout, &properties);
  return PublishNgram(options.source.store, name, model->vocabulary(),
                      *contents, std::move(properties),
                      {FirstWords(model->vocabulary())});
}

absl::Status RunConvert(const ConvertOptions& options) {
  const std::string& store = options.source.store;
  const absl::StatusOr<uint64_t> number =
      FindVersion(store, options.source.model);
  if (!number.ok()) return number.status();
  Source source;
  source.name = ParseModelName(options.source.model)->name;
  source.version = VersionName(source.name, *number);
  absl::StatusOr<ModelHandle> handle = LoadModelVersion(store, source.version);
  if (!handle.ok()) return handle.status();
  source.handle = *std::move(handle);
  const std::string name = options.as.empty() ? source.name : options.as;
  const absl::StatusOr<uint64_t> published =
      options.precision.empty() ? ConvertNgram(options, source, name)
                                : ConvertNetwork(options, source, name);
  if (!published.ok()) return published.status();
  PrintPublished(name, *published);
  return absl::OkStatus();
}

}  // namespace

void AddConvertCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ConvertOptions>();
  cli::App& command = *app.add_subcommand(
      "convert",
      "Publish a copy of a neural network with weights of another precision, "
      "or of an n-gram model in another layout.\n"
      "  lm_trainer convert --precision int8 --as lstm-int8 --store store "
      "--model lstm\n"
      "  lm_trainer convert --layout compact --as en-small --store store "
      "--model en");
  cli::Option* precision = AddPrecisionOption(command, &options->precision);
  AddLayoutOptions(command, "3 to 8", &options->layout);
  cli::Option* layout = command.get_option("--layout");
  precision->excludes(layout);
  command.add_option("--as", options->as,
                     "Name of the model to publish (default: the name of the "
                     "model that is read)");
  AddSourceOptions(command, &options->source);
  command.callback([=] {
    if (options->precision.empty() && layout->count() == 0) {
      throw cli::ValidationError("--precision",
                                 "expected a precision or --layout");
    }
    CheckLayoutOptions(options->layout);
    *action = [=] { return RunConvert(*options); };
  });
}

}  // namespace lmserve
