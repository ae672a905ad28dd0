// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the readers of all files of a model store. An input must either be
// refused with an error or give a model that answers every query correctly.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/reranker.h"
#include "model_store/self_test.h"
#include "models/cache/cache_file.h"
#include "models/labels.h"
#include "models/mixture/member_files.h"
#include "models/model_factory.h"
#include "models/ngram/fast/ngram_model.h"
#include "models/text.h"
#include "tests/fuzz/consistency.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/fuzz/loader_input.h"
#include "tests/fuzz/require.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

constexpr size_t kSteps = 24;

using State = std::vector<std::byte>;

bool IsLogProb(float log_prob) {
  return log_prob <
         std::numeric_limits<float>::infinity();  // also false for NaN
}

// Calls every function of a model, and compares the answers if its file is
// consistent.
class Walk {
 public:
  Walk(const NgramModel& model, bool is_consistent)
      : model_(model),
        size_(model.vocabulary().size()),
        is_consistent_(is_consistent) {}

  void Run() {
    Step();
    ScoreTexts();
    for (const State& state : states_) Predict(state);
    PredictBatch();
    for (int k = 1; k <= model_.order(); ++k) VisitAll(k);
  }

 private:
  void RequireSame(bool same, absl::string_view promise) const {
    Require(same || !is_consistent_, promise);
  }

  // Scores a text word by word and keeps the states.
  void Step() {
    State state(model_.state_size());
    model_.Start(state.data());
    std::minstd_rand random(size_);
    for (size_t t = 0; t < kSteps; ++t) {
      states_.push_back(state);
      words_.push_back(LikelyWord(state, random()));
      const NgramModel::Step step =
          model_.ScoreWord(state.data(), words_.back());
      Require(IsLogProb(step.log_prob), "a log-probability is a number");
      Require(step.order >= 0 && step.order <= model_.order(),
              "an n-gram that was found has a valid order");
      log_probs_.push_back(step.log_prob);
    }
    states_.push_back(state);
  }

  // Every second word is one that the model expects, to reach long contexts.
  WordId LikelyWord(const State& state, uint32_t random) const {
    if (random % 2 == 0) return random / 2 % size_;
    const size_t k = std::min<size_t>(size_, 4);
    std::vector<ScoredWord> best(k);
    const std::byte* row = state.data();
    model_.TopK({&row, 1}, k, absl::MakeSpan(best));
    return best[random / 2 % k].word;
  }

  // Scores every prefix and every suffix of the text in one batch.
  void ScoreTexts() const {
    std::vector<LanguageModel::Query> batch;
    std::vector<State> ends(2 * kSteps + 2, State(model_.state_size()));
    std::vector<std::vector<float>> found(ends.size());
    for (size_t i = 0; i < ends.size(); ++i) {
      const size_t begin = i <= kSteps ? 0 : i - kSteps - 1;
      const size_t end = i <= kSteps ? i : kSteps;
      found[i].resize(i % 5 == 4 ? 0 : end - begin);
      batch.push_back({states_[begin].data(),
                       absl::MakeSpan(words_).subspan(begin, end - begin),
                       ends[i].data(), absl::MakeSpan(found[i])});
    }
    model_.Score(batch);
    for (size_t i = 0; i < ends.size(); ++i) {
      const size_t begin = i <= kSteps ? 0 : i - kSteps - 1;
      Require(std::all_of(found[i].begin(), found[i].end(), IsLogProb),
              "a batch returns log-probabilities");
      RequireSame(std::equal(found[i].begin(), found[i].end(),
                             log_probs_.begin() + begin),
                  "a batch scores as word by word");
      RequireSame(ends[i] == states_[i <= kSteps ? i : kSteps],
                  "a batch moves the states as word by word");
    }
  }

