// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_scan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/store_directory.h"

namespace lmserve {

absl::StatusOr<ModelScan> ScanModel(const std::string& store,
                                    absl::string_view name, bool follow_links,
                                    const std::set<uint64_t>& stamped) {
  absl::StatusOr<std::vector<uint64_t>> versions = ReadVersions(store, name);
  if (!versions.ok()) return versions.status();
  ModelScan scan = {
      .versions = *std::move(versions),
      .identity = IdentifyDirectory(absl::StrCat(store, "/", name)),
      .aliases = ReadAliases(store, name, follow_links),
      .stamps = {}};
  for (uint64_t version : stamped) {
    scan.stamps[version] = StampVersion(store, name, version);
  }
  return scan;
}

}  // namespace lmserve
