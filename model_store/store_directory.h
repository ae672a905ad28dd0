// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_
#define LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Lists what a store directory contains. These functions read names and file
// attributes and open no file except aliases.json. They ignore entries whose
// names are not valid for a model or a version, such as hidden ones.
// Thread-safe.

// Returns the names of the models, sorted. Fails if the directory cannot be
// read.
absl::StatusOr<std::vector<std::string>> ListModelNames(
    const std::string& store);

// An identity is a text that differs for different directories, even of the
// same path: the numbers of the file system and of the inode.

struct ModelListing {
  std::vector<std::string> names;  // of the models, sorted
  std::string identity;            // of the directory that has them
};

// The same, and the names of all links, without looking at their targets, which
// may be on a file system that hangs.
absl::StatusOr<ModelListing> ListPossibleModels(const std::string& store);

struct VersionListing {
  std::vector<uint64_t> versions;  // ascending
  // Of the model's directory; empty if the model does not exist.
  std::string identity = {};
  // Of the store's directory in which the model was looked for.
  std::string store_identity = {};
};

// Returns the versions of a model; none if the model does not exist, or is a
// link to a file. Fails if the store or the model's directory cannot be read.
absl::StatusOr<VersionListing> ReadVersions(const std::string& store,
                                            absl::string_view name);

// Like ReadVersions(), but returns none if the directory cannot be read.
std::vector<uint64_t> ListVersions(const std::string& store,
                                   absl::string_view name);

// Returns a text that changes when a file of the version changes: the name,
// size, modification time, mode and inode number of each file. Never empty.
std::string StampVersion(const std::string& store, absl::string_view name,
                         uint64_t version);

// Returns the aliases of a model and the versions that they stand for.
// DATA_LOSS if aliases.json is not valid or has more than 1 MiB. It may be a
// symbolic link to a file in the store, or to any file if `follow_links`.
absl::StatusOr<std::map<std::string, uint64_t>> ReadAliases(
    const std::string& store, absl::string_view name,
    bool follow_links = false);

// Parses the content of aliases.json of at most 1 MiB, as ReadAliases() does.
absl::StatusOr<std::map<std::string, uint64_t>> ParseAliases(
    absl::string_view json);

// Removes the path of the store from the beginning of an error message, because
// clients of a server must not see it.
absl::Status WithoutStorePath(const std::string& store,
                              const absl::Status& status);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_
