// SPDX-License-Identifier: Apache-2.0
#include "reranking/nbest_line.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

constexpr absl::string_view kBar = "|||";

// Returns whether the bar at an offset separates fields and is not part of a
// word.
bool SeparatesFields(absl::string_view line, size_t bar) {
  const size_t end = bar + kBar.size();
  return bar == 0 || end == line.size() || absl::ascii_isspace(line[bar - 1]) ||
         absl::ascii_isspace(line[end]);
}

std::vector<absl::string_view> SplitFields(absl::string_view line) {
  std::vector<absl::string_view> fields;
  size_t begin = 0;
  for (size_t bar = line.find(kBar); bar != absl::string_view::npos;) {
    if (SeparatesFields(line, bar)) {
      fields.push_back(line.substr(begin, bar - begin));
      begin = bar + kBar.size();
    }
    bar = line.find(kBar, bar + kBar.size());
  }
  fields.push_back(line.substr(begin));
  return fields;
}

std::optional<double> ParseNumber(absl::string_view text) {
  double value;
  if (!absl::SimpleAtod(text, &value)) return std::nullopt;
  return value;
}

// Returns the index of the field with the total, or the number of fields if
// there is none.
size_t FindTotal(absl::Span<const absl::string_view> fields) {
  for (size_t i = 3; i < fields.size(); ++i) {
    if (ParseNumber(fields[i]).has_value()) return i;
  }
  return fields.size();
}

// Returns the name of "Name=", "Name=1.5" or "name:"; "" for other tokens.
absl::string_view NameOf(absl::string_view token) {
  const size_t equals = token.find('=');
  if (equals != absl::string_view::npos && equals > 0) {
    return token.substr(0, equals);
  }
  if (token.size() > 1 && absl::ConsumeSuffix(&token, ":")) return token;
  return "";
}

// Whether a field that stands before the features may be an alignment of
// Marian, such as "0-0 1-2", "0.25,0.75" or "WordScores= -0.5".
bool MayBeAlignment(absl::string_view field) {
  for (absl::string_view token :
       absl::StrSplit(field, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
    const bool has_letters =
        token.find_first_not_of("0123456789-+.,e") != token.npos;
    if (has_letters && NameOf(token).empty()) return false;
  }
  return true;
}

// Parses the field with the features.
class FeatureParser {
 public:
  absl::Status Parse(absl::string_view field) {
    for (absl::string_view token :
         absl::StrSplit(field, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      if (absl::Status status = AddToken(token); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Returns the features. A name with several numbers gets an index.
  absl::StatusOr<std::vector<Feature>> Take() {
    std::vector<Feature> features;
    std::set<std::string> names;
    for (const auto& [name, values] : groups_) {
      if (!names.insert(name).second) return FoundTwice(name);
      const bool alone = values.size() == 1 && !name.empty();
      for (size_t i = 0; i < values.size(); ++i) {
        std::string full = alone ? name : absl::StrCat(name, "[", i, "]");
        if (!alone && !names.insert(full).second) return FoundTwice(full);
        features.push_back({std::move(full), values[i]});
      }
    }
    return features;
  }

 private:
  static absl::Status FoundTwice(absl::string_view name) {
    return absl::InvalidArgumentError(
        absl::StrCat("feature ", name,
                     ": expected once, with all its numbers after the name, "
                     "found twice"));
  }

  absl::Status AddToken(absl::string_view token) {
    const absl::string_view name = NameOf(token);
    if (name.empty()) return AddValue(token);
    groups_.push_back({std::string(name), {}});
    token.remove_prefix(name.size() + 1);  // and "=" or ":"
    return token.empty() ? absl::OkStatus() : AddValue(token);
  }

  absl::Status AddValue(absl::string_view token) {
    if (groups_.empty()) groups_.push_back({"", {}});
    auto& [name, values] = groups_.back();
    const std::optional<double> value = ParseNumber(token);
    if (!value.has_value() || !std::isfinite(*value)) {
      return absl::InvalidArgumentError(
          name.empty()
              ? absl::StrCat("features: expected NAME= or a number, found '",
                             token, "'")
              : absl::StrCat("feature ", name,
                             ": expected a finite number, found '", token,
                             "'"));
    }
    values.push_back(*value);
    return absl::OkStatus();
  }

  // The names in the order of the field, and the numbers after each.
  std::vector<std::pair<std::string, std::vector<double>>> groups_;
};

// Returns a field of features without those that have one of the given names,
// and without the space before them.
std::string WithoutFeatures(absl::string_view field,
                            absl::Span<const Feature> features) {
  constexpr absl::string_view kSpaces = " \t";
  std::string kept;
  bool removes = false;
  while (!field.empty()) {
    const size_t begin =
        std::min(field.find_first_not_of(kSpaces), field.size());
    const size_t end =
        std::min(field.find_first_of(kSpaces, begin), field.size());
    const absl::string_view name = NameOf(field.substr(begin, end - begin));
    if (!name.empty()) {
      removes = std::any_of(
          features.begin(), features.end(),
          [&](const Feature& feature) { return feature.name == name; });
    }
    if (!removes) absl::StrAppend(&kept, field.substr(0, end));
    field.remove_prefix(end);
  }
  return kept;
}

}  // namespace

absl::StatusOr<NbestLine> ParseNbestLine(absl::string_view text) {
  NbestLine line;
  line.line = std::string(text);
  const std::vector<absl::string_view> fields = SplitFields(text);
  line.id = std::string(absl::StripAsciiWhitespace(fields[0]));
  if (fields.size() < 2 || line.id.empty()) {
    return absl::InvalidArgumentError(
        "expected ID ||| HYPOTHESIS ||| FEATURES ||| TOTAL");
  }
  line.hypothesis = std::string(absl::StripAsciiWhitespace(fields[1]));
  const size_t total = FindTotal(fields);
  if (total < fields.size()) line.total = ParseNumber(fields[total]);
  line.has_features = fields.size() > 2;
  for (size_t i = 2; i + 1 < total && total < fields.size(); ++i) {
    if (MayBeAlignment(fields[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "expected features or an alignment after the hypothesis, found '",
        absl::StripAsciiWhitespace(fields[i]),
        "'; a hypothesis must not contain the bar ", kBar));
  }
  const absl::string_view field = fields.size() == 2      ? fields[1]
                                  : total < fields.size() ? fields[total - 1]
                                                          : fields[2];
  const absl::string_view trimmed = absl::StripTrailingAsciiWhitespace(field);
  line.features_end = trimmed.data() + trimmed.size() - text.data();
  line.features_begin =
      line.has_features ? trimmed.data() - text.data() : line.features_end;
  if (line.has_features) {
    FeatureParser parser;
    if (absl::Status status = parser.Parse(field); !status.ok()) return status;
    absl::StatusOr<std::vector<Feature>> features = parser.Take();
    if (!features.ok()) return features.status();
    line.features = *std::move(features);
  }
  return line;
}

std::string WithFeatures(const NbestLine& line,
                         absl::Span<const Feature> features) {
  if (features.empty()) return line.line;
  const absl::string_view text = line.line;
  std::string result(text.substr(0, line.features_begin));
  absl::StrAppend(&result, WithoutFeatures(text.substr(line.features_begin,
                                                       line.features_end -
                                                           line.features_begin),
                                           features));
  if (!line.has_features) absl::StrAppend(&result, " |||");
  for (const Feature& feature : features) {
    absl::StrAppendFormat(&result, " %s= %.9g", feature.name, feature.value);
  }
  absl::StrAppend(&result, text.substr(line.features_end));
  return result;
}

}  // namespace lmserve
