// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_SMALL_STORE_H_
#define LMSERVE_TESTS_SERVER_SMALL_STORE_H_

#include <google/protobuf/text_format.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "model_store/model_store.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {

// Returns the natural logarithm of a product from the log10 of its factors, as
// ARPA files have them.
inline double Ln(const std::vector<double>& log10s) {
  return std::log(10) * std::accumulate(log10s.begin(), log10s.end(), 0.0);
}

MATCHER_P(IsNear, expected, "") {
  return std::abs(arg - expected) <= 1e-6 * std::max(1.0, std::abs(expected));
}

// Parses the text form of a message. Strings may be in single quotes. Aborts
// the test program if the text is not valid.
template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message)) {
    std::abort();
  }
  return message;
}

// Returns a unigram model of "<unk> <s> </s> the cat twin never". "twin" has
// the probability of "the", and "never" is impossible.
absl::string_view FlatArpa();

// Returns a model in which only "the" and "cat" are possible: </s> is not, so
// texts have no end.
absl::string_view EndlessArpa();

// Returns a model in which every word except <unk> is impossible.
absl::string_view MuteArpa();

// Publishes the model of an ARPA text.
void PublishArpa(const std::string& store, absl::string_view name,
                 absl::string_view arpa);

// Publishes a reranker in text form.
void PublishReranker(const std::string& store, absl::string_view name,
                     const std::string& reranker);

// A new store with the models tiny (TinyArpa(); versions 1, alias "stable",
// and 2), flat, endless and mute.
class SmallStore {
 public:
  SmallStore();

  // Opens the store.
  std::unique_ptr<ModelStore> Open(const StoreOptions& options = {}) const;

  const std::string& path() const { return directory_.path(); }
  std::string File(const std::string& name) const {
    return directory_.File(name);
  }

 private:
  const TemporaryDirectory directory_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_SMALL_STORE_H_
