// lm_trainer import-torch and convert: networks that are trained already.

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/loaded_version.h"
#include "model_store/mapped_file.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/command.h"
#include "trainer/neural/import_torch.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

struct ImportOptions {
  ModelOptions target;
  std::string file;
  std::string vocabulary;
  std::string nonlinearity = "tanh";
  std::string precision = "float";
  TorchOptions torch;
};

struct ConvertOptions {
  ModelOptions source;
  std::string as;
  std::string precision;
};

// A text that every vocabulary has words for.
std::vector<std::string> AnyWords(const Vocabulary& vocabulary) {
  std::string text;
  for (WordId id = 0; id < vocabulary.size() && id < 20; ++id) {
    if (id == vocabulary.begin_sentence() || id == vocabulary.end_sentence()) {
      continue;
    }
    absl::StrAppend(&text, vocabulary.word(id), " ");
  }
  return {text};
}

absl::Status Publish(const ModelOptions& target, const Vocabulary& vocabulary,
                     NetworkVersion version) {
  const absl::StatusOr<uint64_t> number = PublishNetwork(
      target.store, target.model, vocabulary, std::move(version));
  if (!number.ok()) return number.status();
  std::cout << target.model << "@" << *number << std::endl;
  return absl::OkStatus();
}

absl::Status RunImport(ImportOptions options) {
  absl::Status status = CheckModelName(options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<MappedFile> file = MappedFile::Open(options.file);
  if (!file.ok()) return file.status();
  const absl::StatusOr<MappedFile> words = MappedFile::Open(options.vocabulary);
  if (!words.ok()) return words.status();
  options.torch.activation = *ParseActivation(options.nonlinearity);
  absl::StatusOr<TorchModel> model =
      ImportTorch(file->bytes(), words->bytes(), options.torch);
  if (!model.ok()) return model.status();
  NetworkVersion version;
  version.family = model->family;
  version.weights = std::move(model->weights);
  version.precision = *ParsePrecision(options.precision);
  version.properties = {{"source", "PyTorch"}};
  version.self_test = AnyWords(model->vocabulary);
  return Publish(options.target, model->vocabulary, std::move(version));
}

absl::Status RunConvert(const ConvertOptions& options) {
  const ModelOptions& source = options.source;
  const absl::StatusOr<uint64_t> number =
      FindVersion(source.store, source.model);
  if (!number.ok()) return number.status();
  const std::string name = ParseModelName(source.model)->name;
  const absl::StatusOr<ModelHandle> handle =
      LoadNamed(source.store, VersionName(name, *number));
  if (!handle.ok()) return handle.status();
  const absl::StatusOr<MappedFile> weights = MappedFile::Open(
      absl::StrCat(source.store, "/", name, "/", *number, "/", kWeightsFile));
  if (!weights.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        VersionName(name, *number), ": expected a neural network, found ",
        "the family ", (*handle)->manifest().family()));
  }
  const auto& manifest = (*handle)->manifest();
  NetworkVersion version;
  version.family = manifest.family();
  version.weights = std::string(weights->bytes());
  version.precision = *ParsePrecision(options.precision);
  version.properties = {manifest.properties().begin(),
                        manifest.properties().end()};
  version.properties["converted_from"] = VersionName(name, *number);
  const Vocabulary& vocabulary = (*handle)->model().vocabulary();
  version.self_test = AnyWords(vocabulary);
  if (const TranslationModel* model = (*handle)->model().translation()) {
    const Vocabulary& source_words = model->source_vocabulary();
    version.files[std::string(kSourceVocabularyFile)] =
        std::string(source_words.text());
    version.self_test_sources = AnyWords(source_words);
  }
  return Publish({source.store, options.as.empty() ? name : options.as},
                 vocabulary, std::move(version));
}

void AddPrecision(CLI::App& command, std::string* precision) {
  command
      .add_option("--precision", *precision,
                  "To publish the weights in: float, bf16 or int8")
      ->check(CLI::IsMember({"float", "bf16", "int8"}));
}

}  // namespace

void AddImportTorchCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App& command = *app.add_subcommand(
      "import-torch",
      "Publish a network that PyTorch trained: a state_dict with encoder, rnn "
      "and decoder, saved as safetensors.\n"
      "  lm_trainer import-torch model.safetensors --vocabulary words.txt "
      "--store store --model lstm");
  command.add_option("file", options->file, "The safetensors file")
      ->required()
      ->check(CLI::ExistingFile);
  command
      .add_option("--vocabulary", options->vocabulary,
                  "Its words, one a line, in the order of their ids")
      ->required()
      ->check(CLI::ExistingFile);
  command
      .add_option("--unknown", options->torch.unknown,
                  "The word that stands for unknown ones")
      ->capture_default_str();
  command
      .add_option("--end", options->torch.end, "The word that ends a sentence")
      ->capture_default_str();
  command
      .add_option("--nonlinearity", options->nonlinearity,
                  "Of a torch.nn.RNN: tanh or relu")
      ->check(CLI::IsMember({"tanh", "relu"}))
      ->capture_default_str();
  AddPrecision(command, &options->precision);
  AddModelOptions(command, "to publish", &options->target);
  command.callback([=] { *work = [=] { return RunImport(*options); }; });
}

void AddConvertCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App& command = *app.add_subcommand(
      "convert",
      "Publish a neural network again with its weights in another precision.\n"
      "  lm_trainer convert --precision int8 --as lstm-int8 --store store "
      "--model lstm");
  AddPrecision(command, &options->precision);
  command.get_option("--precision")->required();
  command.add_option("--as", options->as,
                     "Name to publish under; the model's own if not given");
  AddModelOptions(command, "to convert, NAME, NAME@VERSION or NAME@ALIAS",
                  &options->source);
  command.callback([=] { *work = [=] { return RunConvert(*options); }; });
}

}  // namespace lmserve
