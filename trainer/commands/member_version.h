// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_MEMBER_VERSION_H_
#define LMSERVE_TRAINER_COMMANDS_MEMBER_VERSION_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "model_store/publish.h"

namespace lmserve {

// Parts of the commands that publish a model which contains other versions of
// the store as its members.

// Loads a member, NAME, NAME@VERSION or NAME@ALIAS. Returns INVALID_ARGUMENT if
// it does not predict words from left to right.
absl::StatusOr<ModelHandle> LoadMember(const std::string& store,
                                       const std::string& spec);

// Returns NAME@VERSION.
std::string FullName(const LoadedVersion& loaded);

// Adds the files of a member to the files of a new version, except the
// vocabulary and the self-test. The member must outlive the version.
void AddMemberFiles(size_t member, const LoadedVersion& loaded,
                    NewVersion* version);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_MEMBER_VERSION_H_
