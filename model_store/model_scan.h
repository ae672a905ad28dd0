// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_SCAN_H_
#define LMSERVE_MODEL_STORE_MODEL_SCAN_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/store_directory.h"

namespace lmserve {

// What a store directory had of a model when it was read. A plain value, so
// that a thread that may hang reads it and another one decides what to load.
struct ModelScan {
  VersionListing listing;
  // See ReadAliases().
  absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      std::map<std::string, uint64_t>();
  std::map<uint64_t, std::string> stamps;  // see StampVersion()
};

// Reads a model's directory. Stamps only the versions in `stamped`, because a
// stamp needs the attributes of every file. Fails if the directory cannot be
// read; a model that does not exist has no versions. Thread-safe.
absl::StatusOr<ModelScan> ScanModel(const std::string& store,
                                    absl::string_view name, bool follow_links,
                                    const std::set<uint64_t>& stamped);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_SCAN_H_
