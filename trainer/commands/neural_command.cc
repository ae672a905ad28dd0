#include "trainer/commands/neural_command.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/durable_file.h"
#include "model_store/model_name.h"
#include "trainer/charts/training_chart.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

void Note(absl::string_view text) { std::cerr << text << std::endl; }

std::string Duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return s < 3600
             ? absl::StrFormat("%d:%02d", s / 60, s % 60)
             : absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

// Tells a person how training goes: a line an epoch, and meanwhile a line that
// is written over on a terminal, or one every half minute elsewhere.
class Reporter {
 public:
  explicit Reporter(uint64_t epochs) : epochs_(epochs) {}

  void Report(const TrainingRecord& record, double share) {
    const bool last = record.valid_loss.has_value();
    epoch_.Add(record);
    const Epoch epoch = last ? std::exchange(epoch_, Epoch()) : epoch_;
    if (!terminal_ && !last && record.seconds < printed_ + 30) return;
    printed_ = record.seconds;
    std::string line = absl::StrFormat(
        "epoch %d/%d  %7.0f words/s  perplexity %9.2f", record.epoch, epochs_,
        epoch.WordsPerSecond(), std::exp(epoch.Loss()));
    if (record.valid_loss.has_value()) {
      absl::StrAppendFormat(&line, "  valid %9.2f",
                            std::exp(*record.valid_loss));
    }
    absl::StrAppendFormat(&line, "  rate %g  gradient %.3g",
                          record.learning_rate, record.gradient_norm);
    if (share > 0) {
      absl::StrAppend(&line, "  left ",
                      Duration(record.seconds * (1 - share) / share));
    }
    if (!terminal_) {
      Note(line);
    } else {
      std::fprintf(stderr, "\r%s\x1b[K%s", line.c_str(), last ? "\n" : "");
    }
  }

 private:
  // What an epoch was like so far: means over its records, which are of equally
  // many steps.
  class Epoch {
   public:
    void Add(const TrainingRecord& record) {
      ++records_;
      losses_ += record.train_loss;
      seconds_a_word_ += 1 / record.words_per_second;
    }

    double Loss() const { return losses_ / records_; }
    double WordsPerSecond() const { return records_ / seconds_a_word_; }

   private:
    double records_ = 0;
    double losses_ = 0;
    double seconds_a_word_ = 0;
  };

  const uint64_t epochs_;
  Epoch epoch_;
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  double printed_ = 0;  // seconds of training
};

// The rates of a linear schedule depend on where it ends.
std::string ScheduleDescription(const TrainingOptions& training) {
  return training.schedule == Schedule::kPlateau
             ? ""
             : absl::StrCat(" schedule=linear epochs=", training.epochs);
}

std::string Describe(const NeuralOptions& options, const TrainingJob& job) {
  const TrainingOptions& t = options.training;
  return absl::StrCat(
      job.family, " ",
      absl::StrJoin(job.properties, " ", absl::PairFormatter("=")),
      " optimizer=", options.optimizer, " learning_rate=", t.learning_rate,
      " clip=", t.clip, " weight_decay=", t.weight_decay, " decay=", t.decay,
      " patience=", t.patience, ScheduleDescription(t), " seed=", t.seed,
      " threads=", t.threads, " batch=", options.batches.streams,
      " steps=", options.batches.steps, " ", job.texts);
}

std::map<std::string, std::string> Properties(const NeuralOptions& options,
                                              const TrainingJob& job,
                                              const TrainedNetwork& trained) {
  std::map<std::string, std::string> properties = job.properties;
  const TrainingOptions& t = options.training;
  const auto add = [&](const char* key, const auto& value) {
    properties[key] = absl::StrCat(value);
  };
  add("sentences", job.sentences);
  add("tokens", job.tokens);
  add("optimizer", options.optimizer);
  add("learning_rate", t.learning_rate);
  add("schedule", options.schedule);
  add("clip", t.clip);
  add("weight_decay", t.weight_decay);
  add("seed", t.seed);
  add("threads", t.threads);
  add("batch", options.batches.streams);
  add("steps", options.batches.steps);
  add("epochs", trained.log.records().back().epoch);
  add("best_epoch", trained.progress.best_epoch);
  add("valid_perplexity", std::exp(trained.progress.best_valid_loss));
  add("training_seconds", std::round(trained.progress.seconds));
  return properties;
}

