// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/ngram_models.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/ngram/fast/ngram_builder.h"
#include "ngram_files/arpa.h"
#include "text_io/line_reader.h"
#include "trainer/demo/demo_corpus.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

ImportedNgrams ParseArpa(absl::string_view arpa) {
  std::unique_ptr<LineReader> lines = LineReader::FromString(std::string(arpa));
  return ReadArpa(*lines, ArpaOptions()).value();
}

}  // namespace

Corpus ReadTestCorpus(std::string text) {
  Progress quiet("", /*quiet=*/true);
  std::unique_ptr<LineReader> lines = LineReader::FromString(std::move(text));
  return ReadCorpus(*lines, CorpusOptions(), quiet).value();
}

absl::string_view TinyArpa() {
  return R"(\data\
ngram 1=10
ngram 2=9
ngram 3=5

\1-grams:
-1.5	<unk>
-99	<s>	-0.4
-0.9	</s>
-0.7	the	-0.3
-0.8	a	-0.2
-1.0	cat	-0.25
-1.1	dog	-0.15
-1.2	is	-0.35
-1.3	small	-0.1
-1.4	barks

\2-grams:
-0.3	<s> the	-0.05
-0.6	<s> a	-0.45
-0.35	the cat	-0.2
-0.5	the dog	-0.1
-0.4	a dog
-0.25	cat is	-0.3
-0.45	dog barks	0
-0.2	is small	-0.12
-0.15	small </s>

\3-grams:
-0.18	<s> the cat
-0.22	the cat is
-0.17	cat is small
-0.21	is small </s>
-0.31	the dog barks

\end\
)";
}

BuiltNgramModel BuildModel(Vocabulary vocabulary, const NgramTable& table) {
  BuiltNgramModel built;
  built.bytes = BuildNgramFile(table).value();
  built.model = NgramModel::Create(std::move(vocabulary), built.bytes).value();
  return built;
}

BuiltNgramModel BuildFromArpa(absl::string_view arpa) {
  ImportedNgrams model = ParseArpa(arpa);
  return BuildModel(std::move(model.vocabulary), model.table);
}

TableModel TrainTable(std::string text, int order,
                      const EstimateOptions& options) {
  Corpus corpus = ReadTestCorpus(std::move(text));
  NgramTable table =
      EstimateModel(CountNgrams(corpus, order, /*threads=*/2), options)
          .value()
          .table;
  return {std::move(corpus.vocabulary), std::move(table)};
}

TableModel TrainTable(std::string text, int order, absl::string_view method) {
  EstimateOptions options;
  options.smoothing.method = std::string(method);
  return TrainTable(std::move(text), order, options);
}

TableModel TableFromArpa(absl::string_view arpa) {
  ImportedNgrams model = ParseArpa(arpa);
  return {std::move(model.vocabulary), std::move(model.table)};
}

TrainedNgramModel TrainModel(std::string text, int order,
                             const EstimateOptions& options) {
  Corpus corpus = ReadTestCorpus(std::move(text));
  const Estimate estimate =
      EstimateModel(CountNgrams(corpus, order, /*threads=*/2), options).value();
  return {BuildModel(std::move(corpus.vocabulary), estimate.table),
          estimate.notes};
}

std::string RandomText(uint64_t seed, const std::vector<std::string>& words,
                       int sentences) {
  std::mt19937_64 random(seed);
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    for (uint64_t length = 1 + random() % 8; length > 0; --length) {
      const size_t word =
          std::min(random() % words.size(), random() % words.size());
      absl::StrAppend(&text, words[word], length == 1 ? "\n" : " ");
    }
  }
  return text;
}

std::string DemoText(int sentences, uint64_t seed) {
  DemoCorpus corpus(seed);
  std::string text;
  for (int i = 0; i < sentences; ++i)
    absl::StrAppend(&text, corpus.Next(), "\n");
  return text;
}

uint64_t PublishTinyModel(const std::string& store, absl::string_view name) {
  const ImportedNgrams model = ParseArpa(TinyArpa());
  const std::string bytes = BuildNgramFile(model.table).value();
  NewVersion version;
  version.family = std::string(kNgramFamily);
  version.properties = {{"order", "3"}};
  version.files = {{std::string(kVocabularyFile), model.vocabulary.text()},
                   {std::string(kNgramFile), bytes}};
  version.self_test = {"the cat is small", "a dog barks"};
  return Publish(store, name, version).value();
}

}  // namespace lmserve
