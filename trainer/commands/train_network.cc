// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/train_network.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/durable_file.h"
#include "model_store/publish.h"
#include "trainer/charts/training_chart.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/training_reporter.h"
#include "trainer/neural/network_trainer.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// About 1.5 kB in the list of models.
constexpr size_t kCurveRecords = 80;

// A linear schedule depends on the number of epochs, so a checkpoint can only
// be resumed with the same number.
std::string DescribeSchedule(const TrainingOptions& training) {
  return training.schedule == Schedule::kPlateau
             ? ""
             : absl::StrCat(" schedule=linear epochs=", training.epochs);
}

// Returns a description of everything that the result of a training depends on.
// A checkpoint can be resumed only by a training with the same description.
std::string DescribeTraining(const NeuralOptions& options,
                             const TrainingJob& job) {
  const TrainingOptions& t = options.training;
  return absl::StrCat(
      job.version.family, " ",
      absl::StrJoin(job.version.properties, " ", absl::PairFormatter("=")),
      " optimizer=", options.optimizer, " learning_rate=", t.learning_rate,
      " clip=", t.clip, " weight_decay=", t.weight_decay, " decay=", t.decay,
      " patience=", t.patience, " average=", t.average_after,
      DescribeSchedule(t), " seed=", t.seed, " threads=", t.threads,
      " batch=", options.batches.streams, " steps=", options.batches.steps, " ",
      job.fingerprint);
}

// Returns the validation error of the best epoch, if errors were counted.
std::optional<double> BestError(const TrainedNetwork& trained) {
  for (const TrainingRecord& record : trained.log.records()) {
    if (record.epoch == static_cast<int>(trained.progress.best_epoch) &&
        record.valid_error.has_value()) {
      return record.valid_error;
    }
  }
  return std::nullopt;
}

void AddTrainingProperties(const NeuralOptions& options, const TrainingJob& job,
                           const TrainedNetwork& trained,
                           std::map<std::string, std::string>* properties) {
  const TrainingOptions& t = options.training;
  const auto add = [&](const char* key, const auto& value) {
    (*properties)[key] = absl::StrCat(value);
  };
  add("sentences", job.sentences);
  add("tokens", job.tokens);
  add("optimizer", options.optimizer);
  add("learning_rate", t.learning_rate);
  add("schedule", options.schedule);
  add("clip", t.clip);
  add("weight_decay", t.weight_decay);
  if (t.average_after > 0) add("average_after", t.average_after);
  add("seed", t.seed);
  add("threads", t.threads);
  add("batch", options.batches.streams);
  add("steps", options.batches.steps);
  add("epochs", trained.log.records().back().epoch);
  add("best_epoch", trained.progress.best_epoch);
  if (trained.progress.average_epoch > 0) {
    add("average_epoch", trained.progress.average_epoch);
  }
  if (const std::optional<double> error = BestError(trained)) {
    add("valid_accuracy", absl::StrFormat("%.4f", 1 - *error));
  } else {
    add("valid_perplexity", std::exp(trained.progress.best_valid_loss));
  }
  add("training_seconds", std::round(trained.progress.seconds));
  add("training_curve", trained.log.Curve(kCurveRecords));
}

// Copies the embedding of </s> to <s>.
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
  NetworkVersion version = std::move(job.version);
  version.weights =
      MakeWeightsFile(network->layout(), trained.values, network->Metadata());
  version.precision = *ParsePrecision(options.precision);
  AddTrainingProperties(options, job, trained, &version.properties);
  version.files["training.jsonl"] = trained.log.ToJsonLines();
  version.files["training.svg"] =
      DrawTrainingChart(options.target.model, trained.log.records());
  const absl::StatusOr<uint64_t> number =
      PublishNetwork(options.target.store, options.target.model, job.vocabulary,
                     std::move(version));
  if (!number.ok()) return number.status();
  PrintPublished(options.target.model, *number);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainingTexts> ReadTrainingTexts(const NeuralOptions& options,
                                                TextForm form) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  CorpusOptions text = options.text;
  text.rules.form = form;
  absl::StatusOr<Corpus> corpus = ReadCorpusFile(options.corpus, text);
  if (!corpus.ok()) return corpus.status();
  absl::StatusOr<std::vector<WordId>> validation =
      ReadTextFile(options.valid, corpus->vocabulary, text.rules);
  if (!validation.ok()) return validation.status();
  return TrainingTexts{*std::move(corpus), *std::move(validation)};
}

TrainingJob MakeTrainingJob(
    TrainingTexts texts,
    absl::FunctionRef<std::unique_ptr<BatchSource>(absl::Span<const WordId>)>
        make_batches) {
  const Corpus& corpus = texts.corpus;
  NetworkVersion version;
  version.self_test = FirstSentences(corpus.vocabulary, corpus.words);
  return {.version = std::move(version),
          .vocabulary = std::move(texts.corpus.vocabulary),
          .make_network = {},
          .training = make_batches(corpus.words),
          .validation = make_batches(texts.validation),
          .fingerprint = absl::StrCat("text=", Fingerprint(corpus.words),
                                      " valid=", Fingerprint(texts.validation)),
          .sentences = corpus.sentences,
          .tokens = corpus.tokens()};
}

absl::Status TrainAndPublish(const NeuralOptions& options, TrainingJob job) {
  TrainingOptions training = options.training;
  training.optimizer = *ParseOptimizer(options.optimizer);
  training.schedule =
      options.schedule == "linear" ? Schedule::kLinear : Schedule::kPlateau;
  training.description = DescribeTraining(options, job);
  const std::string directory =
      absl::StrCat(options.target.store, "/.training");
  absl::Status status = MakeDirectories(directory);
  if (!status.ok()) return status;
  training.checkpoint =
      absl::StrCat(directory, "/", options.target.model, ".safetensors");
  TrainingReporter reporter(training.epochs);
  training.report = [&](const TrainingRecord& record, double done) {
    reporter.Report(record, done);
  };
  const size_t parameters = job.make_network()->layout().size();
  PrintMessage(absl::StrFormat(
      "%d sentences, %d tokens, %d words in the vocabulary; %d parameters",
      job.sentences, job.tokens, job.vocabulary.size(), parameters));
  absl::StatusOr<TrainedNetwork> trained =
      TrainNetwork(job.make_network, *job.training, *job.validation, training);
  if (!trained.ok()) return trained.status();
  status = PublishTrained(options, std::move(job), *std::move(trained));
  if (status.ok()) std::remove(training.checkpoint.c_str());
  return status;
}

uint64_t Fingerprint(absl::Span<const WordId> words) {
  uint64_t hash = words.size();
  for (WordId word : words) hash = (hash ^ word) * 0x100000001B3;
  return hash;
}

}  // namespace lmserve
