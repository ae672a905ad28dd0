// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_PUBLISH_H_
#define LMSERVE_MODEL_STORE_PUBLISH_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/model_factory.h"

namespace lmserve {

// The content of a new version of a model or a reranker.
struct NewVersion {
  std::string family;
  std::map<std::string, std::string> properties;  // for people
  ModelFiles files;  // views of memory that the caller owns
  // Further files: the paths of regular files by their names in the version.
  // They are mapped, and linked into the version where the file system can, or
  // copied; so they must not change any more.
  std::map<std::string, std::string> paths = {};
  // Texts of the self-test; a model needs at least one.
  std::vector<std::string> self_test;
  // For a translation model: the source of each text.
  std::vector<std::string> self_test_sources = {};
};

// Writes the next version of <store>/<name> and returns its number. Creates the
// directories if they do not exist. First creates the model from the files and
// scores the self-test texts, or parses the reranker, so that a version that
// cannot be loaded is not published. Writes the version under a hidden name,
// syncs and renames it: it exists completely or not at all, even if several
// writers publish at once. Thread-safe, like all functions below.
absl::StatusOr<uint64_t> Publish(const std::string& store,
                                 absl::string_view name,
                                 const NewVersion& version);

// Checks that Publish() could write a version of a model, before the work of
// making it: INVALID_ARGUMENT for an invalid name, and an error that names the
// path if the directory of the store cannot be one or cannot be written.
// Creates nothing.
absl::Status CheckCanPublish(const std::string& store, absl::string_view name);

// How long writers wait for the lock of a model's directory.
inline constexpr std::chrono::milliseconds kLockWait{60'000};
inline constexpr std::chrono::milliseconds kNoWait{0};

// Points an alias to a version, which must exist. If `expected` is given, first
// checks like CheckAliasIs() what the alias points to now. Holds a lock against
// other writers, including those in other processes. UNAVAILABLE if another
// process holds it for longer than `wait`.
absl::Status SetAlias(const std::string& store, absl::string_view name,
                      absl::string_view alias, uint64_t version,
                      std::optional<uint64_t> expected = std::nullopt,
                      std::chrono::milliseconds wait = kLockWait);

// Removes an alias, like SetAlias(). NOT_FOUND if it does not exist.
absl::Status RemoveAlias(const std::string& store, absl::string_view name,
                         absl::string_view alias,
                         std::optional<uint64_t> expected = std::nullopt,
                         std::chrono::milliseconds wait = kLockWait);

// FAILED_PRECONDITION if an alias does not point to the version `expected`,
// where 0 means that the alias does not exist. The message says what it points
// to.
absl::Status CheckAliasIs(const std::string& store, absl::string_view name,
                          absl::string_view alias, uint64_t expected);

// Returns the number of the newest version of a model on disk. NOT_FOUND, with
// the models that exist, if there is none.
absl::StatusOr<uint64_t> FindNewestVersion(const std::string& store,
                                           absl::string_view name);

// Returns the number of the version on disk that NAME, NAME@VERSION or
// NAME@ALIAS stands for. NAME is the version of the alias "default" or, without
// one, the newest. NOT_FOUND, with what exists, if there is none.
absl::StatusOr<uint64_t> FindVersion(const std::string& store,
                                     absl::string_view spec);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_PUBLISH_H_
