// SPDX-License-Identifier: Apache-2.0
//
// Writes the seeds of the fuzzers as DIRECTORY/FUZZER/SEED.
//   make_seeds DIRECTORY

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/manifest.h"
#include "model_store/self_test.h"
#include "models/cache/cache_file.h"
#include "models/model_factory.h"
#include "models/neural/pooling.h"
#include "models/neural/tensor_file.h"
#include "models/ngram/compact/value_trie_builder.h"
#include "ngram_files/arpa.h"
#include "server/http/json_printer.h"
#include "tests/fuzz/counts_input.h"
#include "tests/fuzz/fuzz_counts.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/fuzz/loader_input.h"
#include "tests/fuzz/request_input.h"
#include "tests/fuzz/require.h"
#include "tests/server/http/json_types.h"
#include "tests/testing/kenlm_writer.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/testing/torch_writer.h"
#include "text_io/encoder.h"
#include "text_io/text_format.h"
#include "trainer/ngram/compact_estimate.h"

namespace lmserve {
namespace {

// Writes the seeds of one fuzzer.
class Seeds {
 public:
  Seeds(const std::string& directory, const std::string& fuzzer)
      : directory_(absl::StrCat(directory, "/", fuzzer)) {
    std::filesystem::create_directories(directory_);
  }

  void Add(absl::string_view name, absl::string_view bytes) const {
    std::ofstream file(absl::StrCat(directory_, "/", name), std::ios::binary);
    file.write(bytes.data(), bytes.size());
    Require(file.flush().good(), "a seed can be written");
  }