  void Predict(const State& state) const {
    const std::byte* row = state.data();
    std::vector<float> log_probs(size_);
    model_.Distribution({&row, 1}, log_probs.data());
    std::vector<ScoredWord> sorted;
    for (WordId w = 0; w < size_; ++w) {
      Require(IsLogProb(log_probs[w]),
              "a distribution contains log-probabilities");
      sorted.push_back({w, log_probs[w]});
      if (w == model_.vocabulary().begin_sentence()) continue;
      State next = state;
      RequireSame(model_.ScoreWord(next.data(), w).log_prob == log_probs[w],
                  "a distribution is what the words score");
    }
    Require(log_probs[model_.vocabulary().begin_sentence()] ==
                -std::numeric_limits<float>::infinity(),
            "<s> is never predicted");
    std::sort(sorted.begin(), sorted.end(), Likelier);
    for (size_t k = 1; k <= size_; k += k < 8 || k + 8 > size_ ? 1 : 7) {
      std::vector<ScoredWord> best(k);
      model_.TopK({&row, 1}, k, absl::MakeSpan(best));
      RequireSame(std::equal(best.begin(), best.end(), sorted.begin()),
                  "the best words are the first of the sorted distribution");
    }
  }

  void PredictBatch() const {
    std::vector<const std::byte*> rows;
    for (const State& state : states_) rows.push_back(state.data());
    std::vector<float> together(rows.size() * size_), alone(size_);
    model_.Distribution(rows, together.data());
    for (size_t i = 0; i < rows.size(); ++i) {
      model_.Distribution({&rows[i], 1}, alone.data());
      Require(
          std::equal(alone.begin(), alone.end(), together.begin() + i * size_),
          "a batch predicts like its members alone");
    }
  }

  void VisitAll(int order) const {
    size_t count = 0;
    model_.ForEach(order, [&](const NgramModel::Ngram& ngram) {
      ++count;
      Require(
          ngram.words.size() == static_cast<size_t>(order) &&
              *std::max_element(ngram.words.begin(), ngram.words.end()) < size_,
          "an n-gram has the words of its order");
      Require(ngram.log_prob <= 0 && IsLogProb(ngram.backoff),
              "the numbers of an n-gram are not NaN");
    });
    Require(count == model_.Count(order), "every n-gram is visited once");
  }

  const NgramModel& model_;
  const WordId size_;
  const bool is_consistent_;
  std::vector<WordId> words_;
  std::vector<float> log_probs_;
  std::vector<State> states_;  // before each word, and after the last
};

void LoadModel(absl::string_view rest) {
  ModelInput input = SplitModel(rest);
  auto vocabulary = Vocabulary::Parse(std::move(input.vocabulary));
  if (!vocabulary.ok()) return;
  // A copy of the exact size, so that the sanitizer detects reads past its end.
  const std::vector<char> bytes(input.ngram.begin(), input.ngram.end());
  const auto model =
      NgramModel::Create(*std::move(vocabulary), {bytes.data(), bytes.size()});
  if (!model.ok()) return;
  const auto file = NgramFile::Parse({bytes.data(), bytes.size()},
                                     (*model)->vocabulary().size());
  Walk(**model, IsConsistent(*file)).Run();
}

void LoadVocabulary(absl::string_view text) {
  const auto vocabulary = Vocabulary::Parse(std::string(text));
  if (!vocabulary.ok()) return;
  Require(vocabulary->text() == text, "a vocabulary keeps its text");
  std::vector<absl::string_view> words;
  for (WordId id = 0; id < vocabulary->size(); ++id) {
    words.push_back(vocabulary->word(id));
    Require(vocabulary->Find(words.back()) == id, "a word is found by its id");
    Require(SplitWords(words.back()).size() == 1, "a word is one word");
  }
  const auto again = Vocabulary::Create(words);
  RequireOk(again.status(), "the words of a vocabulary form a vocabulary");
  Require(again->text() == text, "the same words make the same text");
}

void LoadManifest(absl::string_view json) {
  const auto manifest = ParseManifest(json);
  if (!manifest.ok()) return;
  const std::string written = ToJson(*manifest);
  const auto again = ParseManifest(written);
  RequireOk(again.status(), "a manifest that was written can be read");
  Require(ToJson(*again) == written, "a manifest is unchanged");
}

