// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer import-torch: publishes a network that PyTorch trained.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "model_store/publish.h"
#include "models/neural/network_weights.h"
#include "text_io/byte_source.h"
#include "text_io/line_reader.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/neural/import_torch.h"
#include "trainer/neural/publish_network.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

struct ImportTorchOptions {
  ModelOptions target;
  std::string file;
  std::string vocabulary;
  std::string nonlinearity = "tanh";
  std::string precision = "float";
  TorchOptions torch;
};

// Returns the lines of a file.
absl::StatusOr<std::vector<std::string>> ReadWords(const std::string& path) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(path);
  if (!lines.ok()) return lines.status();
  std::vector<std::string> words;
  absl::string_view line;
  while ((*lines)->Next(&line))
    words.emplace_back(absl::StripSuffix(line, "\r"));
  if (!(*lines)->status().ok()) return (*lines)->status();
  return words;
}

absl::Status RunImportTorch(ImportTorchOptions options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> file = ReadAllBytes(options.file);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::vector<std::string>> words =
      ReadWords(options.vocabulary);
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
      "Publish a network that PyTorch trained: the state_dict of a module with "
      "the parts encoder, rnn and decoder, saved as safetensors.\n"
      "  lm_trainer import-torch model.safetensors --vocabulary words.txt "
      "--store store --model lstm");
  command.add_option("file", options->file, "Safetensors file to import")
      ->required()
      ->check(cli::ExistingFile());
  command
      .add_option("--vocabulary", options->vocabulary,
                  "File with the words of the network, one per line, in the "
                  "order of their ids")
      ->required()
      ->check(cli::ExistingFile());
  command
      .add_option("--unknown", options->torch.unknown,
                  "Word of the vocabulary that stands for unknown words")
      ->capture_default_str();
  command
      .add_option("--end", options->torch.end,
                  "Word of the vocabulary that ends a sentence")
      ->capture_default_str();
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
