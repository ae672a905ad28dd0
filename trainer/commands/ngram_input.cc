// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/ngram_input.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model_store/load_version.h"
#include "model_store/model_name.h"
#include "models/ngram/ngram_set.h"
#include "ngram_files/arpa.h"
#include "text_io/line_reader.h"
#include "trainer/ngram/table_of_model.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

bool IsArpaFile(absl::string_view spec) {
  constexpr absl::string_view kEnd = ".arpa";
  if (spec.find('/') != absl::string_view::npos) return true;
  const size_t found = spec.rfind(kEnd);
  if (found == absl::string_view::npos) return false;
  const absl::string_view rest = spec.substr(found + kEnd.size());
  return rest.empty() || rest[0] == '.';
}

absl::StatusOr<NgramInput> ReadArpaInput(const std::string& file) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(file);
  if (!lines.ok()) return lines.status();
  absl::StatusOr<ImportedNgrams> model = ReadArpa(**lines, ArpaOptions());
  if (!model.ok()) return model.status();
  for (const std::string& warning : model->warnings) {
    PrintMessage(absl::StrCat("warning: ", (*lines)->name(), ": ", warning));
  }
  return NgramInput{file, std::move(model->vocabulary),
                    std::move(model->table)};
}

absl::StatusOr<NgramInput> ReadStoredInput(const std::string& store,
                                           const std::string& spec) {
  const absl::StatusOr<ModelHandle> handle = LoadModelVersion(store, spec);
  if (!handle.ok()) return handle.status();
  const std::string name = VersionName((*handle)->name(), (*handle)->version());
  const auto* model =
      dynamic_cast<const NgramSet*>((*handle)->model().left_to_right());
  if (model == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", name, ": expected the family ngram, found ",
                     (*handle)->manifest().family()));
  }
  absl::StatusOr<NgramTable> table = TableOf(*model);
  if (!table.ok()) {
    return absl::Status(
        table.status().code(),
        absl::StrCat("model ", name, ": ", table.status().message()));
  }
  absl::StatusOr<Vocabulary> vocabulary =
      Vocabulary::Parse(std::string(model->vocabulary().text()));
  if (!vocabulary.ok()) return vocabulary.status();
  return NgramInput{name, *std::move(vocabulary), *std::move(table)};
}

}  // namespace

absl::StatusOr<NgramInput> ReadNgramInput(const std::string& store,
                                          const std::string& spec) {
  return IsArpaFile(spec) ? ReadArpaInput(spec) : ReadStoredInput(store, spec);
}

}  // namespace lmserve
