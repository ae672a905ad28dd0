// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer translation: trains an RNN encoder-decoder on a text and its
// translation.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/command.h"
#include "trainer/commands/neural_options.h"
#include "trainer/commands/train_network.h"
#include "trainer/text/parallel_corpus.h"

namespace lmserve {
namespace {

struct TranslationCommandOptions : NeuralOptions {
  std::string source;
  std::string valid_source;
  std::string source_vocabulary_file;
  std::string cell = "lstm";
  std::string nonlinearity = "tanh";
  std::string decoder_reads = "word";
  TranslationNetworkOptions network;
};

std::string YesNo(bool value) { return value ? "yes" : "no"; }

std::map<std::string, std::string> Properties(
    const TranslationCommandOptions& options) {
  const TranslationNetworkOptions& n = options.network;
  std::map<std::string, std::string> properties = {
      {"cell", options.cell},
      {"layers", absl::StrCat(n.layers)},
      {"units", absl::StrCat(n.units)},
      {"embedding", absl::StrCat(n.embedding)},
      {"dropout", absl::StrCat(n.dropout)},
      {"initial_range", absl::StrCat(n.initial_range)},
      {"output", n.tied ? "tied" : "separate"},
      {"decoder_reads", options.decoder_reads},
      {"shared", YesNo(n.shared)},
      {"bidirectional", YesNo(n.bidirectional)},
      {"reverse_source", YesNo(n.reverse_source)},
      {"attention", YesNo(n.attention)},
  };
  if (n.cell == Cell::kRnn) properties["nonlinearity"] = options.nonlinearity;
  if (!options.cutoffs.empty()) properties["adaptive"] = options.cutoffs;
  if (options.products != "float") properties["products"] = options.products;
  return properties;
}

// Sets the options of the network that follow from other options. Fails if the
// options contradict each other.
absl::Status CompleteNetwork(TranslationCommandOptions* options) {
  TranslationNetworkOptions& network = options->network;
  const absl::StatusOr<ProductPrecision> products = ReadProducts(*options);
  if (!products.ok()) return products.status();
  network.products = *products;
  network.cell = *ParseCell(options->cell);
  network.activation = *ParseActivation(options->nonlinearity);
  if (network.embedding == 0) network.embedding = network.units;
  network.reads_word = options->decoder_reads == "word" ||
                       options->decoder_reads == "word,context";
  network.reads_context = options->decoder_reads == "context" ||
                          options->decoder_reads == "word,context";
  if (network.shared && (network.bidirectional || network.reads_context)) {
    return absl::InvalidArgumentError(
        "--shared: expected an encoder with one direction and a decoder that "
        "does not read the context, found weights of different shapes");
  }
  if (network.tied && !network.reads_word) {
    return absl::InvalidArgumentError(
        "--tied: expected a decoder that reads words, because only that has "
        "word embeddings");
  }
  if (network.tied && network.embedding != network.units) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tied: expected --embedding ", network.units,
                     ", the number of units, found ", network.embedding));
  }
  return absl::OkStatus();
}

uint64_t PairsFingerprint(const std::vector<SentencePair>& pairs) {
  std::vector<WordId> words;
  for (const SentencePair& pair : pairs) {
    words.insert(words.end(), pair.source.begin(), pair.source.end());
    words.insert(words.end(), pair.target.begin(), pair.target.end());
  }
  return Fingerprint(words);
}

// Returns the first words of a sentence.
std::string JoinWords(const Vocabulary& vocabulary,
                      absl::Span<const WordId> words) {
  constexpr size_t kWords = 100;
  return absl::StrJoin(words.subspan(0, kWords), " ",
                       [&](std::string* out, WordId word) {
                         absl::StrAppend(out, vocabulary.word(word));
                       });
}

// Makes the first pairs of the corpus the self-test of the version.
void AddSelfTest(const ParallelCorpus& corpus, NetworkVersion* version) {
  constexpr size_t kPairs = 3;
  for (const SentencePair& pair : corpus.pairs) {
    version->self_test.push_back(JoinWords(corpus.vocabulary, pair.target));
    version->self_test_sources.push_back(
        JoinWords(corpus.source_vocabulary, pair.source));
    if (version->self_test.size() == kPairs) break;
  }
}

