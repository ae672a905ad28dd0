// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/counts_directory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "text_io/byte_source.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/word_list.h"

namespace lmserve {
namespace {

using nlohmann::json;

constexpr char kManifestFile[] = "counts.json";
constexpr char kFormatName[] = "lmserve n-gram counts 1";
// Enough for the names of some hundred thousand parts.
constexpr size_t kMaxManifestBytes = 16 << 20;

// Reads the fields of a value, which may be no object and then has no fields,
// and remembers the first that is wrong.
class FieldReader {
 public:
  explicit FieldReader(const json& object) : object_(object) {}

  uint64_t Number(const char* field) {
    const auto found = object_.find(field);
    if (found != object_.end() && found->is_number_unsigned()) return *found;
    Fail(field, "a number");
    return 0;
  }
  // A number of words or of what they are in.
  uint64_t Size(const char* field) {
    const uint64_t number = Number(field);
    if (number <= kMaxCounted) return number;
    Fail(field, "at most 2^56");
    return 0;
  }
  bool Bool(const char* field) {
    const auto found = object_.find(field);
    if (found != object_.end() && found->is_boolean()) return *found;
    Fail(field, "true or false");
    return false;
  }
  std::string String(const char* field) {
    const auto found = object_.find(field);
    if (found != object_.end() && found->is_string()) return *found;
    Fail(field, "a string");
    return "";
  }
  json Array(const char* field) {
    const auto found = object_.find(field);
    if (found != object_.end() && found->is_array()) return *found;
    Fail(field, "an array");
    return json::array();
  }

  void Fail(absl::string_view field, absl::string_view expected) {
    if (problem_.empty()) {
      problem_ = absl::StrCat(field, ": expected ", expected);
    }
  }
  const std::string& problem() const { return problem_; }

 private:
  const json& object_;
  std::string problem_;
};

// Whether a file of this name is in the directory itself.
bool IsPlainName(absl::string_view name) {
  return !name.empty() && name.front() != '.' && !absl::StrContains(name, '/');
}

}  // namespace

void AddTotals(const TextTotals& totals, json* object) {
  (*object)["sentences"] = totals.sentences;
  (*object)["tokens"] = totals.tokens;
  (*object)["unknown"] = totals.unknown;
  (*object)["blank_lines"] = totals.blank_lines;
  json sentences = json::array();
  for (const FirstSentence& sentence : totals.self_test) {
    sentences.push_back({{"place", sentence.place}, {"text", sentence.text}});
  }
  (*object)["self_test"] = sentences;
}

std::string ReadTotals(const json& object, TextTotals* totals) {
  FieldReader fields(object);
  totals->sentences = fields.Size("sentences");
  totals->tokens = fields.Size("tokens");
  totals->unknown = fields.Size("unknown");
  totals->blank_lines = fields.Size("blank_lines");
  for (const json& sentence : fields.Array("self_test")) {
    FieldReader parts(sentence);
    totals->self_test.push_back({parts.Number("place"), parts.String("text")});
    if (!parts.problem().empty()) {
      fields.Fail("self_test", "sentences with their places");
    }
  }
  return fields.problem();
}

absl::StatusOr<CountsManifest> ReadCountsManifest(
    const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kManifestFile);
  if (absl::Status status = CheckIsFile(path); !status.ok()) return status;
  const absl::StatusOr<std::string> text =
      ReadAllBytes(path, kMaxManifestBytes);
  if (!text.ok()) return text.status();
  const json object = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  FieldReader fields(object);
  CountsManifest manifest;
  if (fields.String("format") != kFormatName) {
    fields.Fail("format", absl::StrCat("\"", kFormatName, "\""));
  }
  const uint64_t order = fields.Number("order");
  if (order < 1 || order > kMaxNgramOrder) {
    fields.Fail("order", absl::StrCat("1 to ", kMaxNgramOrder));
  }
  manifest.order = static_cast<int>(order);
  manifest.vocabulary = fields.Number("vocabulary");
  if (manifest.vocabulary < kMarkerIds ||
      manifest.vocabulary > UINT32_MAX / 2) {
    fields.Fail("vocabulary", "3 to 2^31");
  }
  manifest.has_fixed_vocabulary = fields.Bool("fixed_vocabulary");
  manifest.min_count = fields.Size("min_count");
  const std::string totals_problem = ReadTotals(object, &manifest.totals);
  if (object.contains("ngrams")) {
    for (const json& number : fields.Array("ngrams")) {
      manifest.ngrams.push_back(number.is_number_unsigned() ? uint64_t{number}
                                                            : UINT64_MAX);
      if (manifest.ngrams.back() > kMaxCounted) {
        fields.Fail("ngrams", "numbers of at most 2^56");
      }
    }
    if (manifest.ngrams.size() != order) fields.Fail("ngrams", "one per order");
  }
  uint64_t windows = 0;
  for (const json& part : fields.Array("parts")) {
    FieldReader part_fields(part);
    manifest.parts.push_back(
        {part_fields.String("name"), part_fields.Number("windows")});
    if (!part_fields.problem().empty() ||
        !IsPlainName(manifest.parts.back().name)) {
      fields.Fail("parts", "names of files with their numbers of windows");
    } else if (!AddCounted(manifest.parts.back().windows, &windows)) {
      fields.Fail("parts", "at most 2^56 windows in all");
    }
  }
  const std::string problem =
      fields.problem().empty() ? totals_problem : fields.problem();
  if (!problem.empty()) {
    return absl::DataLossError(absl::StrCat(path, ": ", problem));
  }
  return manifest;
}

