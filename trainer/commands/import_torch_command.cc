// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer import-torch: publishes a network that PyTorch trained.

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/publish.h"
#include "models/neural/network_weights.h"
#include "text_io/byte_source.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/neural/import_torch.h"
#include "trainer/neural/publish_network.h"
#include "trainer/neural/tensor_names.h"
#include "trainer/neural/torch_vocabulary.h"
#include "trainer/text/corpus.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct ImportTorchOptions {
  ModelOptions target;
  std::string file;
  std::string vocabulary;
  TorchVocabularyForm form = TorchVocabularyForm::kAny;
  std::string names = "word_language_model";
  std::string nonlinearity = "tanh";
  std::string precision = "float";
  TorchOptions torch;
};

constexpr std::initializer_list<std::pair<const char*, TorchVocabularyForm>>
    kVocabularyForms = {{"any", TorchVocabularyForm::kAny},
                        {"lines", TorchVocabularyForm::kLines},
                        {"json", TorchVocabularyForm::kJson},
                        {"torch", TorchVocabularyForm::kTorch},
                        {"fairseq", TorchVocabularyForm::kFairseq}};

constexpr absl::string_view kFairseq = "fairseq";

// Returns the names of --names: a preset, or those in a file.
absl::StatusOr<TensorNames> ReadNames(const std::string& names) {
  const std::vector<std::string> presets = TensorNames::PresetNames();
  if (std::find(presets.begin(), presets.end(), names) != presets.end()) {
    return TensorNames::Preset(names);
  }
  const absl::StatusOr<std::string> text = ReadAllBytes(names);
  if (!text.ok()) return text.status();
  absl::StatusOr<TensorNames> parsed = TensorNames::Parse(*text);
  if (parsed.ok()) return parsed;
  return absl::InvalidArgumentError(
      absl::StrCat(names, ": ", parsed.status().message()));
}

absl::StatusOr<std::vector<std::string>> ReadWords(
    const ImportTorchOptions& options) {
  const absl::StatusOr<std::string> bytes = ReadAllBytes(options.vocabulary);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::vector<std::string>> words =
      ParseTorchVocabulary(*bytes, options.form);
  if (words.ok()) return words;
  return absl::InvalidArgumentError(
      absl::StrCat(options.vocabulary, ": ", words.status().message()));
}

absl::Status RunImportTorch(ImportTorchOptions options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> file = ReadAllBytes(options.file);
  if (!file.ok()) return file.status();
  const absl::StatusOr<TensorNames> names = ReadNames(options.names);
  if (!names.ok()) return names.status();
  options.torch.names = &*names;
  if (options.names == kFairseq) {
    if (options.form == TorchVocabularyForm::kAny) {
      options.form = TorchVocabularyForm::kFairseq;
    }
    // A language model of fairseq reads </s> before a text, not its word <s>.
    if (options.torch.start.empty()) {
      options.torch.start = std::string(kEndSentence);
    }
  }
  absl::StatusOr<std::vector<std::string>> words = ReadWords(options);
  if (!words.ok()) return words.status();
  options.torch.activation = *ParseActivation(options.nonlinearity);
  absl::StatusOr<TorchModel> model =
      ImportTorch(*file, *std::move(words), options.torch, options.file,
                  options.vocabulary);
  if (!model.ok()) return model.status();
  for (const std::string& warning : model->warnings) {
    PrintMessage(absl::StrCat("warning: ", warning));
  }
  NetworkVersion version;
  version.family = model->family;
  version.weights = std::move(model->weights);
  version.precision = *ParsePrecision(options.precision);
  version.properties = {{"source", "PyTorch"}};
  version.self_test = {FirstWords(model->vocabulary)};
  const absl::StatusOr<uint64_t> number =
      PublishNetwork(options.target.store, options.target.model,
                     model->vocabulary, std::move(version));
  if (!number.ok()) return number.status();
  PrintPublished(options.target.model, *number);
  return absl::OkStatus();
}

}  // namespace

void AddImportTorchCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ImportTorchOptions>();
  cli::App& command = *app.add_subcommand(
      "import-torch",
      "Publish a network that PyTorch trained: the state_dict of a module of "
      "an embedding, recurrent layers and a linear one, saved as safetensors "
      "or by torch.save().\n"
      "  lm_trainer import-torch model.pt --vocabulary words.txt "
      "--store store --model lstm");
  command
      .add_option("file", options->file,
                  "File to import: safetensors, or of torch.save(); it is read "
                  "as data, no code in it is executed")
      ->required()
      ->check(cli::ExistingFile());
  command
      .add_option("--vocabulary", options->vocabulary,
                  "File with the words of the network in the order of their "
                  "ids: one per line, a list or map in JSON, or a list, map or "
                  "Vocab of torchtext that torch.save() wrote")
      ->required()
      ->check(cli::ExistingFile());
  command
      .add_enum<TorchVocabularyForm>("--vocabulary-form", options->form,
                                     kVocabularyForms,
                                     "What the vocabulary file is: recognized "
                                     "by its contents, or dict.txt "
                                     "of fairseq")
      ->default_str("any");
  command
      .add_option("--names", options->names,
                  absl::StrCat("How the tensors are called: ",
                               absl::StrJoin(TensorNames::PresetNames(), ", "),
                               " or a file with rules (see "
                               "trainer/README.md)"))
      ->capture_default_str();
  command
      .add_option("--state-dict", options->torch.state_dict,
                  "Key of the state_dict in a dictionary that torch.save() "
                  "wrote; for one in another, repeated from the outermost on")
      ->allow_extra_args(false);
  command
      .add_option("--unknown", options->torch.unknown,
                  "Word of the vocabulary that stands for unknown words")
      ->capture_default_str();
  command
      .add_option("--end", options->torch.end,
                  "Word of the vocabulary that ends a sentence")
      ->capture_default_str();
  command.add_option("--start", options->torch.start,
                     "Word of the vocabulary that the network reads before a "
                     "text (default: <s> or, without it, that of --end)");
  command
      .add_option("--nonlinearity", options->nonlinearity,
                  "For a torch.nn.RNN: tanh or relu")
      ->check(cli::IsMember({"tanh", "relu"}))
      ->capture_default_str();
  command
      .add_option("--ignore-tensor", options->torch.ignored,
                  "Name of a tensor to leave out because it does not change "
                  "what the module computes; may be repeated. Any other tensor "
                  "that the network would not use is an error")
      ->allow_extra_args(false);
  AddPrecisionOption(command, &options->precision)->capture_default_str();
  AddTargetOptions(command, &options->target);
  command.callback([=] { *action = [=] { return RunImportTorch(*options); }; });
}

}  // namespace lmserve