void LoadSelfTest(absl::string_view json) {
  lm::v1::SelfTest test;
  if (!FromJson(kSelfTestFile, json, &test).ok()) return;
  const ModelHandle handle = *FuzzStore().Get("tiny");
  const AnyModel& model = handle->model();
  const bool passed = RunSelfTest(model, test).ok();
  std::vector<std::string> texts;
  for (const auto& one : test.cases()) texts.push_back(one.text());
  const lm::v1::SelfTest right = MakeSelfTest(model, texts);
  Require(RunSelfTest(model, right).ok() == !texts.empty(),
          "a model passes a self-test of its own scores");
  Require(!passed || !texts.empty(), "a self-test requires a text");
}

void LoadAliases(absl::string_view json) {
  lm::v1::Aliases aliases;
  if (!FromJson(kAliasesFile, json, &aliases).ok()) return;
  for (const auto& [alias, version] : aliases.versions()) {
    if (!CheckAlias(alias).ok()) continue;
    const auto name = ParseModelName(absl::StrCat("m@", alias));
    RequireOk(name.status(), "a model can be named by an alias");
    Require(name->alias == alias, "an alias is parsed as an alias");
  }
}

void LoadModelName(absl::string_view text) {
  const auto name = ParseModelName(text);
  if (!name.ok()) return;
  RequireOk(CheckModelName(name->name), "a parsed name is valid");
  Require(name->version == 0 || name->alias.empty(),
          "a name has a version or an alias");
  (void)FuzzStore().GetEntry(text);
}

void LoadReranker(absl::string_view json) {
  const auto reranker = ParseReranker(json);
  if (!reranker.ok()) return;
  RequireOk(CheckWeighting(*reranker),
            "a reranker that was read has valid weights");
  const auto again = ParseReranker(RerankerJson(*reranker));
  RequireOk(again.status(), "a reranker that was written can be read");
  Require(FixedMembers(*again) == FixedMembers(*reranker),
          "a reranker is unchanged");
}

void LoadLabels(absl::string_view text) {
  const auto labels = ParseLabels(text);
  if (!labels.ok()) return;
  Require(FormatLabels(*labels) == text, "labels keep their text");
  for (const std::string& label : *labels) {
    Require(IsWord(label), "a label is one word");
    Require(!IsBioLabel(label) || MayFollow(label, label),
            "a label may follow itself");
  }
}

// Returns the model of the files, or nullopt if they are refused.
std::optional<AnyModel> LoadLabeling(absl::string_view family,
                                     absl::string_view rest) {
  const LabelingInput input = SplitLabeling(rest);
  // A copy of the exact size, so that the sanitizer detects reads past its end.
  const std::vector<char> bytes(input.weights.begin(), input.weights.end());
  const ModelFiles files = {
      {std::string(kVocabularyFile), kLabelingVocabulary},
      {std::string(kLabelsFile), input.labels},
      {std::string(kWeightsFile), {bytes.data(), bytes.size()}}};
  auto model = CreateModel(family, files);
  if (!model.ok()) return std::nullopt;
  return *std::move(model);
}

// Encodes a sentence in all ways.
void Encode(const SentenceEncoder& encoder) {
  std::vector<float> vector(encoder.dimensions());
  const WordId words[] = {3, 0, 4, 3};
  for (size_t size : {0, 1, 4}) {
    const SentenceEncoder::Sentence sentence = {{words, size},
                                                absl::MakeSpan(vector)};
    for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
      encoder.Encode({&sentence, 1}, pooling);
    }
  }
}

void LoadTagger(absl::string_view rest) {
  const auto model = LoadLabeling(kTaggerFamily, rest);
  if (!model.has_value()) return;
  const TaggerModel& tagger = *model->tagger();
  const absl::string_view words[] = {"a", "unseen", "b", "a"};
  std::vector<size_t> labels(4, ~size_t{0});
  std::vector<float> log_probs(4 * tagger.labels().size());
  const TaggerModel::Sentence sentence = {words, absl::MakeSpan(labels),
                                          absl::MakeSpan(log_probs)};
  tagger.Tag({&sentence, 1});
  for (size_t label : labels) {
    Require(label < tagger.labels().size(), "a word gets one of the labels");
  }
  Encode(*tagger.sentence_encoder());
}

