// SPDX-License-Identifier: Apache-2.0
//
// lm_client inspect: prints the gates and states of a recurrent model while it
// reads a text.

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/command.h"
#include "client/output.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultUnits = 8;  // fit into a line

struct InspectOptions {
  std::string model;
  std::string text;
  std::string source;
  std::vector<uint32_t> layers;
  std::vector<uint32_t> units;
  uint32_t most_variable = kDefaultUnits;
  std::vector<std::string> quantities;
  bool attention = false;
};

// Returns "hidden" for QUANTITY_HIDDEN.
std::string Name(int quantity) {
  const std::string& name =
      lm::v1::Quantity_Name(static_cast<lm::v1::Quantity>(quantity));
  if (name.empty()) return absl::StrCat("quantity ", quantity);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "QUANTITY_"));
}

absl::StatusOr<lm::v1::Quantity> ParseQuantity(const std::string& name) {
  lm::v1::Quantity quantity;
  if (lm::v1::Quantity_Parse(
          absl::StrCat("QUANTITY_", absl::AsciiStrToUpper(name)), &quantity) &&
      quantity != lm::v1::QUANTITY_UNSPECIFIED && name == Name(quantity)) {
    return quantity;
  }
  std::vector<std::string> names;
  for (int i = lm::v1::QUANTITY_UNSPECIFIED + 1; lm::v1::Quantity_IsValid(i);
       ++i) {
    names.push_back(Name(i));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--quantities: expected some of ", absl::StrJoin(names, ","),
                   ", found '", name, "'"));
}

absl::StatusOr<lm::v1::InspectRequest> MakeRequest(
    const InspectOptions& options, std::string model) {
  lm::v1::InspectRequest request;
  request.set_model(std::move(model));
  request.mutable_text()->set_text(
      std::string(WithoutSentenceMarkers(options.text)));
  if (!options.source.empty()) {
    request.mutable_source()->set_text(
        std::string(WithoutSentenceMarkers(options.source)));
  }
  request.mutable_layers()->Add(options.layers.begin(), options.layers.end());
  request.mutable_units()->Add(options.units.begin(), options.units.end());
  if (options.units.empty()) request.set_most_variable(options.most_variable);
  for (const std::string& name : options.quantities) {
    const auto quantity = ParseQuantity(name);
    if (!quantity.ok()) return quantity.status();
    request.add_quantities(*quantity);
  }
  request.set_attention(options.attention);
  return request;
}

using Words = google::protobuf::RepeatedPtrField<std::string>;

const Words& WordsOf(const lm::v1::InspectedLayer& layer,
                     const lm::v1::InspectResponse& response) {
  return layer.reads_source() ? response.source_words() : response.words();
}

// Prints an array (words, columns) with a line for each word.
void PrintTable(std::vector<std::string> columns, const Words& words,
                const float* values) {
  const size_t width = columns.size();
  columns.push_back("word");
  TextTable table(std::move(columns));
  for (const std::string& word : words) {
    std::vector<std::string> row;
    for (size_t i = 0; i < width; ++i) row.push_back(FormatDecimal(*values++));
    row.push_back(word);
    table.Add(std::move(row));
  }
  std::cout << table.ToString();
}

void Print(const lm::v1::InspectResponse& response) {
  for (const lm::v1::InspectedLayer& layer : response.layers()) {
    std::vector<std::string> columns;
    for (uint32_t unit : layer.units()) {
      columns.push_back(absl::StrCat("unit ", unit));
    }
    const Words& words = WordsOf(layer, response);
    const float* values = layer.values().data();
    for (int quantity : layer.quantities()) {
      std::cout << "layer " << layer.layer() << ", depth " << layer.depth()
                << (layer.reads_source() ? ", encoder" : "")
                << (layer.is_backward() ? ", backward" : "") << ": "
                << Name(quantity) << "\n";
      PrintTable(columns, words, values);
      values += words.size() * layer.units_size();
    }
  }
  if (response.attention().empty()) return;
  std::cout << "attention before the word after\n";
  PrintTable({response.source_words().begin(), response.source_words().end()},
             response.words(), response.attention().data());
}

// Returns an array (rows, columns) as lists of numbers.
nlohmann::ordered_json Rows(const float* values, int rows, int columns) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (int row = 0; row < rows; ++row) {
    nlohmann::ordered_json numbers = nlohmann::ordered_json::array();
    for (int i = 0; i < columns; ++i) numbers.push_back(JsonNumber(*values++));
    array.push_back(std::move(numbers));
  }
  return array;
}

