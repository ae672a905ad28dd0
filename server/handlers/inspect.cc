// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/inspect.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/inspection.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"
#include "server/handlers/sources.h"

namespace lmserve {
namespace {

using Layer = InspectableModel::Layer;
using Selection = InspectionRecorder::Selection;

// The quantities have the same order in the API, after UNSPECIFIED.
lm::v1::Quantity ToMessage(Quantity quantity) {
  static_assert(lm::v1::QUANTITY_INPUT_GATE ==
                static_cast<int>(Quantity::kInputGate) + 1);
  static_assert(lm::v1::QUANTITY_HIDDEN ==
                static_cast<int>(Quantity::kHidden) + 1);
  return static_cast<lm::v1::Quantity>(static_cast<int>(quantity) + 1);
}

std::vector<size_t> UpTo(size_t end) {
  std::vector<size_t> numbers(end);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return numbers;
}

// Returns INVALID_ARGUMENT unless each number is below `end`, and none is there
// twice. `of` says of what the numbers are.
template <typename Numbers>
absl::Status CheckSelected(absl::string_view field, const Numbers& numbers,
                           size_t end, absl::string_view of) {
  std::set<size_t> seen;
  for (int i = 0; i < numbers.size(); ++i) {
    const size_t number = numbers[i];
    if (number < end && seen.insert(number).second) continue;
    return InvalidField(absl::StrCat(field, "[", i, "]"),
                        absl::StrCat("expected a number below ", end,
                                     ", that of ", of, ", at most once; found ",
                                     number, number < end ? " again" : ""));
  }
  return absl::OkStatus();
}

// Returns the numbers, or all below `end` if there are none.
template <typename Numbers>
std::vector<size_t> NumbersOr(const Numbers& numbers, size_t end) {
  if (numbers.empty()) return UpTo(end);
  return std::vector<size_t>(numbers.begin(), numbers.end());
}

// Returns the quantities of a layer that the request selects.
absl::StatusOr<std::vector<Quantity>> SelectQuantities(
    const lm::v1::InspectRequest& request,
    const std::vector<Quantity>& possible) {
  if (request.quantities().empty()) return possible;
  std::vector<Quantity> selected;
  for (int i = 0; i < request.quantities_size(); ++i) {
    const auto found =
        std::find_if(possible.begin(), possible.end(), [&](Quantity quantity) {
          return ToMessage(quantity) == request.quantities(i);
        });
    if (found == possible.end() ||
        std::count(selected.begin(), selected.end(), *found) > 0) {
      const auto add_name = [](std::string* out, Quantity quantity) {
        absl::StrAppend(out, lm::v1::Quantity_Name(ToMessage(quantity)));
      };
      const std::string& name = lm::v1::Quantity_Name(request.quantities(i));
      return InvalidField(
          absl::StrCat("quantities[", i, "]"),
          absl::StrCat(
              "expected one of the model's, ",
              absl::StrJoin(possible, ", ", add_name), ", at most once; found ",
              name.empty() ? absl::StrCat(request.quantities(i)) : name));
    }
    selected.push_back(*found);
  }
  return selected;
}

// Returns what the request selects, for each layer in its order.
absl::StatusOr<std::vector<Selection>> Select(
    const lm::v1::InspectRequest& request, const std::vector<Layer>& layers) {
  if (request.most_variable() > 0 && !request.units().empty()) {
    return InvalidField("most_variable",
                        absl::StrCat("expected 0, because the request has "
                                     "units, found ",
                                     request.most_variable()));
  }
  absl::Status status =
      CheckSelected("layers", request.layers(), layers.size(), "the layers");
  if (!status.ok()) return status;
  std::vector<Selection> selections;
  for (size_t index : NumbersOr(request.layers(), layers.size())) {
    const size_t units = layers[index].units;
    status = CheckSelected("units", request.units(), units,
                           absl::StrCat("the units of layer ", index));
    if (!status.ok()) return status;
    auto quantities = SelectQuantities(request, layers[index].quantities);
    if (!quantities.ok()) return quantities.status();
    // Which units vary most is found later.
    const size_t most = request.most_variable();
    selections.push_back({index,
                          most > 0 ? UpTo(std::min(most, units))
                                   : NumbersOr(request.units(), units),
                          *std::move(quantities)});
  }
  return selections;
}

// Returns the words that a layer reads.
std::vector<absl::string_view> WordsRead(const AnyModel& model,
                                         const Layer& layer,
                                         const InspectableModel::Text& text) {
  const Vocabulary& vocabulary = layer.reads_source
                                     ? model.translation()->source_vocabulary()
                                     : model.vocabulary();
  std::vector<absl::string_view> words;
  if (layer.reads_begin) words.push_back(kBeginSentence);
  for (WordId word : layer.reads_source ? text.source : text.words) {
    words.push_back(vocabulary.word(word));
  }
  if (layer.reads_end) words.push_back(kEndSentence);
  return words;
}

// Reads the text in parts that fit into a batch, so that other calls have their
// turn in between.
Task<absl::Status> ReadAll(const ServingContext& serving, Call& call,
                           const LoadedVersion& loaded,
                           const InspectableModel::Text& text,
                           InspectableModel::Observer* observer) {
  const auto reading =
      loaded.model().inspectable()->Read(text, serving.batcher.batch_words());
  while (const size_t words = reading->next_words()) {
    const auto work = [&] { reading->ReadPart(observer); };
    absl::Status status =
        co_await serving.batcher.Run(call, loaded, words, work);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

// Replaces the units of the selections by those of the largest variance.
Task<absl::Status> SelectMostVariable(const ServingContext& serving, Call& call,
                                      const LoadedVersion& loaded,
                                      const InspectableModel::Text& text,
                                      std::vector<Selection>* selections) {
  UnitVariance variance(*loaded.model().inspectable());
  absl::Status status =
      co_await ReadAll(serving, call, loaded, text, &variance);
  if (!status.ok()) co_return status;
  for (Selection& selection : *selections) {
    selection.units = variance.Largest(selection.layer, selection.units.size());
  }
  co_return absl::OkStatus();
}

void SetLayer(const Layer& layer, const Selection& selection,
              absl::Span<const float> values, lm::v1::InspectedLayer* message) {
  message->set_layer(selection.layer);
  message->set_depth(layer.depth);
  message->set_is_backward(layer.is_backward);
  message->set_reads_source(layer.reads_source);
  message->set_reverses_words(layer.reverses_words);
  message->set_unit_count(layer.units);
  message->mutable_units()->Add(selection.units.begin(), selection.units.end());
  for (Quantity quantity : selection.quantities) {
    message->add_quantities(ToMessage(quantity));
  }
  message->mutable_values()->Add(values.begin(), values.end());
}

// Checks how many numbers the answer has, and reserves its memory, that of the
// recorder included.
absl::Status Reserve(const Limits& limits, const std::vector<Layer>& layers,
                     const std::vector<Selection>& selections,
                     const InspectableModel::Text& text, bool has_attention,
                     absl::Span<const absl::string_view> words,
                     Budget::Reservation* answer) {
  uint64_t values =
      has_attention ? (text.words.size() + 1) * (text.source.size() + 1) : 0;
  uint64_t bytes = 0;
  for (const Selection& selection : selections) {
    values += uint64_t{text.positions(layers[selection.layer])} *
              selection.units.size() * selection.quantities.size();
    bytes += 2 * sizeof(size_t) * selection.units.size();
  }
  absl::Status status =
      CheckLimit("values: words times units times quantities, and attention",
                 values, limits.inspected_values);
  if (!status.ok()) return status;
  for (absl::string_view word : words) bytes += kReplyWordBytes + word.size();
  return answer->Resize("answer bytes", bytes + 2 * sizeof(float) * values);
}

}  // namespace

Task<absl::Status> HandleInspect(const ServingContext& serving, Call& call,
                                 const lm::v1::InspectRequest& request,
                                 lm::v1::InspectResponse* response) {
  if (serving.limits.inspected_values == 0) {
    co_return absl::UnimplementedError(
        "this server does not answer Inspect: its --max-inspected-values is 0");
  }
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  const AnyModel& model = loaded.model();
  if (model.inspectable() == nullptr) {
    co_return FamilyCannotDo("model", loaded, "be inspected",
                             "recurrent, bidirectional and translation models");
  }
  const std::vector<Layer> layers = model.inspectable()->layers();
  absl::StatusOr<std::vector<Selection>> selections = Select(request, layers);
  if (!selections.ok()) co_return selections.status();
  EncodedTexts texts(model.vocabulary(), serving.limits);
  absl::Status status =
      texts.Add(request.text(), "text", -1, {.may_be_empty = true});
  if (!status.ok()) co_return status;
  std::vector<const lm::v1::Text*> given;
  if (request.has_source()) given.push_back(&request.source());
  std::optional<EncodedTexts> sources;
  status = EncodeSources("source", loaded, serving.limits, given, &sources);
  if (!status.ok()) co_return status;
  InspectableModel::Text text = {texts.words(0), {}};
  if (sources.has_value()) text.source = sources->words(0);

  // The last layer always reads the text, and the first one of a translation
  // model its source.
  const std::vector<absl::string_view> words =
      WordsRead(model, layers.back(), text);
  std::vector<absl::string_view> source_words;
  if (layers.front().reads_source) {
    source_words = WordsRead(model, layers.front(), text);
  }
  std::vector<absl::string_view> all_words = words;
  all_words.insert(all_words.end(), source_words.begin(), source_words.end());
  const bool has_attention = request.attention() &&
                             model.kind() == ModelKind::kTranslation &&
                             model.translation()->has_attention();
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = Reserve(serving.limits, layers, *selections, text, has_attention,
                   all_words, &answer);
  if (!status.ok()) co_return status;

  if (request.most_variable() > 0) {
    status =
        co_await SelectMostVariable(serving, call, loaded, text, &*selections);
    if (!status.ok()) co_return status;
  }
  InspectionRecorder recorder(*model.inspectable(), text,
                              *std::move(selections), has_attention);
  status = co_await ReadAll(serving, call, loaded, text, &recorder);
  if (!status.ok()) co_return status;

  SetModelVersion(loaded, response->mutable_model());
  for (absl::string_view word : words) response->add_words(std::string(word));
  for (absl::string_view word : source_words) {
    response->add_source_words(std::string(word));
  }
  for (size_t i = 0; i < recorder.selections().size(); ++i) {
    const Selection& selection = recorder.selections()[i];
    SetLayer(layers[selection.layer], selection, recorder.values(i),
             response->add_layers());
  }
  response->mutable_attention()->Add(recorder.attention().begin(),
                                     recorder.attention().end());
  co_return absl::OkStatus();
}

}  // namespace lmserve
