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

// The natural logarithm of a product, of which an ARPA file gives log10 of each
// factor.
inline double Ln(const std::vector<double>& log10s) {
  return std::log(10) * std::accumulate(log10s.begin(), log10s.end(), 0.0);
}

MATCHER_P(IsNear, expected, "") {
  return std::abs(arg - expected) <= 1e-6 * std::max(1.0, std::abs(expected));
}

// A message from its text form, where 'model' quotes as well as "model".
// Aborts the test program where the text is wrong.
template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message)) {
    std::abort();
  }
  return message;
}

// "<unk> <s> </s> the cat twin never": every word as likely as without a
// history. "twin" is as likely as "the", "never" impossible.
absl::string_view FlatArpa();

// "the" and "cat" in turn by chance, without end: </s> is impossible.
absl::string_view EndlessArpa();

// Every word but <unk> is impossible.
absl::string_view MuteArpa();

// Publishes the model of an ARPA text.
void PublishArpa(const std::string& store, absl::string_view name,
                 absl::string_view arpa);

// Publishes a reranker, from its text form.
void PublishReranker(const std::string& store, absl::string_view name,
                     const std::string& reranker);

// A new store with the models tiny (TinyArpa(); versions 1, alias "stable",
// and 2), flat, endless and mute.
class SmallStore {
 public:
  SmallStore();

  // The store opened anew.
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