nlohmann::ordered_json LayerJson(const lm::v1::InspectedLayer& layer,
                                 int words) {
  nlohmann::ordered_json json = {
      {"layer", layer.layer()},
      {"depth", layer.depth()},
      {"backward", layer.is_backward()},
      {"reads_source", layer.reads_source()},
      {"reverses_words", layer.reverses_words()},
      {"unit_count", layer.unit_count()},
      {"units",
       std::vector<uint32_t>(layer.units().begin(), layer.units().end())},
      {"values", nlohmann::ordered_json::object()}};
  const float* values = layer.values().data();
  for (int quantity : layer.quantities()) {
    json["values"][Name(quantity)] = Rows(values, words, layer.units_size());
    values += words * layer.units_size();
  }
  return json;
}

void PrintJson(const lm::v1::InspectResponse& response) {
  nlohmann::ordered_json json = {
      {"words", std::vector<std::string>(response.words().begin(),
                                         response.words().end())}};
  if (!response.source_words().empty()) {
    json["source_words"] = std::vector<std::string>(
        response.source_words().begin(), response.source_words().end());
  }
  json["layers"] = nlohmann::ordered_json::array();
  for (const lm::v1::InspectedLayer& layer : response.layers()) {
    json["layers"].push_back(LayerJson(layer, WordsOf(layer, response).size()));
  }
  if (!response.attention().empty()) {
    json["attention"] = Rows(response.attention().data(), response.words_size(),
                             response.source_words_size());
  }
  std::cout << DumpJson(json) << "\n";
}

// Checks that the arrays have the sizes that they are printed with.
absl::Status CheckSizes(const lm::v1::InspectResponse& response) {
  bool is_right = response.attention().empty() ||
                  response.attention_size() == int64_t{response.words_size()} *
                                                   response.source_words_size();
  for (const lm::v1::InspectedLayer& layer : response.layers()) {
    is_right &=
        layer.values_size() == int64_t{WordsOf(layer, response).size()} *
                                   layer.units_size() * layer.quantities_size();
  }
  if (is_right) return absl::OkStatus();
  return absl::InternalError("the server's answer has arrays of wrong sizes");
}

absl::StatusOr<bool> RunInspect(const InspectOptions& options,
                                const CommonOptions& common) {
  const Client client(common.client);
  absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  const auto request = MakeRequest(options, *std::move(model));
  if (!request.ok()) return request.status();
  const auto response = client.Inspect(*request);
  if (!response.ok()) return response.status();
  absl::Status status = CheckSizes(*response);
  if (!status.ok()) return status;
  if (common.json) {
    PrintJson(*response);
  } else {
    Print(*response);
  }
  return true;
}

}  // namespace

void AddInspectCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<InspectOptions>();
  cli::App& command = *app.add_subcommand(
      "inspect",
      "Print the gates and states of a recurrent model while it reads a text: "
      "for each layer and quantity a table with a line for each word and a "
      "column for each unit.\n"
      "  lm_client inspect --model lstm 'the cat is small'\n"
      "  lm_client inspect --model lstm --quantities hidden,forget_gate "
      "--layers 1 --units 0,7 'the cat is small'\n"
      "  lm_client inspect --model de-en --attention --source 'die katze' "
      "'the cat'");
  command.add_option("text", options->text, "The text to read")->required();
  command.add_option("--model", options->model, kModelHelp);
  command.add_option("--source", options->source,
                     "The source text that the text translates; only for "
                     "translation models");
  const auto add_list = [&](const std::string& name, auto* list,
                            const std::string& help) {
    return command.add_option(name, *list, help)
        ->delimiter(',')
        ->allow_extra_args(false);
  };
  add_list("--layers", &options->layers,
           "Layers to print, from 0, separated by commas [all]");
  cli::Option* units =
      add_list("--units", &options->units,
               "Units of each layer to print, from 0, separated by commas");
  command
      .add_option("--most-variable", options->most_variable,
                  "Print this many units of each layer, those whose hidden "
                  "state varies most; 0: all units")
      ->excludes(units)
      ->capture_default_str();
  add_list("--quantities", &options->quantities,
           "Quantities to print, separated by commas: input_gate, forget_gate, "
           "output_gate, new_memory, final_memory and hidden of an LSTM; "
           "update_gate, reset_gate, new_memory and hidden of a GRU; hidden of "
           "a simple network [all]");
  command.add_flag("--attention", options->attention,
                   "Print the attention of a translation model to the words of "
                   "the source, too");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunInspect(*options, common);
    };
  });
}

}  // namespace lmserve
