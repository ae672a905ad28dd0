// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/training_log.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "trainer/text/finite_or_null.h"

namespace lmserve {
namespace {

using Json = nlohmann::ordered_json;
using LayerNorms = std::vector<std::pair<std::string, double>>;

// Returns one line. Invalid UTF-8 in strings is replaced.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json NormsToJson(const LayerNorms& norms) {
  Json json = Json::object();
  for (const auto& [layer, norm] : norms) json[layer] = FiniteOrNull(norm);
  return json;
}

// Parses one line. Keeps the first error; the fields after an error are 0.
class RecordParser {
 public:
  absl::StatusOr<TrainingRecord> Parse(absl::string_view line) {
    json_ = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json_.is_object()) return Unexpected("a JSON object", line);
    TrainingRecord record;
    record.epoch = Whole<int>("epoch");
    record.step = Whole<uint64_t>("step");
    record.seconds = Number("seconds");
    record.words = Whole<uint64_t>("words");
    record.words_per_second = Number("words_per_second");
    record.learning_rate = Number("learning_rate");
    record.train_loss = Number("train_loss");
    if (json_.contains("valid_loss")) record.valid_loss = Number("valid_loss");
    if (json_.contains("valid_error")) {
      record.valid_error = Number("valid_error");
    }
    record.gradient_norm = Number("gradient_norm");
    record.max_gradient_norm = Number("max_gradient_norm");
    record.clipped_share = Number("clipped_share");
    record.layer_gradient_norms = Layers("layer_gradient_norms");
    record.note = String("note");
    if (!status_.ok()) return status_;
    return record;
  }

 private:
  static absl::Status Unexpected(absl::string_view expected,
                                 absl::string_view found) {
    constexpr size_t kShown = 40;
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", expected, ", found ", found.substr(0, kShown),
                     found.size() > kShown ? "..." : ""));
  }

  void Fail(absl::string_view expected, absl::string_view key,
            const Json* found) {
    status_.Update(Unexpected(absl::StrCat(expected, " as ", key),
                              found == nullptr ? "none" : Dump(*found)));
  }

  // Returns the value of a key, or null if the key does not exist.
  const Json* Find(absl::string_view key) const {
    const auto found = json_.find(std::string(key));
    return found == json_.end() ? nullptr : &*found;
  }

  double NumberIn(const Json* value, absl::string_view key) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    if (value != nullptr && value->is_null()) return kNan;
    if (value != nullptr && value->is_number()) return value->get<double>();
    Fail("a number or null", key, value);
    return 0;
  }

  double Number(absl::string_view key) { return NumberIn(Find(key), key); }

  template <typename Integer>
  Integer Whole(absl::string_view key) {
    constexpr uint64_t kMax = std::numeric_limits<Integer>::max();
    const Json* value = Find(key);
    if (value != nullptr && value->is_number_unsigned() &&
        value->get<uint64_t>() <= kMax) {
      return value->get<Integer>();
    }
    Fail(absl::StrCat("an integer from 0 to ", kMax), key, value);
    return 0;
  }

  std::string String(absl::string_view key) {
    const Json* value = Find(key);
    if (value != nullptr && value->is_string()) return *value;
    Fail("a string", key, value);
    return "";
  }

  LayerNorms Layers(absl::string_view key) {
    LayerNorms norms;
    const Json* layers = Find(key);
    if (layers == nullptr || !layers->is_object()) {
      Fail("an object", key, layers);
      return norms;
    }
    for (const auto& [layer, norm] : layers->items()) {
      norms.emplace_back(layer, NumberIn(&norm, absl::StrCat(key, " ", layer)));
    }
    return norms;
  }

  Json json_;
  absl::Status status_;
};

// Returns at most `most` of the records, the last one among them.
std::vector<const TrainingRecord*> EvenlyChosen(
    const std::vector<const TrainingRecord*>& records, size_t most) {
  if (records.size() <= most) return records;
  std::vector<const TrainingRecord*> chosen;
  for (size_t i = 1; i <= most; ++i) {
    chosen.push_back(records[i * records.size() / most - 1]);
  }
  return chosen;
}

}  // namespace

std::string ToJsonLine(const TrainingRecord& record) {
  Json json = {
      {"epoch", record.epoch},
      {"step", record.step},
      {"seconds", FiniteOrNull(record.seconds)},
      {"words", record.words},
      {"words_per_second", FiniteOrNull(record.words_per_second)},
      {"learning_rate", FiniteOrNull(record.learning_rate)},
      {"train_loss", FiniteOrNull(record.train_loss)},
      {"train_perplexity", FiniteOrNull(std::exp(record.train_loss))},
  };
  if (record.valid_loss.has_value()) {
    json["valid_loss"] = FiniteOrNull(*record.valid_loss);
    json["valid_perplexity"] = FiniteOrNull(std::exp(*record.valid_loss));
  }
  if (record.valid_error.has_value()) {
    json["valid_error"] = FiniteOrNull(*record.valid_error);
  }
  json["gradient_norm"] = FiniteOrNull(record.gradient_norm);
  json["max_gradient_norm"] = FiniteOrNull(record.max_gradient_norm);
  json["clipped_share"] = FiniteOrNull(record.clipped_share);
  json["layer_gradient_norms"] = NormsToJson(record.layer_gradient_norms);
  json["note"] = record.note;
  return Dump(json) + "\n";
}

absl::StatusOr<TrainingLog> TrainingLog::Parse(absl::string_view text) {
  TrainingLog log;
  uint64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    absl::StatusOr<TrainingRecord> record = RecordParser().Parse(line);
    if (!record.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "training log line ", number, ": ", record.status().message()));
    }
    log.Add(*std::move(record));
  }
  return log;
}

std::string TrainingLog::Curve(size_t most) const {
  std::vector<const TrainingRecord*> measured, others;
  for (const TrainingRecord& record : records_) {
    if (!std::isfinite(std::exp(record.train_loss))) continue;
    (record.valid_loss.has_value() ? measured : others).push_back(&record);
  }
  std::vector<const TrainingRecord*> chosen = EvenlyChosen(measured, most);
  for (const TrainingRecord* record :
       EvenlyChosen(others, most - chosen.size())) {
    chosen.push_back(record);
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const TrainingRecord* a, const TrainingRecord* b) {
              return a->words < b->words;
            });
  return absl::StrJoin(
      chosen, " ", [](std::string* text, const TrainingRecord* record) {
        absl::StrAppendFormat(text, "%d:%.4g:", record->words,
                              std::exp(record->train_loss));
        if (record->valid_loss.has_value()) {
          absl::StrAppendFormat(text, "%.4g", std::exp(*record->valid_loss));
        }
      });
}

std::string TrainingLog::ToJsonLines() const {
  std::string text;
  for (const TrainingRecord& record : records_) {
    absl::StrAppend(&text, ToJsonLine(record));
  }
  return text;
}

}  // namespace lmserve
