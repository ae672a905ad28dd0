// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_
#define LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// Publishes an n-gram model as the next version of a model in a store and
// returns the version's number. The order and the numbers of n-grams are added
// to the properties.
absl::StatusOr<uint64_t> PublishNgram(
    const std::string& store, absl::string_view name,
    const Vocabulary& vocabulary, const NgramTable& table,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_
