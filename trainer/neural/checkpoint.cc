// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/checkpoint.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "model_store/stored_file.h"
#include "models/neural/tensor_file.h"

namespace lmserve {
namespace {

constexpr char kDescriptionKey[] = "description";
constexpr char kProgressKey[] = "progress";
constexpr char kLogKey[] = "log";

// Calls visit(name, field) for each field.
template <typename Progress, typename Visit>
void ForEachField(Progress& progress, const Visit& visit) {
  visit("epoch", progress.epoch);
  visit("batch", progress.batch);
  visit("step", progress.step);
  visit("words", progress.words);
  visit("seconds", progress.seconds);
  visit("learning_rate", progress.learning_rate);
  visit("best_valid_loss", progress.best_valid_loss);
  visit("best_epoch", progress.best_epoch);
  visit("average_epoch", progress.average_epoch);
  visit("averaged", progress.averaged);
}

absl::Status NoCheckpointError(const std::string& path,
                               absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": expected a checkpoint of a training: ", what));
}

std::string ToJson(const TrainingProgress& progress) {
  nlohmann::json json;
  ForEachField(progress, [&](const char* name, const auto& field) {
    json[name] = field;
  });
  return json.dump();
}

// Whether a JSON number is valid for a field. Integers must not be negative.
bool Fits(const nlohmann::json& number, uint64_t) {
  return number.is_number_unsigned();
}
bool Fits(const nlohmann::json& number, double) { return number.is_number(); }

absl::StatusOr<TrainingProgress> ParseProgress(const std::string& path,
                                               const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  TrainingProgress progress;
  absl::Status status;
  ForEachField(progress, [&](const char* name, auto& field) {
    const auto found = json.is_object() ? json.find(name) : json.end();
    if (found == json.end() || !Fits(*found, field)) {
      status.Update(
          NoCheckpointError(path, absl::StrCat("expected a number as ", name)));
    } else {
      found->get_to(field);
    }
  });
  if (!status.ok()) return status;
  return progress;
}

}  // namespace

absl::Status WriteCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint) {
  TensorFileWriter writer;
  for (const auto& [name, values] : checkpoint.arrays) {
    writer.AddFloats(name, {static_cast<int64_t>(values.size())}, values);
  }
  writer.SetMetadata(kDescriptionKey, checkpoint.description);
  writer.SetMetadata(kProgressKey, ToJson(checkpoint.progress));
  writer.SetMetadata(kLogKey, checkpoint.log);
  return ReplaceFile(path, writer.Finish());
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path,
                                          const std::string& description) {
  const absl::StatusOr<PrivateMemory> bytes =
      ReadStoredFile(path, std::numeric_limits<uint64_t>::max());
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(),
                        absl::StrCat(path, ": ", bytes.status().message()));
  }
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes->bytes());
  if (!file.ok()) return NoCheckpointError(path, file.status().message());
  const auto& metadata = file->metadata();
  for (const char* key : {kDescriptionKey, kProgressKey, kLogKey}) {
    if (metadata.count(key) == 0) {
      return NoCheckpointError(
          path, absl::StrCat("expected ", key, " in its header"));
    }
  }
  Checkpoint checkpoint;
  checkpoint.description = metadata.at(kDescriptionKey);
  if (checkpoint.description != description) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the checkpoint is of another training: expected\n  ",
        description, "\nfound\n  ", checkpoint.description));
  }
  absl::StatusOr<TrainingProgress> progress =
      ParseProgress(path, metadata.at(kProgressKey));
  if (!progress.ok()) return progress.status();
  checkpoint.progress = *progress;
  checkpoint.log = metadata.at(kLogKey);
  for (const auto& [name, tensor] : file->tensors()) {
    absl::StatusOr<std::vector<float>> values =
        file->GetFloats(name, {static_cast<int64_t>(tensor.size())});
    if (!values.ok()) return NoCheckpointError(path, values.status().message());
    checkpoint.arrays[name] = *std::move(values);
  }
  return checkpoint;
}

}  // namespace lmserve