// A text starts as a stream goes on: after </s>.
void StartAfterEnd(const Vocabulary& vocabulary, const ParameterLayout& layout,
                   std::vector<float>* values) {
  const auto embedding = layout.View(values->data(), 0);
  std::copy_n(embedding.row(vocabulary.end_sentence()), embedding.cols,
              embedding.row(vocabulary.begin_sentence()));
}

absl::Status PublishTrained(const NeuralOptions& options, TrainingJob job,
                            TrainedNetwork trained) {
  const std::unique_ptr<Network<float>> network = job.make_network();
  if (job.starts_after_end) {
    StartAfterEnd(job.vocabulary, network->layout(), &trained.values);
  }
  NetworkVersion version;
  version.family = job.family;
  version.weights =
      MakeWeightsFile(network->layout(), trained.values, network->Metadata());
  version.precision = *ParsePrecision(options.precision);
  version.properties = Properties(options, job, trained);
  version.files = std::move(job.files);
  version.files["training.jsonl"] = trained.log.ToJsonLines();
  version.files["training.svg"] =
      DrawTrainingChart(options.target.model, trained.log.records());
  version.self_test = std::move(job.self_test);
  version.self_test_sources = std::move(job.self_test_sources);
  const absl::StatusOr<uint64_t> number =
      PublishNetwork(options.target.store, options.target.model, job.vocabulary,
                     std::move(version));
  if (!number.ok()) return number.status();
  std::cout << options.target.model << "@" << *number << std::endl;
  return absl::OkStatus();
}

}  // namespace

void AddNeuralOptions(CLI::App& command, NeuralOptions* options) {
  TrainingOptions& training = options->training;
  training.learning_rate = 0.002;
  training.clip = 1;
  training.decay = 0.5;
  training.threads = std::max(1u, std::thread::hardware_concurrency());
  command
      .add_option("--corpus", options->corpus,
                  "Text, a sentence a line: plain, .gz, .xz, or - for the "
                  "standard input")
      ->required();
  command
      .add_option("--valid", options->valid,
                  "Text whose loss decides what is kept, and when to stop")
      ->required();
  command
      .add_option("--vocabulary", options->text.vocabulary_file,
                  "File of the words to know; the rest becomes <unk>")
      ->check(CLI::ExistingFile);
  command
      .add_option("--min-count", options->text.min_count,
                  "Words seen less often become <unk>")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command.add_option(
      "--adaptive", options->cutoffs,
      "Divide the vocabulary, by frequency, into classes that "
      "begin at these words, as in 4000,14000 (adaptive softmax)");
  command
      .add_option("--batch", options->batches.streams,
                  "Texts, or windows, in a batch")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command.add_option("--epochs", training.epochs, "Passes through the text")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command.add_option("--optimizer", options->optimizer, "sgd or adam")
      ->check(CLI::IsMember({"sgd", "adam"}))
      ->capture_default_str();
  command
      .add_option("--learning-rate", training.learning_rate,
                  "Of a loss that is a mean over the words of a batch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--clip", training.clip,
                  "Longest gradient; what is longer is scaled down; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--weight-decay", training.weight_decay,
                  "Share of the weights taken off a step, times the rate")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--schedule", options->schedule,
                  "How the learning rate falls: plateau, where the validation "
                  "loss no longer does, or linear, to 0 at the last epoch")
      ->check(CLI::IsMember({"plateau", "linear"}))
      ->capture_default_str();
  command
      .add_option("--decay", training.decay,
                  "Factor of the learning rate of plateau after an epoch that "
                  "did not better the validation loss")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--patience", training.patience,
                  "Stop after so many such epochs; 0: never")
      ->capture_default_str();
  command.add_option("--seed", training.seed, "Of all that is random")
      ->capture_default_str();
  command
      .add_option("--threads", training.threads,
                  "Threads, each with a part of every batch; another number "
                  "gives other roundings")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_flag("--resume", training.resume,
                   "Go on from the checkpoint of a training that was cut off");
  command
      .add_option("--checkpoint-seconds", training.checkpoint_seconds,
                  "Time between checkpoints; there is one an epoch, too")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--precision", options->precision,
                  "To publish the weights in: float, bf16 or int8")
      ->check(CLI::IsMember({"float", "bf16", "int8"}))
      ->capture_default_str();
  AddModelOptions(command, "to publish", &options->target);
}