 private:
  const std::string directory_;
};

const LoadedVersion& Loaded(const std::string& name) {
  return **FuzzStore().Get(name);
}

std::string LoaderSeed(Loader loader, absl::string_view rest) {
  return absl::StrCat(std::string(1, static_cast<char>(loader)), rest);
}

void AddLoaderSeeds(const Seeds& seeds) {
  for (const FuzzModel& model : FuzzModels()) {
    seeds.Add(model.name, JoinModel({model.vocabulary, model.ngram}));
  }
  seeds.Add("vocabulary",
            LoaderSeed(Loader::kVocabulary, FuzzModels()[0].vocabulary));
  const LoadedVersion& tiny = Loaded("tiny");
  seeds.Add("manifest", LoaderSeed(Loader::kManifest, ToJson(tiny.manifest())));
  const std::string texts[] = {"the cat is small", "a zebra"};
  seeds.Add("selftest", LoaderSeed(Loader::kSelfTest,
                                   ToJson(MakeSelfTest(tiny.model(), texts))));
  lm::v1::Aliases aliases;
  (*aliases.mutable_versions())["prod"] = 1;
  (*aliases.mutable_versions())["next"] = 2;
  seeds.Add("aliases", LoaderSeed(Loader::kAliases, ToJson(aliases)));
  seeds.Add(
      "reranker",
      LoaderSeed(
          Loader::kReranker,
          ToJson((*FuzzStore().served()->GetReranker("mt"))->reranker())));
  const Cache continuous = {
      .kind = CacheKind::kContinuous, .weight = 0.2, .theta = 0.3};
  const Cache bigrams = {
      .kind = CacheKind::kNgram, .weight = 0.1, .order = 2, .decay = 0.9};
  CacheOptions caches = {.history = 7, .caches = {continuous}};
  seeds.Add("cache-continuous",
            LoaderSeed(Loader::kCache,
                       MakeCacheFile({"recurrent", "lstm@1", caches})));
  caches.caches = {bigrams, continuous, bigrams};
  caches.keys = Precision::kBf16;
  seeds.Add("cache-all",
            LoaderSeed(Loader::kCache,
                       MakeCacheFile({"recurrent", "lstm@1", caches})));
  for (const char* name : {"tiny", "tiny@1", "tiny@prod"}) {
    seeds.Add(absl::StrCat("name-", name),
              LoaderSeed(Loader::kModelName, name));
  }
}

// Taggers with and without each part, and classifiers.
void AddLabelingSeeds(const Seeds& seeds) {
  const std::string vocabulary(kLabelingVocabulary);
  const auto add = [&](const std::string& name, Loader loader,
                       const LabelingTestModel& model) {
    seeds.Add(name,
              JoinLabeling(loader, {model.files.at("labels.txt"),
                                    model.files.at("weights.safetensors")}));
  };
  for (int parts = 0; parts < 8; ++parts) {
    TaggerNetworkOptions options;
    options.embedding = 2;
    options.stack.units = 2;
    options.stack.bidirectional = true;
    if ((parts & 1) != 0) options.character_embedding = 1;
    if ((parts & 1) != 0) options.character_units = 1;
    options.crf = (parts & 2) != 0;
    options.bio = (parts & 4) != 0;
    add(absl::StrCat("tagger-", parts), Loader::kTagger,
        TaggerTestModel(vocabulary, {"B-X", "I-X", "O"}, options,
                        parts == 7 ? Precision::kInt8 : Precision::kFloat));
  }
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    ClassifierNetworkOptions options;
    options.embedding = 2;
    options.stack.units = 2;
    options.stack.bidirectional = pooling != Pooling::kMean;
    options.pooling = pooling;
    add(absl::StrCat("classifier-", PoolingName(pooling)), Loader::kClassifier,
        ClassifierTestModel(vocabulary, {"0", "1"}, options,
                            Precision::kFloat));
  }
  seeds.Add("labels", LoaderSeed(Loader::kLabels, "B-NP\nI-NP\nO\nNOUN\n"));
}

void AddArpaSeeds(const Seeds& seeds) {
  seeds.Add("tiny", TinyArpa());
  for (const char* name : {"tiny.words", "kneser-ney", "unigram"}) {
    std::ostringstream arpa;
    const auto& model =
        dynamic_cast<const NgramModel&>(*Loaded(name).model().left_to_right());
    RequireOk(WriteArpa(model, arpa), "a back-off model can be written");
    seeds.Add(name, arpa.str());
  }
}

// Models in the compact layout, of several orders and methods.
void AddCompactSeeds(const Seeds& seeds) {
  for (int order : {1, 2, 4}) {
    for (const char* method : {"modified-kneser-ney", "witten-bell"}) {
      EstimateOptions options;
      options.smoothing.method = method;
      const Corpus corpus = ReadTestCorpus(DemoText(120, order));
      const auto estimate =
          EstimateCompact(CountNgrams(corpus, order, /*threads=*/1), options);
      RequireOk(estimate.status(), "interpolated models can be compact");
      seeds.Add(absl::StrCat(method, "-", order), estimate->file.bytes);
    }
  }
}

// Models in the compact layout with values: exact and quantized, with each rule
// for unseen words, with blanks and lists of the likeliest children.
void AddValueSeeds(const Seeds& seeds) {
  const auto add = [&](const std::string& name, const NgramTable& table,
                       int bits) {
    const auto file = BuildValueFile(table, bits);
    RequireOk(file.status(), "every model can be compact");
    seeds.Add(absl::StrCat(name, "-", bits), *file);
  };
  for (const char* method : {"katz", "additive", "stupid-back-off"}) {
    for (int order : {1, 2, 4}) {
      const TableModel model = TrainTable(DemoText(120, order), order, method);
      for (int bits : {0, 4}) {
        add(absl::StrCat(method, "-", order), model.table, bits);
      }
    }
  }
  add("missing-suffixes",
      TableFromArpa(R"(\data\
ngram 1=6
ngram 2=2
ngram 3=1
\1-grams:
-1 <unk>
-99 <s> -0.3
-1 </s>
-1.1 a -0.1
-1.2 b -0.2
-1.3 c
\2-grams:
-0.5 a b -0.05
-0.6 <s> a -0.25
\3-grams:
-0.2 <s> a c
\end\
)")
          .table,
      0);
  NgramTable large;
  large.levels.resize(2);
  NgramLevel& words = large.levels[0];
  NgramLevel& pairs = large.levels[1];
  for (WordId w = 0; w < 100; ++w) {
    words.words.push_back(w);
    words.log_probs.push_back(w == 1 ? kImpossible : -4.5f);
    words.backoffs.push_back(w == 3 ? -0.5f : 0);
    words.children.push_back(w <= 3 ? 0 : 90);
    if (w < 10) continue;
    pairs.words.push_back(w);
    pairs.log_probs.push_back(-0.125f * static_cast<float>(w % 23) - 3);
  }
  words.children.push_back(90);
  for (int bits : {0, 3}) add("large", large, bits);
}

// Directories, texts with and without changes, and work that is resumed.
void AddCountsSeeds(const Seeds& seeds) {
  const FuzzCounts& counts = FuzzCounts::Get();
  const std::string orders[] = {std::string("\2\0", 2), std::string("\0\0", 2),
                                std::string("\4\2\3\3\7\6\1\2", 8)};
  for (size_t i = 0; i < std::size(orders); ++i) {
    const std::string text =
        orders[i] + "\3\4\5\3\4\2\4\5\1\3\3\3\6\2\5\4\3\4\5\3\4\6";
    seeds.Add(absl::StrCat("text-", i),
              std::string(1, static_cast<char>(CountsInput::kText)) + text);
    const TemporaryDirectory directory;
    WriteTextCounts(text, directory.File("counts"));
    seeds.Add(absl::StrCat("directory-", i),
              JoinPieces(CountsInput::kDirectory,
                         ReadCountsPieces(directory.File("counts"))));
  }
  seeds.Add("trie", JoinPieces(CountsInput::kTrie, counts.UnlinkedTrie()));
  seeds.Add("links", JoinPieces(CountsInput::kTrie, counts.LinkedTrie()));
  seeds.Add("merge", JoinPieces(CountsInput::kMerge, counts.SpilledMerge()));
  seeds.Add("ids", JoinPieces(CountsInput::kCount, counts.ReadText()));
  seeds.Add("count", JoinPieces(CountsInput::kCount, counts.SpilledText()));
}

// Files of the four kinds, with blanks ("b a", "a b") and without them.
void AddKenlmSeeds(const Seeds& seeds) {
  KenlmNgrams ngrams = {{{"<unk>"}, {-2, 0}},
                        {{"<s>"}, {-99, -0.5}},
                        {{"</s>"}, {-1.25, 0}},
                        {{"a"}, {-0.75, -0.25}},
                        {{"b"}, {-1.5, -0.125}},
                        {{"<s>", "b"}, {-0.5, -0.25}},
                        {{"<s>", "b", "a"}, {-0.75, -0.125}},
                        {{"<s>", "b", "a", "b"}, {-0.5, 0}}};
  const std::pair<std::string, KenlmKind> kinds[] = {
      {"exact", {}},
      {"quantized", {3, 3, -1}},
      {"arrays", {.pointer_bits = 22}},
      {"both", {3, 3, 2}}};
  for (const auto& [name, kind] : kinds) {
    seeds.Add(absl::StrCat(name, "-blanks"), WriteKenlm(ngrams, kind));
  }
  ngrams[{"b", "a"}] = {-0.25, -0.5};
  ngrams[{"a", "b"}] = {-1.25, -0.75};
  ngrams[{"b", "a", "b"}] = {-0.125, -0.125};
  ngrams.erase({"<s>", "b", "a", "b"});
  for (const auto& [name, kind] : kinds) {
    seeds.Add(name, WriteKenlm(ngrams, kind));
  }
}

void AddScoreSeeds(const Seeds& seeds, const std::string& model) {
  lm::v1::ScoreRequest score;
  score.set_model(model);
  score.add_texts()->set_text("the cat is small");
  lm::v1::WordList* words = score.add_texts()->mutable_words();
  words->add_words("dog");
  words->add_words("zebra");
  lm::v1::WordIdList* ids = score.add_texts()->mutable_ids();
  for (uint32_t id : {0, 3, 5}) ids->add_ids(id);
  seeds.Add("score-" + model, JoinRequest(Rpc::kScore, score));
  score.set_per_word(true);
  score.set_include_end(false);
  seeds.Add("score-words-" + model, JoinRequest(Rpc::kScore, score));
}

void AddPredictSeeds(const Seeds& seeds, const std::string& model) {
  lm::v1::PredictRequest predict;
  predict.set_model(model);
  predict.set_k(4);
  predict.add_contexts();
  predict.add_contexts()->set_text("the cat");
  seeds.Add("predict-" + model, JoinRequest(Rpc::kPredict, predict));
  predict.add_words("is");
  predict.add_words("</s>");
  seeds.Add("predict-words-" + model, JoinRequest(Rpc::kPredict, predict));
}

void AddGenerateSeeds(const Seeds& seeds, const std::string& model) {
  lm::v1::GenerateRequest generate;
  generate.set_model(model);
  generate.mutable_prompt()->set_text("the");
  generate.set_max_words(5);
  generate.set_seed(1);
  seeds.Add("generate-" + model, JoinRequest(Rpc::kGenerate, generate));
  generate.set_temperature(0.7f);
  generate.set_top_k(5);
  generate.set_top_p(0.9f);
  generate.set_repetition_penalty(1.2f);
  generate.add_stop_words("small");
  seeds.Add("generate-all-" + model, JoinRequest(Rpc::kGenerate, generate));
}

void AddRerankSeeds(const Seeds& seeds) {
  lm::v1::RerankRequest rerank;
  rerank.add_models("tiny");
  for (const char* text : {"the cat is small", "a zebra", "the dog"}) {
    lm::v1::Candidate* candidate = rerank.add_candidates();
    candidate->mutable_text()->set_text(text);
    (*candidate->mutable_features())["tm"] = -1.5;
  }
  seeds.Add("rerank", JoinRequest(Rpc::kRerank, rerank));
  rerank.add_models("additive");
  (*rerank.mutable_weights())["tiny"] = 0.5;
  (*rerank.mutable_weights())["additive.words"] = 0.1;
  (*rerank.mutable_weights())["tm"] = 1;
  rerank.set_normalization(lm::v1::NORMALIZATION_POWER);
  rerank.set_alpha(0.5);
  rerank.set_best(2);
  seeds.Add("rerank-weights", JoinRequest(Rpc::kRerank, rerank));
}

void AddLabelSeeds(const Seeds& seeds) {
  lm::v1::EmbedRequest embed;
  embed.set_model("classifier");
  embed.add_texts()->set_text("the cat is small");
  embed.add_texts();
  embed.set_pooling(lm::v1::POOLING_MAX);
  embed.set_normalize(true);
  seeds.Add("embed", JoinRequest(Rpc::kEmbed, embed));
  embed.set_model("de-en");
  embed.add_texts()->mutable_ids()->add_ids(3);
  seeds.Add("embed-source", JoinRequest(Rpc::kEmbed, embed));
  lm::v1::TagRequest tag;
  tag.set_model("tagger");
  tag.add_sentences()->set_text("the zebra is small");
  seeds.Add("tag", JoinRequest(Rpc::kTag, tag));
  tag.add_sentences()->mutable_words()->add_words("dog");
  tag.add_sentences()->mutable_ids()->add_ids(4);
  tag.set_alternatives(2);
  seeds.Add("tag-alternatives", JoinRequest(Rpc::kTag, tag));
  lm::v1::ClassifyRequest classify;
  classify.set_model("classifier");
  classify.add_texts()->set_text("the cat is small");
  classify.add_texts();
  seeds.Add("classify", JoinRequest(Rpc::kClassify, classify));
  classify.set_best(1);
  seeds.Add("classify-best", JoinRequest(Rpc::kClassify, classify));
}

void AddTranslationSeeds(const Seeds& seeds) {
  lm::v1::ScoreRequest score;
  score.set_model("de-en");
  score.add_texts()->set_text("the cat is small");
  score.add_sources()->set_text("die katze ist klein");
  seeds.Add("score-source", JoinRequest(Rpc::kScore, score));
  score.add_texts()->set_text("the dog");
  score.add_sources()->set_text("hund");
  seeds.Add("score-sources", JoinRequest(Rpc::kScore, score));

  lm::v1::GenerateRequest generate;
  generate.set_model("de-en");
  generate.mutable_source()->set_text("die katze");
  generate.set_max_words(5);
  generate.set_seed(1);
  seeds.Add("generate-source", JoinRequest(Rpc::kGenerate, generate));
  generate.clear_seed();
  generate.mutable_beam_search()->set_size(4);
  generate.mutable_beam_search()->set_best(3);
  generate.mutable_beam_search()->set_length_alpha(1);
  seeds.Add("beam-search", JoinRequest(Rpc::kGenerate, generate));

  lm::v1::InspectRequest inspect;
  inspect.set_model("de-en");
  inspect.mutable_text()->set_text("the cat");
  inspect.mutable_source()->set_text("die katze ist klein");
  inspect.set_attention(true);
  seeds.Add("inspect", JoinRequest(Rpc::kInspect, inspect));
  inspect.add_layers(2);
  inspect.set_most_variable(2);
  inspect.add_quantities(lm::v1::QUANTITY_HIDDEN);
  inspect.add_quantities(lm::v1::QUANTITY_FORGET_GATE);
  seeds.Add("inspect-some", JoinRequest(Rpc::kInspect, inspect));

  lm::v1::RerankRequest rerank;
  rerank.mutable_source()->set_text("die katze ist klein");
  for (const char* text : {"the cat is small", "the dog", "the cat is small"}) {
    rerank.add_candidates()->mutable_text()->set_text(text);
  }
  rerank.set_reranker("mt");
  seeds.Add("reranker", JoinRequest(Rpc::kRerank, rerank));
  rerank.clear_reranker();
  rerank.add_models("de-en");
  rerank.add_reverse_models("en-de");
  seeds.Add("rerank-reverse", JoinRequest(Rpc::kRerank, rerank));
  rerank.mutable_minimum_bayes_risk()->set_utility(
      lm::v1::MinimumBayesRisk::UTILITY_CHRF);
  rerank.mutable_minimum_bayes_risk()->set_scale(0.5);
  seeds.Add("rerank-risk", JoinRequest(Rpc::kRerank, rerank));
}

void AddRequestSeeds(const Seeds& seeds) {
  for (const FuzzModel& model : FuzzModels()) {
    AddScoreSeeds(seeds, model.name);
    AddPredictSeeds(seeds, model.name);
    AddGenerateSeeds(seeds, model.name);
  }
  AddRerankSeeds(seeds);
  AddLabelSeeds(seeds);
  AddTranslationSeeds(seeds);
  seeds.Add("list-models",
            JoinRequest(Rpc::kListModels, lm::v1::ListModelsRequest()));
  lm::v1::GetModelRequest get_model;
  get_model.set_model("tiny@prod");
  seeds.Add("get-model", JoinRequest(Rpc::kGetModel, get_model));
  lm::v1::LoadModelRequest load;
  load.set_name("tiny");
  load.set_version(2);
  seeds.Add("load", JoinRequest(Rpc::kLoadModel, load));
  lm::v1::UnloadModelRequest unload;
  unload.set_name("tiny");
  unload.set_version(1);
  seeds.Add("unload", JoinRequest(Rpc::kUnloadModel, unload));
  lm::v1::SetAliasRequest alias;
  alias.set_name("tiny");
  alias.set_alias("prod");
  alias.set_version(1);
  seeds.Add("alias", JoinRequest(Rpc::kSetAlias, alias));
  alias.set_expected_version(1);
  alias.set_version(0);
  seeds.Add("alias-away", JoinRequest(Rpc::kSetAlias, alias));
}

// A typical stream: two words after the first state, one of the new states
// released, the best words of the other.
void AddDecodeSeeds(const Seeds& seeds) {
  for (const FuzzModel& model : FuzzModels()) {
    std::vector<lm::v1::DecodeRequest> requests(4);
    requests[0].mutable_start()->set_model(model.name);
    requests[0].mutable_start()->add_words("cat");
    lm::v1::DecodeExtend* extend = requests[1].mutable_extend();
    for (uint32_t word : {3, 4}) {
      extend->add_handles(0);
      extend->add_words(word);
    }
    requests[1].add_retain(0);
    requests[2].mutable_best()->add_handles(1);
    requests[2].mutable_best()->set_k(3);
    requests[2].add_release(2);
    requests[3].mutable_extend()->add_handles(1);
    requests[3].mutable_extend()->add_words(2);
    requests[3].mutable_extend()->set_scores_only(true);
    requests[3].add_release(0);
    seeds.Add(model.name, JoinDecode(requests));
  }
}

void AddTensorSeeds(const Seeds& seeds) {
  seeds.Add("empty", TensorFileWriter().Finish());
  const std::vector<float> floats = {1, -2, 0.5, 0, 3, 1e30f};
  TensorFileWriter small;
  small.AddFloats("decoder.weight", {2, 3}, floats);
  small.AddFloats("decoder.bias", {2}, {floats.data(), 2});
  small.AddFloats("one", {}, {floats.data(), 1});
  small.AddFloats("none", {4, 0}, {});
  small.SetMetadata("format", "pt");
  seeds.Add("small", small.Finish());
  const std::string bytes(16, '\x3f');
  TensorFileWriter types;
  for (int type = 0; type <= static_cast<int>(TensorType::kU64); ++type) {
    TensorView tensor = {static_cast<TensorType>(type), {2}, bytes};
    tensor.bytes = tensor.bytes.substr(0, 2 * TensorTypeSize(tensor.type));
    types.Add(TensorTypeName(tensor.type), tensor);
  }
  seeds.Add("types", types.Finish());
}

// A connection with one call, in the form of http2_guard_fuzzer.
void AddTorchSeeds(const Seeds& seeds) {
  const TestModel network = FuzzNetwork();
  const std::string& bytes = network.files.at(std::string(kWeightsFile));
  const auto file = TensorFile::Parse(bytes);
  RequireOk(file.status(), "the fuzzers' network can be read");
  const auto add = [&](const char* name, char what, absl::string_view rest) {
    seeds.Add(name, absl::StrCat(std::string(1, what), rest));
  };
  add("file", 0, MakeTorchFile(file->tensors()));
  add("checkpoint", 0, MakeTorchFile(file->tensors(), "model"));
  PickleWriter tensors, words, vocab;
  tensors.Raw("}(").String("a").Tensor("FloatStorage", "1", 6, 0, {2, 3},
                                       {3, 1});
  tensors.String("b").Tensor("HalfStorage", "2", 24, 1, {4, 2}, {1, 4});
  tensors.Global("torch._utils", "_rebuild_parameter").String("c");
  add("pickle-unfinished", 1, tensors.Raw("u").Finish());
  words.Raw("](").String("a").String("b").Raw("e");
  add("pickle-words", 1, words.Finish());
  vocab.Global("torchtext.vocab", "Vocab").Raw(")\x81}(").String("itos");
  add("pickle-vocab", 1, vocab.Raw("]").String("a").Raw("aub").Finish());
  add("names", 2,
      "prefix = a.\nencoder.weight = b | c\nrnn.weight_hh_l{L} = d.{L}\n"
      "ignore = e # f\n");
  add("json-list", 3, "[\"a\", \"b\"]");
  add("json-map", 3, "{\"a\": 0, \"b\": 1}");
  add("fairseq", 3, "the 9\ncat 3 #fairseq:overwrite\n");
}

void AddHttp2Seeds(const Seeds& seeds) {
  const auto part = [](char sender, const std::string& bytes) {
    return std::string{sender, static_cast<char>(bytes.size())} + bytes;
  };
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string headers("\0\0\1\1\4\0\0\0\1h", 10);
  const std::string message("\0\0\1\0\1\0\0\0\1m", 10);
  const std::string trailers("\0\0\1\1\5\0\0\0\1t", 10);
  seeds.Add("call", part(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings) +
                        part(1, settings) + part(2, headers + message) +
                        part(3, trailers));
  // Windows, and settings that are acknowledged before they have come.
  const std::string window("\0\0\6\4\0\0\0\0\0\0\4\0\0\0\4", 15);
  const std::string more("\0\0\4\x8\0\0\0\0\1\0\0\0\2", 13);
  const std::string ack("\0\0\0\4\1\0\0\0\0", 9);
  seeds.Add("windows",
            part(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers) +
                part(1, window + more + window.substr(0, 12)) + part(2, ack) +
                part(2, ack) + part(1, window.substr(12)) + part(0, message));
}

void AddTextSeeds(const Seeds& seeds) {
  const std::string text =
      "\xEF\xBB\xBF<s> turn the <UNK> on </s>\r\na </s> b\ncaf\xE9\n"
      "0 ||| a ||| lm= -1 x= 2 3 ||| 4\n";
  seeds.Add("plain", text);
  seeds.Add("conllu",
            "# c\n1-2\tdon't\t_\t_\n1\tdo\tdo\tAUX\n2\tn't\tnot\tPART\n\n");
  seeds.Add("columns", "the DT B-NP\ncat NN I-NP\n\nruns VBZ O\n");
  for (const auto& [name, compression] : {std::pair{"gz", Compression::kGzip},
                                          {"xz", Compression::kXz},
                                          {"bz2", Compression::kBzip2},
                                          {"zst", Compression::kZstd}}) {
    std::string encoded;
    Require(Encoder::Create(compression)->Encode(text, true, &encoded),
            "a seed can be compressed");
    seeds.Add(name, encoded);
  }
}

// Requests in the form of openai_fuzzer.
void AddOpenAiSeeds(const Seeds& seeds) {
  const std::array requests = {
      std::pair{'\0', R"({"model":"tiny","prompt":"the cat","max_tokens":5,)"
                      R"("seed":3,"temperature":0.5,"top_p":0.9,"top_k":4})"},
      std::pair{'\1', R"({"prompt":["the cat ","","a\tdog "],"n":2,"seed":-1,)"
                      R"("echo":true,"logprobs":3,"max_tokens":4})"},
      std::pair{'\1', R"({"prompt":[[1,3,4],[2],[0]],"echo":true,"logprobs":1,)"
                      R"("max_tokens":1,"temperature":0})"},
      std::pair{'\1', R"({"prompt":[3,4],"stream":true,"logprobs":0,)"
                      R"("stop":["a","e c"],"stream_options":)"
                      R"({"include_usage":true}})"},
      std::pair{'\6', R"({"model":"tagger","input":["the cat",""],)"
                      R"("encoding_format":"base64","user":"a"})"},
      std::pair{'\7', R"({"input":[[3,4],[]],"dimensions":10,"pooling":"max",)"
                      R"("normalize":false})"},
      std::pair{
          '\2',
          R"({"source":"die katze","prompt":"the \u00e9 cat","echo":true,"max_tokens":0,)"
          R"("logprobs":2,"stop":null,"best_of":1,"suffix":""})"},
      std::pair{'\2', R"({"stream":true,"echo":true,"prompt":" ","stop":"t",)"
                      R"("repetition_penalty":2,"logit_bias":{},"user":"u"})"},
      std::pair{'\4', R"({"prompt":"the <s> cat","add_special_tokens":true,)"
                      R"("return_token_strs":true})"},
      std::pair{'\5', R"({"tokens":[1,3,4,0]})"},
      std::pair{'\4', R"({"prompt":"</s>","model":"tiny"})"},
      std::pair{'\3', R"({"prompt":"the dog","logprobs":2,"echo":true})"}};
  for (size_t i = 0; i < requests.size(); ++i) {
    seeds.Add(absl::StrCat(i), absl::StrCat(std::string(1, requests[i].first),
                                            requests[i].second));
  }
}

// Connections with a request to each route, in the form of http_fuzzer.
void AddHttpSeeds(const Seeds& seeds) {
  const struct {
    const char *name, *line, *type, *body;
  } requests[] = {
      {"score", "POST /lm/v1/score", "application/json",
       R"({"model":"tiny","texts":[{"text":"a b"}],"perWord":true,"ranks":true})"},
      {"predict", "POST /lm/v1/models/tiny:predict", "application/json",
       R"({"contexts":[{"words":{"words":["a"]}}],"k":2})"},
      {"rerank", "POST /lm/v1/rerank", "application/json",
       R"({"models":["tiny"],"candidates":[{"text":{"ids":{"ids":[3]}},)"
       R"("features":{"f":1e-3}}],"weights":{"tiny":1,"f":"-2"}})"},
      {"generate", "POST /lm/v1/generate", "application/json",
       R"({"model":"tiny","seed":"1","maxWords":5,"stopWords":["b"]})"},
      {"beam", "POST /lm/v1/generate", "application/json",
       R"({"model":"tiny","maxWords":5,"beamSearch":{"size":2,"best":2}})"},
      {"inspect", "POST /lm/v1/models/de-en:inspect", "application/json",
       R"({"text":{"text":"the cat"},"source":{"text":"die katze"},)"
       R"("attention":true,"quantities":["QUANTITY_HIDDEN"],"units":[0]})"},
      {"embed", "POST /lm/v1/models/classifier:embed", "application/json",
       R"({"texts":[{"text":"the cat"}],"pooling":"POOLING_LAST",)"
       R"("normalize":true})"},
      {"tag", "POST /lm/v1/tag", "application/json",
       R"({"model":"tagger","sentences":[{"text":"the cat"}],)"
       R"("alternatives":2})"},
      {"classify", "POST /lm/v1/models/classifier:classify", "application/json",
       R"({"texts":[{"text":"the cat"},{}],"best":1})"},
      {"stream", "POST /lm/v1/score:stream", "application/x-ndjson",
       "{\"model\":\"tiny\",\"texts\":[{\"text\":\"a\"}]}\n{}\n"},
      {"decode", "POST /lm/v1/decode", "application/x-ndjson",
       "{\"start\":{\"model\":\"tiny\"}}\n"
       "{\"best\":{\"handles\":[0],\"k\":1}}\n"},
      {"load", "POST /lm/v1/models/tiny:load", "application/json",
       R"({"version":"1"})"},
      {"unload", "POST /lm/v1/models/tiny:unload", "application/json",
       R"({"version":"2"})"},
      {"alias", "PUT /lm/v1/models/tiny/aliases/a", "application/json",
       R"({"version":"1","expectedVersion":"0"})"},
      {"models", "GET /lm/v1/models?pageToken=1", "", ""},
      {"model", "GET /lm/v1/models/tiny%401", "", ""},
      {"vocabulary", "GET /lm/v1/models/tiny/vocabulary", "", ""},
      {"health", "HEAD /lm/v1/health?service=a+b", "", ""},
      {"remove", "DELETE /lm/v1/models/tiny/aliases/a", "", ""}};
  std::string all;
  for (const auto& [name, line, type, body] : requests) {
    const std::string begin =
        absl::StrCat(line, " HTTP/1.1\r\nHost: localhost\r\n");
    const std::string typed =
        *type == '\0' ? begin
                      : absl::StrCat(begin, "Content-Type: ", type, "\r\n");
    const size_t size = absl::string_view(body).size();
    const std::string whole =
        absl::StrCat(typed, "Content-Length: ", size, "\r\n\r\n", body);
    seeds.Add(name, whole);
    absl::StrAppend(&all, whole);
    if (size == 0) continue;
    seeds.Add(absl::StrCat(name, "-chunked"),
              absl::StrCat(typed,
                           "Accept: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n",
                           absl::Hex(size), "\r\n", body, "\r\n0\r\n\r\n"));
  }
  seeds.Add("all", all);
  // How requests are hidden from a proxy.
  int number = 0;
  for (const char* fields :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "X: a\r\n Content-Length: 3\r\n", "Transfer-Encoding : chunked\r\n",
        "Host: b\r\n", "Expect: 100-continue\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nConnection: Content-Length\r\n"}) {
    seeds.Add(absl::StrCat("smuggle", number++),
              absl::StrCat("POST /lm/v1/score HTTP/1.1\r\nHost: a\r\n", fields,
                           "\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n"
                           "Host: a\r\n\r\n"));
  }
}

