// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/publish_ngram.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/ngram/compact/value_trie_builder.h"
#include "models/ngram/fast/ngram_builder.h"

namespace lmserve {
namespace {

// A version without files.
NewVersion MakeVersion(const std::vector<uint64_t>& ngrams,
                       std::map<std::string, std::string> properties,
                       std::vector<std::string> self_test) {
  NewVersion version;
  version.family = std::string(kNgramFamily);
  version.properties = std::move(properties);
  version.properties["order"] = absl::StrCat(ngrams.size());
  version.properties["ngrams"] = absl::StrJoin(ngrams, " ");
  version.self_test = std::move(self_test);
  return version;
}

}  // namespace

namespace {

absl::StatusOr<NgramFileContents> WithCounts(absl::StatusOr<std::string> bytes,
                                             const NgramTable& table) {
  if (!bytes.ok()) return bytes.status();
  NgramFileContents file = {*std::move(bytes), {}};
  for (const NgramLevel& level : table.levels) {
    file.ngrams.push_back(level.size());
  }
  return file;
}

}  // namespace

absl::StatusOr<NgramFileContents> BuildFastFile(const NgramTable& table) {
  return WithCounts(BuildNgramFile(table), table);
}

absl::StatusOr<NgramFileContents> BuildValuesFile(const NgramTable& table,
                                                  int quantize_bits) {
  return WithCounts(BuildValueFile(table, quantize_bits), table);
}

absl::StatusOr<uint64_t> PublishNgram(
    const std::string& store, absl::string_view name,
    const Vocabulary& vocabulary, const NgramFileContents& file,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test) {
  NewVersion version =
      MakeVersion(file.ngrams, std::move(properties), std::move(self_test));
  version.files = {{std::string(kVocabularyFile), vocabulary.text()},
                   {std::string(kNgramFile), file.bytes}};
  return Publish(store, name, version);
}

absl::StatusOr<uint64_t> PublishNgram(
    const std::string& store, absl::string_view name,
    const NgramFilePaths& files, std::map<std::string, std::string> properties,
    std::vector<std::string> self_test) {
  NewVersion version =
      MakeVersion(files.ngrams, std::move(properties), std::move(self_test));
  version.paths = {{std::string(kVocabularyFile), files.vocabulary},
                   {std::string(kNgramFile), files.ngram}};
  return Publish(store, name, version);
}

}  // namespace lmserve
