// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_scan.h"

#include <utility>

namespace lmserve {

absl::StatusOr<ModelScan> ScanModel(const std::string& store,
                                    absl::string_view name, bool follow_links,
                                    const std::set<uint64_t>& stamped) {
  absl::StatusOr<VersionListing> listing = ReadVersions(store, name);
  if (!listing.ok()) return listing.status();
  ModelScan scan = {.listing = *std::move(listing),
                    .aliases = ReadAliases(store, name, follow_links),
                    .stamps = {}};
  for (uint64_t version : stamped) {
    scan.stamps[version] = StampVersion(store, name, version);
  }
  return scan;
}

}  // namespace lmserve