absl::Status WriteCountsManifest(const std::string& directory,
                                 const CountsManifest& manifest) {
  json parts = json::array();
  for (const CountsPart& part : manifest.parts) {
    parts.push_back({{"name", part.name}, {"windows", part.windows}});
  }
  json object = {{"format", kFormatName},
                 {"order", manifest.order},
                 {"vocabulary", manifest.vocabulary},
                 {"fixed_vocabulary", manifest.has_fixed_vocabulary},
                 {"min_count", manifest.min_count},
                 {"parts", parts}};
  if (!manifest.ngrams.empty()) object["ngrams"] = manifest.ngrams;
  AddTotals(manifest.totals, &object);
  return ReplaceFile(
      absl::StrCat(directory, "/", kManifestFile),
      object.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

absl::Status CheckWords(const std::string& directory,
                        const CountsManifest& manifest) {
  const std::string path = absl::StrCat(directory, "/", kWordsFile);
  uint64_t words = 0;
  const auto problem = [&](absl::string_view found) {
    return absl::DataLossError(
        absl::StrCat(path, ": expected ", manifest.vocabulary,
                     " words, as counts.json says, found ", found));
  };
  absl::Status status = ReadWordList(path, [&](const CountedWord&) {
    return words++ < manifest.vocabulary ? absl::OkStatus() : problem("more");
  });
  if (!status.ok() || words == manifest.vocabulary) return status;
  return problem(absl::StrCat(words));
}

absl::StatusOr<std::unique_ptr<CountsReader>> CountsReader::Open(
    const std::string& directory, const CountsManifest& manifest) {
  std::unique_ptr<CountsReader> reader(new CountsReader(directory, manifest));
  if (!reader->OpenNext() && !reader->status_.ok()) return reader->status_;
  return reader;
}

CountsReader::CountsReader(std::string directory,
                           const CountsManifest& manifest)
    : directory_(std::move(directory)),
      order_(manifest.order),
      vocabulary_(manifest.vocabulary),
      parts_(manifest.parts) {
  for (const CountsPart& part : parts_) windows_ += part.windows;
}

bool CountsReader::OpenNext() {
  if (next_part_ == parts_.size()) return false;
  const CountsPart& part = parts_[next_part_++];
  auto opened = WindowReader::Open(absl::StrCat(directory_, "/", part.name),
                                   order_, vocabulary_);
  if (!opened.ok()) {
    status_ = opened.status();
    return false;
  }
  if (reader_ != nullptr && reader_->rows() > 0) {
    std::copy_n(reader_->window(), order_, last_.begin());
  }
  reader_ = *std::move(opened);
  is_first_ = true;
  if (!AddCounted(reader_->positions(), &positions_)) {
    status_ = absl::DataLossError(absl::StrCat(
        reader_->path(), ": expected counts of at most 2^56 in all files"));
    return false;
  }
  if (reader_->rows() == part.windows) return true;
  status_ = absl::DataLossError(
      absl::StrCat(reader_->path(), ": windows: expected ", part.windows,
                   ", as counts.json says, found ", reader_->rows()));
  return false;
}

bool CountsReader::Next() {
  if (!status_.ok() || reader_ == nullptr) return false;
  while (!reader_->Next()) {
    status_ = reader_->status();
    if (!status_.ok() || !OpenNext()) return false;
  }
  shared_ = reader_->shared();
  if (is_first_) {
    const WordId* const window = reader_->window();
    shared_ = static_cast<int>(
        std::mismatch(window, window + order_, last_.begin()).first - window);
    if (windows_read_ == 0) shared_ = 0;
    if (windows_read_ > 0 &&
        (shared_ == order_ || window[shared_] < last_[shared_])) {
      status_ = absl::DataLossError(
          absl::StrCat(reader_->path(),
                       ": expected windows after those of the file before"));
      return false;
    }
  }
  is_first_ = false;
  ++windows_read_;
  return true;
}

}  // namespace lmserve