// A text for each of the first types, in the form of json_fuzzer: the first one
// has fields of all kinds, the others are those of the API.
void AddJsonSeeds(const Seeds& seeds) {
  const auto* const file = lm::v1::ScoreRequest::descriptor()->file();
  std::mt19937 random(1);
  JsonTypes types;
  for (int i = 0; i <= file->message_type_count(); ++i) {
    const std::unique_ptr<google::protobuf::Message> message =
        i == 0 ? types.NewMessage()
               : std::unique_ptr<google::protobuf::Message>(
                     google::protobuf::MessageFactory::generated_factory()
                         ->GetPrototype(file->message_type(i - 1))
                         ->New());
    std::string seed(1, static_cast<char>(i));
    FillRandomly(random, message.get());
    AppendJson(*message, &seed);
    seeds.Add(absl::StrCat(message->GetDescriptor()->name()), seed);
  }
  seeds.Add(
      "forms",
      absl::StrCat(std::string(1, '\0'),
                   R"( {"i32" : "1e3","u64":1.0,"f":"-Infinity","d":1e-9,)"
                   R"("s":"\ud83d\ude00\n","y":"-_8","color":-2,)"
                   R"("by_name":{"a":1},"byBool":{"true":0},"maybe":null})"));
}

}  // namespace
}  // namespace lmserve

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_seeds DIRECTORY\n", stderr);
    return 2;
  }
  using lmserve::Seeds;
  lmserve::AddLoaderSeeds(Seeds(argv[1], "loader_fuzzer"));
  lmserve::AddLabelingSeeds(Seeds(argv[1], "loader_fuzzer"));
  lmserve::AddArpaSeeds(Seeds(argv[1], "arpa_fuzzer"));
  lmserve::AddCompactSeeds(Seeds(argv[1], "compact_fuzzer"));
  lmserve::AddValueSeeds(Seeds(argv[1], "value_fuzzer"));
  lmserve::AddCountsSeeds(Seeds(argv[1], "counts_fuzzer"));
  lmserve::AddKenlmSeeds(Seeds(argv[1], "kenlm_fuzzer"));
  lmserve::AddRequestSeeds(Seeds(argv[1], "request_fuzzer"));
  lmserve::AddDecodeSeeds(Seeds(argv[1], "decode_fuzzer"));
  lmserve::AddTensorSeeds(Seeds(argv[1], "tensor_fuzzer"));
  lmserve::AddTorchSeeds(Seeds(argv[1], "torch_fuzzer"));
  lmserve::AddHttp2Seeds(Seeds(argv[1], "http2_guard_fuzzer"));
  lmserve::AddHttpSeeds(Seeds(argv[1], "http_fuzzer"));
  lmserve::AddOpenAiSeeds(Seeds(argv[1], "openai_fuzzer"));
  lmserve::AddJsonSeeds(Seeds(argv[1], "json_fuzzer"));
  lmserve::AddTextSeeds(Seeds(argv[1], "text_fuzzer"));
}