void AddCellOptions(CLI::App& command, std::string* cell,
                    std::string* nonlinearity) {
  command.add_option("--cell", *cell, "rnn, gru or lstm")
      ->check(CLI::IsMember({"rnn", "gru", "lstm"}))
      ->capture_default_str();
  command
      .add_option("--nonlinearity", *nonlinearity,
                  "Of the cell rnn: sigmoid, tanh or relu")
      ->check(CLI::IsMember({"sigmoid", "tanh", "relu"}))
      ->capture_default_str();
}

void AddVectorOptions(CLI::App& command, absl::string_view what,
                      size_t* embedding, bool* tied, double* initial_range) {
  command
      .add_option("--embedding", *embedding,
                  "Numbers of a word's vector; as many as units if not given")
      ->check(CLI::Range(1, 16'384));
  command.add_flag("--tied", *tied,
                   "Use the words' vectors as the output weights, too");
  command
      .add_option("--initial-range", *initial_range,
                  absl::StrCat(what, " and output weights start uniform in ",
                               "this range around 0"))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

uint64_t Fingerprint(absl::Span<const WordId> words) {
  uint64_t hash = words.size();
  for (WordId word : words) hash = (hash ^ word) * 0x100000001B3;
  return hash;
}

absl::Status TrainLanguageModel(
    const NeuralOptions& options,
    const std::function<absl::StatusOr<NetworkTask>(const Vocabulary&)>&
        make_task,
    TextForm form) {
  absl::Status status = CheckModelName(options.target.model);
  if (!status.ok()) return status;
  CorpusOptions text = options.text;
  text.form = form;
  absl::StatusOr<Corpus> corpus = ReadCorpusFile(options.corpus, text);
  if (!corpus.ok()) return corpus.status();
  const absl::StatusOr<std::vector<WordId>> valid =
      ReadTextFile(options.valid, corpus->vocabulary, form);
  if (!valid.ok()) return valid.status();
  const absl::StatusOr<NetworkTask> task = make_task(corpus->vocabulary);
  if (!task.ok()) return task.status();
  TrainingJob job = {.family = task->family,
                     .properties = task->properties,
                     .make_network = task->make_network,
                     .training = task->make_batches(corpus->words),
                     .validation = task->make_batches(*valid),
                     .texts = absl::StrCat("text=", Fingerprint(corpus->words),
                                           " valid=", Fingerprint(*valid)),
                     .sentences = corpus->sentences,
                     .tokens = corpus->tokens(),
                     .vocabulary = std::move(corpus->vocabulary),
                     .starts_after_end = form == TextForm::kStream,
                     .files = {},
                     .self_test = {}};
  job.self_test = FirstSentences(job.vocabulary, corpus->words);
  return TrainAndPublish(options, std::move(job));
}

absl::Status TrainAndPublish(const NeuralOptions& options, TrainingJob job) {
  TrainingOptions training = options.training;
  training.optimizer = *ParseOptimizer(options.optimizer);
  training.schedule =
      options.schedule == "linear" ? Schedule::kLinear : Schedule::kPlateau;
  training.description = Describe(options, job);
  const std::string directory =
      absl::StrCat(options.target.store, "/.training");
  absl::Status status = MakeDirectories(directory);
  if (!status.ok()) return status;
  training.checkpoint =
      absl::StrCat(directory, "/", options.target.model, ".safetensors");
  Reporter reporter(training.epochs);
  training.report = [&](const TrainingRecord& record, double share) {
    reporter.Report(record, share);
  };
  const size_t parameters = job.make_network()->layout().size();
  Note(absl::StrFormat(
      "%d sentences, %d tokens, %d words in the vocabulary; %d parameters",
      job.sentences, job.tokens, job.vocabulary.size(), parameters));
  absl::StatusOr<TrainedNetwork> trained =
      TrainNetwork(job.make_network, *job.training, *job.validation, training);
  if (!trained.ok()) return trained.status();
  status = PublishTrained(options, std::move(job), *std::move(trained));
  if (status.ok()) std::remove(training.checkpoint.c_str());
  return status;
}

}  // namespace lmserve