void LoadClassifier(absl::string_view rest) {
  const auto model = LoadLabeling(kClassifierFamily, rest);
  if (!model.has_value()) return;
  const ClassifierModel& classifier = *model->classifier();
  const WordId words[] = {3, 0, 4};
  std::vector<float> log_probs(classifier.labels().size());
  for (size_t size : {0, 3}) {
    const ClassifierModel::Sentence sentence = {{words, size},
                                                absl::MakeSpan(log_probs)};
    classifier.Classify({&sentence, 1});
  }
  Encode(*classifier.sentence_encoder());
}

// A text of all words of a vocabulary but <s>.
std::vector<WordId> SomeText(const Vocabulary& vocabulary) {
  std::vector<WordId> text;
  for (WordId i = 0; i < 40; ++i) {
    const WordId word = i * i % vocabulary.size();
    if (word != vocabulary.begin_sentence()) text.push_back(word);
  }
  return text;
}

void LoadCache(absl::string_view json) {
  const auto file = ParseCacheFile(json);
  if (!file.ok()) {
    Require(file.status().message().size() < 1000, "error messages are short");
    return;
  }
  const std::string written = MakeCacheFile(*file);
  const auto again = ParseCacheFile(written);
  RequireOk(again.status(), "a file that was written can be read");
  Require(MakeCacheFile(*again) == written, "a file is unchanged");

  TestModel made = FuzzNetwork();
  const auto weights = made.files.extract(std::string(kWeightsFile));
  made.files[MemberFileName(0, kWeightsFile)] = weights.mapped();
  made.files[std::string(kCacheFile)] = std::string(json);
  const auto created = CreateModel(kCacheFamily, made.Files());
  if (!created.ok()) return;
  const LanguageModel& model = *created->left_to_right();
  const std::vector<WordId> text = SomeText(model.vocabulary());
  State whole(model.state_size()), state(model.state_size());
  model.Start(state.data());
  std::vector<float> log_probs(text.size());
  model.Score({{state.data(), text, whole.data(), absl::MakeSpan(log_probs)}});
  for (size_t t = 0; t < text.size(); ++t) {
    float log_prob = 0;
    model.Score({{state.data(), {&text[t], 1}, state.data(), {&log_prob, 1}}});
    Require(log_prob == log_probs[t] && log_prob <= 0,
            "a text scores as word by word");
  }
  Require(state == whole, "a text moves the state as word by word");
  const std::byte* row = state.data();
  std::vector<float> next(model.vocabulary().size());
  model.Distribution({&row, 1}, next.data());
  double sum = 0;
  for (float log_prob : next) sum += std::exp(double{log_prob});
  Require(std::abs(sum - 1) < 1e-4, "the probabilities sum to 1");
}

void Load(absl::string_view input) {
  if (input.empty()) return;
  const absl::string_view rest = input.substr(1);
  switch (static_cast<Loader>(static_cast<uint8_t>(input[0]) % kLoaders)) {
    case Loader::kModel:
      return LoadModel(rest);
    case Loader::kVocabulary:
      return LoadVocabulary(rest);
    case Loader::kManifest:
      return LoadManifest(rest);
    case Loader::kSelfTest:
      return LoadSelfTest(rest);
    case Loader::kAliases:
      return LoadAliases(rest);
    case Loader::kModelName:
      return LoadModelName(rest);
    case Loader::kReranker:
      return LoadReranker(rest);
    case Loader::kLabels:
      return LoadLabels(rest);
    case Loader::kTagger:
      return LoadTagger(rest);
    case Loader::kClassifier:
      return LoadClassifier(rest);
    case Loader::kCache:
      return LoadCache(rest);
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Load({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates the numbers of models and repairs half of these. Mutates the bytes of
// all other inputs and sometimes of models.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (size == 0 || data[0] != 0 || random() % 8 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  lmserve::ModelInput model =
      lmserve::SplitModel({reinterpret_cast<const char*>(data) + 1, size - 1});
  lmserve::MutateNgram(random, &model.ngram);
  if (random() % 2 == 0) lmserve::RepairModel(random, &model);
  const std::string input = lmserve::JoinModel(model);
  if (input.size() > max_size) return size;
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
