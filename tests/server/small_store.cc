// SPDX-License-Identifier: Apache-2.0
#include "tests/server/small_store.h"

#include <utility>

#include "model_store/manifest.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "models/model_factory.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {

void PublishArpa(const std::string& store, absl::string_view name,
                 absl::string_view arpa) {
  const BuiltNgramModel built = BuildFromArpa(arpa);
  NewVersion version;
  version.family = std::string(kNgramFamily);
  version.files = {
      {std::string(kVocabularyFile), built.model->vocabulary().text()},
      {std::string(kNgramFile), built.bytes}};
  version.self_test = {"the cat"};
  Publish(store, name, version).value();
}

void PublishReranker(const std::string& store, absl::string_view name,
                     const std::string& reranker) {
  const std::string json = ToJson(Parse<lm::v1::Reranker>(reranker));
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  version.files = {{std::string(kRerankerFile), json}};
  Publish(store, name, version).value();
}

absl::string_view FlatArpa() {
  return R"(\data\
ngram 1=7
ngram 2=1

\1-grams:
-0.5	<unk>
-99	<s>
-0.4	</s>
-0.6	the
-0.2	cat
-0.6	twin
-99	never

\2-grams:
-0.6	never the

\end\
)";
}

absl::string_view EndlessArpa() {
  return R"(\data\
ngram 1=5
ngram 2=1

\1-grams:
-1.5	<unk>
-99	<s>
-99	</s>
-0.3	the
-0.35	cat

\2-grams:
-0.3	the the

\end\
)";
}

absl::string_view MuteArpa() {
  return R"(\data\
ngram 1=4
ngram 2=1

\1-grams:
-0.1	<unk>
-99	<s>
-99	</s>
-99	the

\2-grams:
-0.1	<unk> <unk>

\end\
)";
}

SmallStore::SmallStore() {
  PublishTinyModel(path(), "tiny");
  PublishTinyModel(path(), "tiny");
  if (!SetAlias(path(), "tiny", "stable", 1).ok()) std::abort();
  PublishArpa(path(), "flat", FlatArpa());
  PublishArpa(path(), "endless", EndlessArpa());
  PublishArpa(path(), "mute", MuteArpa());
}

std::unique_ptr<ModelStore> SmallStore::Open(
    const StoreOptions& options) const {
  return ModelStore::Open(path(), options).value();
}

}  // namespace lmserve
