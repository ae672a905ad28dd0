#ifndef LMSERVE_MODEL_STORE_PUBLISH_H_
#define LMSERVE_MODEL_STORE_PUBLISH_H_

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

// What goes into a new version of a model.
struct NewVersion {
  std::string family;
  std::map<std::string, std::string> properties;  // for people
  ModelFiles files;                    // views of the caller's memory
  std::vector<std::string> self_test;  // texts; of a model at least one
  // Of a translation model, what each of them translates.
  std::vector<std::string> self_test_sources = {};
};

// Writes the next version of <store>/<name>, and makes the directories it
// needs. The model is made from the files and scores the self-test texts first,
// and a reranker is read, so what cannot be loaded is never published. The
// version is written under a hidden name, synced, then renamed: it is there
// whole or not at all, also when several writers publish at once. Returns its
// number.
absl::StatusOr<uint64_t> Publish(const std::string& store,
                                 absl::string_view name,
                                 const NewVersion& version);

// Lets an alias name a version that is there, whatever it named before; or
// fails as CheckAliasIs() if it is not to be that. Writers, also those of other
// processes, take turns.
absl::Status SetAlias(const std::string& store, absl::string_view name,
                      absl::string_view alias, uint64_t version,
                      std::optional<uint64_t> expected = std::nullopt);

// Takes an alias away, in the same manner. NOT_FOUND where there is none.
absl::Status RemoveAlias(const std::string& store, absl::string_view name,
                         absl::string_view alias,
                         std::optional<uint64_t> expected = std::nullopt);

// FAILED_PRECONDITION, telling what it names, where an alias does not name the
// version expected; 0 stands for no such alias.
absl::Status CheckAliasIs(const std::string& store, absl::string_view name,
                          absl::string_view alias, uint64_t expected);

// The number of a version on disk: of NAME the newest. NOT_FOUND, telling what
// there is, where there is none.
absl::StatusOr<uint64_t> FindVersion(const std::string& store,
                                     absl::string_view spec);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_PUBLISH_H_
