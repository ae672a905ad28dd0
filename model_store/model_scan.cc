// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_scan.h"

#include <algorithm>
#include <utility>

namespace lmserve {
namespace {

// Whether an alias names a version that was not listed.
bool NamesMissingVersion(const ModelScan& scan) {
  if (!scan.aliases.ok()) return false;
  const auto& versions = scan.listing.versions;
  return std::any_of(
      scan.aliases->begin(), scan.aliases->end(), [&](const auto& alias) {
        return std::find(versions.begin(), versions.end(), alias.second) ==
               versions.end();
      });
}

}  // namespace

// A writer that publishes a version, moves an alias to it and removes the one
// before can do all of that after the versions are listed and before the
// aliases are read. Then both are read again, until they agree, the aliases no
// longer change, or the writer has done so kMostReads times.
absl::StatusOr<ModelScan> ScanModel(const std::string& store,
                                    absl::string_view name, bool follow_links,
                                    const std::set<uint64_t>& stamped) {
  constexpr int kMostReads = 10;
  ModelScan scan;
  bool is_settled = false;
  for (int i = 0; i < kMostReads && !is_settled; ++i) {
    absl::StatusOr<VersionListing> listing = ReadVersions(store, name);
    if (!listing.ok()) return listing.status();
    scan.listing = *std::move(listing);
    const auto before =
        std::exchange(scan.aliases, ReadAliases(store, name, follow_links));
    is_settled = !NamesMissingVersion(scan) || scan.aliases == before;
  }
  for (uint64_t version : stamped) {
    scan.stamps[version] = StampVersion(store, name, version);
  }
  return scan;
}

}  // namespace lmserve
