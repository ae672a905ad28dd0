// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_vocabulary.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "models/quoted.h"
#include "trainer/neural/torch_file.h"
#include "trainer/neural/zip_archive.h"

namespace lmserve {
namespace {

using Words = std::vector<std::string>;

// Returns the lines without their ends.
std::vector<absl::string_view> LinesOf(absl::string_view text) {
  absl::ConsumeSuffix(&text, "\n");
  std::vector<absl::string_view> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    lines.push_back(absl::StripSuffix(line, "\r"));
  }
  return lines;
}

absl::StatusOr<Words> ParseFairseq(absl::string_view text) {
  Words words = {"<s>", "<pad>", "</s>", "<unk>"};
  size_t number = 0;
  for (absl::string_view line : LinesOf(text)) {
    ++number;
    // A marker that a dictionary has on purpose.
    absl::ConsumeSuffix(&line, " #fairseq:overwrite");
    const size_t space = line.rfind(' ');
    uint64_t count = 0;
    if (space == absl::string_view::npos ||
        !absl::SimpleAtoi(line.substr(space + 1), &count)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": expected a word and its count, ",
                       "found ", Quoted(line)));
    }
    words.emplace_back(line.substr(0, space));
  }
  return words;
}

absl::StatusOr<Words> FromJson(const nlohmann::json& json) {
  if (json.is_object()) {
    std::vector<std::pair<std::string, int64_t>> ids;
    for (const auto& [word, id] : json.items()) {
      if (!id.is_number_integer()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "word ", Quoted(word), ": expected an id, found ", id.type_name()));
      }
      ids.emplace_back(word, id.get<int64_t>());
    }
    return OrderWords(ids);
  }
  if (!json.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a list of words or a map from words to ids, ",
                     "found ", json.type_name()));
  }
  Words words;
  for (const nlohmann::json& word : json) {
    if (!word.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("word ", words.size(), ": expected a string, found ",
                       word.type_name()));
    }
    words.push_back(word.get<std::string>());
  }
  return words;
}

absl::StatusOr<Words> ParseTorch(absl::string_view bytes) {
  const absl::StatusOr<TorchFile> file = TorchFile::Parse(bytes);
  if (!file.ok()) return file.status();
  return file->Words();
}

}  // namespace

absl::StatusOr<Words> ParseTorchVocabulary(absl::string_view bytes,
                                           TorchVocabularyForm form) {
  if (form == TorchVocabularyForm::kTorch ||
      (form == TorchVocabularyForm::kAny && ZipArchive::Matches(bytes))) {
    return ParseTorch(bytes);
  }
  if (form == TorchVocabularyForm::kFairseq) return ParseFairseq(bytes);
  const bool may_be_json =
      form == TorchVocabularyForm::kJson ||
      (form == TorchVocabularyForm::kAny &&
       (absl::StartsWith(bytes, "{") || absl::StartsWith(bytes, "[")));
  if (may_be_json) {
    const nlohmann::json json =
        nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr,
                              /*allow_exceptions=*/false);
    if (!json.is_discarded()) return FromJson(json);
    if (form == TorchVocabularyForm::kJson) {
      return absl::InvalidArgumentError("expected JSON, found other text");
    }
  }
  absl::ConsumePrefix(&bytes, "\xEF\xBB\xBF");  // a byte order mark
  const std::vector<absl::string_view> lines = LinesOf(bytes);
  return Words(lines.begin(), lines.end());
}

}  // namespace lmserve
