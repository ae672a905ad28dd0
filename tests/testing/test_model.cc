// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/test_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "models/cache/cache_file.h"
#include "models/cache/cache_model.h"
#include "models/mixture/member_files.h"
#include "models/mixture/mixture_file.h"
#include "models/mixture/mixture_model.h"
#include "models/model_factory.h"
#include "models/ngram/compact/count_model.h"
#include "models/ngram/compact/value_model.h"
#include "models/ngram/compact/value_trie_builder.h"
#include "trainer/ngram/compact_estimate.h"

namespace lmserve {

ModelFiles TestModel::Files() const {
  return ModelFiles(files.begin(), files.end());
}

TestModel NgramTestModel(BuiltNgramModel built) {
  TestModel test;
  test.family = std::string(kNgramFamily);
  test.files[std::string(kVocabularyFile)] =
      std::string(built.model->vocabulary().text());
  // Moving the string does not move the bytes, which the model uses in place.
  test.files[std::string(kNgramFile)] = std::move(built.bytes);
  test.model = std::move(built.model);
  return test;
}

TestModel CompactTestModel(std::string text, int order,
                           const EstimateOptions& options) {
  const Corpus corpus = ReadTestCorpus(std::move(text));
  TestModel test;
  test.family = std::string(kNgramFamily);
  test.files[std::string(kVocabularyFile)] =
      std::string(corpus.vocabulary.text());
  test.files[std::string(kNgramFile)] =
      EstimateCompact(CountNgrams(corpus, order, /*threads=*/2), options)
          .value()
          .file.bytes;
  test.model =
      CountModel::Create(
          Vocabulary::Parse(std::string(corpus.vocabulary.text())).value(),
          test.files[std::string(kNgramFile)])
          .value();
  return test;
}

TestModel ValueTestModel(const TableModel& model, int quantize_bits) {
  TestModel test;
  test.family = std::string(kNgramFamily);
  const std::string vocabulary(model.vocabulary.text());
  test.files[std::string(kVocabularyFile)] = vocabulary;
  std::string& bytes = test.files[std::string(kNgramFile)];
  bytes = BuildValueFile(model.table, quantize_bits).value();
  test.model =
      ValueModel::Create(Vocabulary::Parse(vocabulary).value(), bytes).value();
  return test;
}

TestModel MixtureTestModel(std::vector<TestModel> members,
                           const std::vector<double>& weights) {
  TestModel test;
  test.family = std::string(kMixtureFamily);
  std::vector<MixtureEntry> entries;
  std::vector<MixtureModel::Member> parts;
  for (size_t m = 0; m < members.size(); ++m) {
    TestModel& member = members[m];
    entries.push_back({member.family, weights[m], absl::StrCat("m@", m)});
    // Moving map nodes does not move the bytes, which the models use in place.
    auto vocabulary = member.files.extract(std::string(kVocabularyFile));
    if (m == 0) test.files.insert(std::move(vocabulary));
    while (!member.files.empty()) {
      auto file = member.files.extract(member.files.begin());
      file.key() = MemberFileName(m, file.key());
      test.files.insert(std::move(file));
    }
    parts.push_back({std::move(member.model), weights[m]});
  }
  test.files[std::string(kMixtureFile)] = MakeMixtureFile(entries);
  test.model = MixtureModel::Create(std::move(parts)).value();
  return test;
}

TestModel CacheTestModel(TestModel member, const CacheOptions& options) {
  TestModel test;
  test.family = std::string(kCacheFamily);
  test.files[std::string(kCacheFile)] =
      MakeCacheFile({member.family, "m@0", options});
  test.files.insert(member.files.extract(std::string(kVocabularyFile)));
  while (!member.files.empty()) {
    auto file = member.files.extract(member.files.begin());
    file.key() = MemberFileName(0, file.key());
    test.files.insert(std::move(file));
  }
  test.model = CacheModel::Create(std::move(member.model), options).value();
  return test;
}

}  // namespace lmserve
