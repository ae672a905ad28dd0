#ifndef LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_
#define LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What is in a store on disk, by names alone; nothing is opened but
// aliases.json. Entries with other names than a model's or a version's, hidden
// ones above all, are passed over.

// The models, sorted. Fails where the directory cannot be read.
absl::StatusOr<std::vector<std::string>> ListModelNames(
    const std::string& store);

// The versions of a model, rising; none where it is not there. Fails where the
// model's directory cannot be read.
absl::StatusOr<std::vector<uint64_t>> ReadVersions(const std::string& store,
                                                   absl::string_view name);

// The same; none where it cannot be read.
std::vector<uint64_t> ListVersions(const std::string& store,
                                   absl::string_view name);

// What a version's directory looks like from outside: the name, size, time and
// number of each file. Another text where one of them has changed; never empty.
std::string StampVersion(const std::string& store, absl::string_view name,
                         uint64_t version);

// The aliases of a model. DATA_LOSS where aliases.json is broken.
absl::StatusOr<std::map<std::string, uint64_t>> ReadAliases(
    const std::string& store, absl::string_view name);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_DIRECTORY_H_