absl::Status Train(TranslationCommandOptions options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  status = CompleteNetwork(&options);
  if (!status.ok()) return status;
  CorpusOptions source_text = options.text;
  source_text.vocabulary_file = options.source_vocabulary_file;
  absl::StatusOr<ParallelCorpus> corpus = ReadParallelCorpus(
      options.source, source_text, options.corpus, options.text);
  if (!corpus.ok()) return corpus.status();
  const Vocabulary& vocabulary = corpus->vocabulary;
  const absl::StatusOr<std::vector<SentencePair>> valid =
      ReadSentencePairs(options.valid_source, corpus->source_vocabulary,
                        options.valid, vocabulary, options.text.rules);
  if (!valid.ok()) return valid.status();
  absl::StatusOr<Cutoffs> cutoffs =
      ParseCutoffs(options.cutoffs, vocabulary,
                   NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!cutoffs.ok()) return cutoffs.status();

  TranslationNetworkOptions& network = options.network;
  network.source_vocabulary = corpus->source_vocabulary.size();
  network.vocabulary = vocabulary.size();
  network.never = vocabulary.begin_sentence();
  network.cutoffs = *std::move(cutoffs);
  const TranslationBatchOptions batches = {
      options.batches, vocabulary.begin_sentence(), vocabulary.end_sentence(),
      corpus->source_vocabulary.end_sentence(), network.reverse_source};
  NetworkVersion version;
  version.family = std::string(kTranslationFamily);
  version.properties = Properties(options);
  version.files = {{std::string(kSourceVocabularyFile),
                    std::string(corpus->source_vocabulary.text())}};
  AddSelfTest(*corpus, &version);
  TrainingJob job = {
      .version = std::move(version),
      .vocabulary = std::move(corpus->vocabulary),
      .make_network =
          [network] { return MakeTranslationNetwork<float>(network); },
      .training = MakeTranslationBatches(corpus->pairs, batches),
      .validation = MakeTranslationBatches(*valid, batches),
      .fingerprint = absl::StrCat("text=", PairsFingerprint(corpus->pairs),
                                  " valid=", PairsFingerprint(*valid)),
      .sentences = corpus->pairs.size(),
      .tokens = corpus->tokens};
  return TrainAndPublish(options, std::move(job));
}

}  // namespace

void AddTranslationCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<TranslationCommandOptions>();
  TranslationNetworkOptions& network = options->network;
  network.units = 256;
  network.dropout = 0.3;
  options->batches.streams = 64;
  cli::App& command = *app.add_subcommand(
      "translation",
      "Train an RNN encoder-decoder on a text and its translation and publish "
      "it as a new version.\n"
      "  lm_trainer translation --bidirectional --attention --source train.de "
      "--corpus train.en --valid-source val.de --valid val.en --store store "
      "--model de-en");
  AddNeuralOptions(command, options.get());
  command
      .add_option("--source", options->source,
                  "Source text: line i of --corpus is the translation of its "
                  "line i")
      ->required();
  command
      .add_option("--valid-source", options->valid_source,
                  "Source text of --valid")
      ->required();
  command
      .add_option("--source-vocabulary", options->source_vocabulary_file,
                  "File with the source words that the model knows; all other "
                  "words become <unk>")
      ->check(cli::ExistingFile());
  AddCellOptions(command, &options->cell, &options->nonlinearity);
  command
      .add_option("--layers", network.layers,
                  "Recurrent layers of the encoder, and of the decoder")
      ->check(cli::Range(1, 8))
      ->capture_default_str();
  command.add_option("--units", network.units, "Units per layer and direction")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  AddEmbeddingOptions(command, "Embeddings", &network.embedding, &network.tied,
                      &network.initial_range);
  command
      .add_option("--decoder-reads", options->decoder_reads,
                  "Input of the decoder at each step: nothing, word (the "
                  "previous word), context (the last state of the encoder) or "
                  "word,context")
      ->check(cli::IsMember({"nothing", "word", "context", "word,context"}))
      ->capture_default_str();
  command.add_flag("--shared", network.shared,
                   "Use the same recurrent weights in the encoder and the "
                   "decoder");
  command.add_flag("--bidirectional", network.bidirectional,
                   "The encoder reads the source in both directions");
  command.add_flag("--reverse-source", network.reverse_source,
                   "The encoder reads the source from the last word to the "
                   "first");
  command.add_flag("--attention", network.attention,
                   "The decoder attends to all states of the encoder");
  command
      .add_option("--dropout", network.dropout,
                  "Dropout rate of the embeddings and of every layer's output")
      ->check(cli::Range(0.0, 0.99))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
