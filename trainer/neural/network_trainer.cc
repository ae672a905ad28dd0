// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/network_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kRecordsPerEpoch = 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Calls work(i) for all i < n, each on its own thread.
void RunOnThreads(size_t n, const std::function<void(size_t)>& work) {
  std::vector<std::thread> threads;
  for (size_t i = 1; i < n; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
}

size_t CountTargets(const Batch& batch) {
  return batch.targets.size() -
         std::count(batch.targets.begin(), batch.targets.end(), kNoTarget);
}

// Returns the name of a parameter's layer for the log: "encoder", "rnn.l0",
// "source.rnn.l0" and so on.
std::string LayerName(const std::string& parameter) {
  const size_t rnn = parameter.find("rnn.");
  const size_t layer = parameter.find("_l");
  if (rnn != std::string::npos && layer != std::string::npos) {
    return absl::StrCat(parameter.substr(0, rnn), "rnn.",
                        parameter.substr(layer + 1));
  }
  return parameter.substr(0, parameter.rfind('.'));
}

// Sums over the steps since the last record.
struct Interval {
  Clock::time_point start = Clock::now();
  double loss = 0;
  uint64_t words = 0;
  uint64_t steps = 0;
  double learning_rate = 0;  // of the last step
  uint64_t clipped = 0;
  double norms = 0;
  double max_norm = 0;
  std::vector<std::pair<std::string, double>> layer_norms;  // sums of the norms
};

// Some numbers of one parameter.
struct Part {
  size_t parameter;   // index in the layout
  size_t begin, end;  // indices in an array with the layout

  size_t size() const { return end - begin; }
};

// Divides the numbers of all parts among n threads, in this order.
std::vector<std::vector<Part>> DivideParts(const std::vector<Part>& parts,
                                           size_t n) {
  size_t total = 0, done = 0;
  for (const Part& part : parts) total += part.size();
  std::vector<std::vector<Part>> divided(n);
  size_t thread = 0;
  for (Part rest : parts) {
    while (rest.size() > 0) {
      const size_t bound = total * (thread + 1) / n;
      Part taken = rest;
      taken.end = std::min(rest.end, rest.begin + (bound - done));
      if (taken.size() > 0) divided[thread].push_back(taken);
      done += taken.size();
      rest.begin = taken.end;
      if (done == bound) ++thread;
    }
  }
  return divided;
}

class Training {
 public:
  Training(const std::function<std::unique_ptr<Network<float>>()>& make_network,
           BatchSource& training, BatchSource& validation,
           const TrainingOptions& options)
      : options_(options), training_(training), validation_(validation) {
    for (size_t i = 0; i < options.threads; ++i) {
      workers_.push_back({make_network(), {}, 0});
      workers_.back().gradients.resize(layout().size());
    }
    optimizer_ = std::make_unique<Optimizer>(options.optimizer,
                                             options.weight_decay, layout());
    // Weight decay and averages change all rows in each step.
    if (options.weight_decay == 0 && options.average_after == 0) {
      table_ = workers_[0].network->table();
    }
    if (table_.has_value()) {
      table_steps_.resize(layout().parameters()[*table_].rows);
    }
    values_.resize(layout().size());
    workers_[0].network->Initialize(options.seed, values_.data());
    best_ = values_;
    if (options.average_after > 0) average_ = values_;
    progress_.learning_rate = options.learning_rate;
    progress_.best_valid_loss = std::numeric_limits<double>::max();
  }

  absl::Status Resume() {
    absl::StatusOr<Checkpoint> checkpoint =
        ReadCheckpoint(options_.checkpoint, options_.description);
    if (!checkpoint.ok()) return checkpoint.status();
    absl::StatusOr<TrainingLog> log = TrainingLog::Parse(checkpoint->log);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    progress_ = checkpoint->progress;
    for (auto& [name, array] : Arrays()) {
      std::vector<float>& stored = checkpoint->arrays[name];
      if (stored.size() != array->size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(options_.checkpoint, ": '", name, "': expected ",
                         array->size(), " numbers, found ", stored.size()));
      }
      array->swap(stored);
    }
    for (size_t i = 0; i < workers_.size(); ++i) {
      workers_[i].network->set_state(checkpoint->arrays[StateName(i)]);
    }
    resumed_ = true;
    return absl::OkStatus();
  }

  absl::Status Run() {
    for (; progress_.epoch <= options_.epochs && !OutOfPatience();
         ++progress_.epoch) {
      absl::Status status = RunEpoch();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  TrainedNetwork Take() {
    return {std::move(best_), progress_, std::move(log_)};
  }

 private:
  struct Worker {
    std::unique_ptr<Network<float>> network;
    std::vector<float> gradients;
    double loss;  // of the worker's part of the last batch
  };

  const ParameterLayout& layout() const {
    return workers_[0].network->layout();
  }

  bool OutOfPatience() const {
    return options_.patience > 0 && WithoutImprovement() >= options_.patience;
  }

  // Returns the number of epochs in a row that ended without improvement, of
  // those that average the weights once they do.
  uint64_t WithoutImprovement() const {
    if (progress_.best_epoch == 0) return 0;
    const uint64_t ended = progress_.epoch - 1;
    return ended - std::max(progress_.best_epoch,
                            std::max<uint64_t>(1, progress_.average_epoch) - 1);
  }

  bool averages() const { return progress_.average_epoch > 0; }

  // The weights that the training has as its result at this step.
  const std::vector<float>& result() const {
    return averages() ? average_ : values_;
  }

  // Returns the fraction of all batches of all epochs that is done before a
  // batch of this epoch.
  double FractionDone(uint64_t batch) const {
    const double epochs =
        progress_.epoch - 1 +
        static_cast<double>(batch) / static_cast<double>(training_.size());
    return epochs / static_cast<double>(options_.epochs);
  }

  // Returns the learning rate of a batch of this epoch.
  double LearningRate(uint64_t batch) const {
    return options_.schedule == Schedule::kPlateau
               ? progress_.learning_rate
               : progress_.learning_rate * (1 - FractionDone(batch));
  }

  absl::Status RunEpoch() {
    training_.StartEpoch(progress_.epoch);
    if (!resumed_) {
      for (Worker& worker : workers_) worker.network->set_state({});
    }
    resumed_ = false;
    const uint64_t batches = training_.size();
    SetSkippedRates();
    const uint64_t between = std::max<uint64_t>(1, batches / kRecordsPerEpoch);
    interval_ = Interval();
    while (progress_.batch < batches) {
      absl::Status status = Step(training_.Get(progress_.batch));
      if (!status.ok()) return status;
      ++progress_.batch;
      if (progress_.batch == batches) break;
      // Only the first record of an epoch may cover fewer steps than the
      // others.
      if ((batches - progress_.batch) % between == 0) Record(std::nullopt);
      status = MaybeWriteCheckpoint();
      if (!status.ok()) return status;
    }
    return EndEpoch();
  }

  absl::Status EndEpoch() {
    for (size_t row = 0; row < table_steps_.size(); ++row) CatchUp(row);
    const double training_seconds = SecondsSince(interval_.start);
    const Validation valid = Validate();
    const double loss = valid.loss;
    if (!std::isfinite(loss)) return NotFinite("validation loss", loss);
    const double squares = SumOfSquares(result());
    if (!std::isfinite(squares))
      return NotFinite("norm of the weights", squares);
    const bool is_better = IsBetter(valid);
    Record(valid, training_seconds);
    if (is_better) {
      progress_.best_valid_loss = loss;
      progress_.best_epoch = progress_.epoch;
      best_ = result();
    } else if (!averages()) {
      if (options_.average_after > 0 &&
          progress_.epoch - progress_.best_epoch >= options_.average_after) {
        progress_.average_epoch = progress_.epoch + 1;
      } else if (options_.schedule == Schedule::kPlateau) {
        progress_.learning_rate *= options_.decay;
      }
    }
    progress_.batch = 0;
    for (Worker& worker : workers_) worker.network->set_state({});
    TrainingProgress next = progress_;
    ++next.epoch;
    return options_.checkpoint.empty() ? absl::OkStatus() : Write(next);
  }

  absl::Status Step(const Batch& batch) {
    const size_t words = CountTargets(batch);
    const std::vector<Batch> batches = SplitBatch(batch, workers_.size());
    const std::vector<Part> parts = UsedParts(batch);
    RunOnThreads(workers_.size(), [&](size_t i) {
      Worker& worker = workers_[i];
      for (const Part& part : parts) {
        std::fill_n(worker.gradients.data() + part.begin, part.size(), 0.0f);
      }
      Random random(options_.seed, RandomPurpose::kDropout,
                    {progress_.step, i});
      const Network<float>::Backward backward = {1 / static_cast<float>(words),
                                                 worker.gradients.data()};
      worker.loss =
          worker.network->Run(values_.data(), batches[i], &random, &backward);
    });
    double loss = 0;
    for (const Worker& worker : workers_) loss += worker.loss;
    if (!std::isfinite(loss)) return NotFinite("loss", loss / words);
    const std::vector<std::vector<Part>> divided =
        DivideParts(parts, workers_.size());
    const std::vector<double> squares = SumGradients(divided);
    double norm = 0;
    for (double square : squares) norm += square;
    norm = std::sqrt(norm);
    if (!std::isfinite(norm)) return NotFinite("norm of the gradient", norm);
    const bool clipped = options_.clip > 0 && norm > options_.clip;
    ++progress_.step;
    progress_.words += words;
    interval_.learning_rate = LearningRate(progress_.batch);
    UpdateValues(divided, {interval_.learning_rate,
                           clipped ? options_.clip / norm : 1, progress_.step});
    Count(loss, words, norm, clipped, squares);
    return absl::OkStatus();
  }

  // Returns what the next step uses: all parameters but, of the table, only the
  // rows of the batch's words. Brings these rows up to date.
  std::vector<Part> UsedParts(const Batch& batch) {
    const auto& parameters = layout().parameters();
    std::vector<Part> parts;
    for (size_t p = 0; p < parameters.size(); ++p) {
      if (p == table_) continue;
      const size_t begin = parameters[p].begin;
      parts.push_back({p, begin, begin + parameters[p].size()});
    }
    if (!table_.has_value()) return parts;
    std::vector<WordId> rows = batch.inputs;
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    for (WordId row : rows) {
      CatchUp(row);
      parts.push_back(Row(row));
      table_steps_[row] = static_cast<float>(progress_.step + 1);
    }
    return parts;
  }

  Part Row(size_t row) const {
    const ParameterLayout::Parameter& table = layout().parameters()[*table_];
    const size_t begin = table.begin + row * table.cols;
    return {*table_, begin, begin + table.cols};
  }

  // Sets the rates with which rows of the table skip the steps of this epoch.
  void SetSkippedRates() {
    skipped_rates_.clear();
    if (!table_.has_value()) return;
    const uint64_t before = progress_.step - progress_.batch;
    for (uint64_t batch = 0; batch < training_.size(); ++batch) {
      skipped_rates_.push_back(
          Optimizer::SkippedRate(LearningRate(batch), before + batch + 1));
    }
  }

  // Applies the steps that a row has skipped, which are all of this epoch.
  void CatchUp(size_t row) {
    const auto last = static_cast<uint64_t>(table_steps_[row]);
    if (last == 0 || last >= progress_.step) return;
    const uint64_t count = std::min(progress_.step - last, progress_.batch);
    const Part part = Row(row);
    optimizer_->Skip(last,
                     absl::MakeConstSpan(skipped_rates_)
                         .subspan(progress_.batch - count, count),
                     part.begin, part.end, values_.data());
    table_steps_[row] = static_cast<float>(progress_.step);
  }

  // Adds the gradients of all workers to those of the first one. Returns the
  // sum of squares of each parameter's gradient.
  std::vector<double> SumGradients(
      const std::vector<std::vector<Part>>& divided) {
    const size_t parameters = layout().parameters().size();
    std::vector<std::vector<double>> squares(workers_.size(),
                                             std::vector<double>(parameters));
    RunOnThreads(workers_.size(), [&](size_t i) {
      for (const Part& part : divided[i]) {
        const auto sum = absl::MakeSpan(workers_[0].gradients)
                             .subspan(part.begin, part.size());
        for (size_t other = 1; other < workers_.size(); ++other) {
          const float* added = workers_[other].gradients.data() + part.begin;
          for (size_t k = 0; k < sum.size(); ++k) sum[k] += added[k];
        }
        squares[i][part.parameter] += SumOfSquares(sum);
      }
    });
    for (size_t i = 1; i < squares.size(); ++i) {
      for (size_t p = 0; p < parameters; ++p) squares[0][p] += squares[i][p];
    }
    return squares[0];
  }

  void UpdateValues(const std::vector<std::vector<Part>>& divided,
                    const Optimizer::Rate& rate) {
    if (averages()) ++progress_.averaged;
    const float share =
        averages() ? 1 / static_cast<float>(progress_.averaged) : 0;
    RunOnThreads(workers_.size(), [&](size_t i) {
      for (const Part& part : divided[i]) {
        optimizer_->Step(rate, workers_[0].gradients.data(), part.begin,
                         part.end, values_.data());
        if (!averages()) continue;
        for (size_t k = part.begin; k < part.end; ++k) {
          average_[k] += share * (values_[k] - average_[k]);
        }
      }
    });
  }

  // The loss of the validation text, in nats per word, and the fraction of its
  // labels that are wrong, for a network that labels.
  struct Validation {
    double loss;
    std::optional<double> error;
  };

  Validation Validate() {
    validation_.StartEpoch(1);
    for (Worker& worker : workers_) worker.network->set_state({});
    double loss = 0;
    std::optional<size_t> errors;
    size_t words = 0;
    for (size_t b = 0; b < validation_.size(); ++b) {
      const Batch batch = validation_.Get(b);
      const std::vector<Batch> parts = SplitBatch(batch, workers_.size());
      RunOnThreads(workers_.size(), [&](size_t i) {
        workers_[i].loss = workers_[i].network->Run(result().data(), parts[i],
                                                    nullptr, nullptr);
      });
      for (const Worker& worker : workers_) {
        loss += worker.loss;
        const std::optional<size_t> wrong = worker.network->errors();
        if (wrong.has_value()) errors = errors.value_or(0) + *wrong;
      }
      words += CountTargets(batch);
    }
    const auto count = static_cast<double>(std::max<size_t>(1, words));
    Validation valid = {loss / count, std::nullopt};
    if (errors.has_value()) {
      valid.error = static_cast<double>(*errors) / count;
    }
    return valid;
  }

  // Whether an epoch is better than the best one before: it has fewer errors
  // or, if these are equal or not counted, a lower loss.
  bool IsBetter(const Validation& valid) const {
    if (progress_.best_epoch > 0 && valid.error.has_value()) {
      const auto& records = log_.records();
      const auto best = std::find_if(
          records.begin(), records.end(), [this](const TrainingRecord& record) {
            return record.valid_error.has_value() &&
                   record.epoch == static_cast<int>(progress_.best_epoch);
          });
      if (best != records.end() && best->valid_error != valid.error) {
        return valid.error < best->valid_error;
      }
    }
    return valid.loss < progress_.best_valid_loss;
  }

  void Count(double loss, size_t words, double norm, bool clipped,
             const std::vector<double>& squares) {
    interval_.loss += loss;
    interval_.words += words;
    interval_.steps += 1;
    interval_.clipped += clipped;
    interval_.norms += norm;
    interval_.max_norm = std::max(interval_.max_norm, norm);
    std::vector<std::pair<std::string, double>> layers;
    for (size_t p = 0; p < squares.size(); ++p) {
      const std::string name = LayerName(layout().parameters()[p].name);
      auto layer = std::find_if(layers.begin(), layers.end(), [&](auto& known) {
        return known.first == name;
      });
      if (layer == layers.end()) layer = layers.insert(layer, {name, 0});
      layer->second += squares[p];
    }
    interval_.layer_norms.resize(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      interval_.layer_norms[i].first = layers[i].first;
      interval_.layer_norms[i].second += std::sqrt(layers[i].second);
    }
  }

  void Record(const std::optional<Validation>& valid) {
    Record(valid, SecondsSince(interval_.start));
  }

  // Adds a record. `seconds` is the training time since the last record,
  // without validation.
  void Record(const std::optional<Validation>& valid, double seconds) {
    const auto steps = static_cast<double>(interval_.steps);
    progress_.seconds += SecondsSince(interval_.start);
    TrainingRecord record;
    record.epoch = static_cast<int>(progress_.epoch);
    record.step = progress_.step;
    record.seconds = progress_.seconds;
    record.words = progress_.words;
    record.words_per_second = interval_.words / std::max(seconds, 1e-9);
    record.learning_rate = interval_.learning_rate;
    record.train_loss = interval_.loss / interval_.words;
    if (valid.has_value()) {
      record.valid_loss = valid->loss;
      record.valid_error = valid->error;
    }
    record.gradient_norm = interval_.norms / steps;
    record.max_gradient_norm = interval_.max_norm;
    record.clipped_share = interval_.clipped / steps;
    for (const auto& [name, norms] : interval_.layer_norms) {
      record.layer_gradient_norms.emplace_back(name, norms / steps);
    }
    if (options_.report) options_.report(record, FractionDone(progress_.batch));
    log_.Add(std::move(record));
    interval_ = Interval();
  }

  static std::string StateName(size_t worker) {
    return absl::StrCat("state.", worker);
  }

  // Returns the arrays of a checkpoint whose sizes do not change.
  std::vector<std::pair<std::string, std::vector<float>*>> Arrays() {
    std::vector<std::pair<std::string, std::vector<float>*>> arrays = {
        {"values", &values_}, {"best", &best_}};
    if (options_.average_after > 0) arrays.emplace_back("average", &average_);
    for (size_t i = 0; i < optimizer_->moments().size(); ++i) {
      arrays.emplace_back(absl::StrCat("moment.", i),
                          &optimizer_->moments()[i]);
    }
    if (!table_steps_.empty())
      arrays.emplace_back("table_steps", &table_steps_);
    return arrays;
  }

  absl::Status MaybeWriteCheckpoint() {
    if (options_.checkpoint.empty() ||
        SecondsSince(written_) < options_.checkpoint_seconds) {
      return absl::OkStatus();
    }
    return Write(progress_);
  }

  absl::Status Write(const TrainingProgress& progress) {
    Checkpoint checkpoint;
    checkpoint.description = options_.description;
    checkpoint.progress = progress;
    checkpoint.log = log_.ToJsonLines();
    for (const auto& [name, array] : Arrays()) checkpoint.arrays[name] = *array;
    for (size_t i = 0; i < workers_.size(); ++i) {
      checkpoint.arrays[StateName(i)] = workers_[i].network->state();
    }
    absl::Status status = WriteCheckpoint(options_.checkpoint, checkpoint);
    written_ = Clock::now();
    return status;
  }

  absl::Status NotFinite(absl::string_view what, double found) const {
    return absl::DataLossError(absl::StrCat(
        "epoch ", progress_.epoch, ", step ", progress_.step + 1, ": the ",
        what, " is ", found,
        "; nothing is published. Try a smaller learning rate or clip",
        options_.checkpoint.empty()
            ? ""
            : absl::StrCat("; the last good checkpoint is ",
                           options_.checkpoint)));
  }

  const TrainingOptions& options_;
  BatchSource& training_;
  BatchSource& validation_;
  std::vector<Worker> workers_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<float> values_, best_;
  std::vector<float> average_;  // of the weights; empty if they never are
  // The parameter of which a step updates the used rows only.
  std::optional<size_t> table_;
  // The step to which each row of the table is up to date; 0: not used yet.
  // Exact up to 2^24 steps.
  std::vector<float> table_steps_;
  std::vector<double> skipped_rates_;  // by the batch of the epoch
  TrainingProgress progress_;
  TrainingLog log_;
  Interval interval_;
  Clock::time_point written_ = Clock::now();
  bool resumed_ = false;  // whether the networks have the checkpoint's states
};

}  // namespace

absl::StatusOr<TrainedNetwork> TrainNetwork(
    const std::function<std::unique_ptr<Network<float>>()>& make_network,
    BatchSource& training, BatchSource& validation,
    const TrainingOptions& options) {
  Training run(make_network, training, validation, options);
  absl::Status status = options.resume ? run.Resume() : absl::OkStatus();
  if (status.ok()) status = run.Run();
  if (!status.ok()) return status;
  return run.Take();
}

}  // namespace lmserve
