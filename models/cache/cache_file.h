// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CACHE_CACHE_FILE_H_
#define LMSERVE_MODELS_CACHE_CACHE_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/cache/cache_options.h"
#include "models/language_model.h"
#include "models/model_files.h"

namespace lmserve {

// The files of a model with caches are cache.json, vocabulary.txt, and the
// files of its member under the names 0.FILE. See model_store/FORMAT.md. All
// functions here are thread-safe.

inline constexpr absl::string_view kCacheFile = "cache.json";

// The contents of cache.json.
struct CacheFile {
  std::string family;  // of the member
  std::string name;    // origin of the member, for people to read: "en@3"
  CacheOptions options;
};

// Returns the contents of cache.json.
std::string MakeCacheFile(const CacheFile& file);

// Parses the contents of cache.json, which are not trusted. Returns
// INVALID_ARGUMENT, naming the key, unless all keys have values of their types
// and CheckCacheOptions() accepts the options.
absl::StatusOr<CacheFile> ParseCacheFile(absl::string_view json);

// Creates a model with caches from its files; errors and ownership are those of
// CreateModel(). `depth` is that of the model (see member_files.h).
absl::StatusOr<std::unique_ptr<LanguageModel>> CreateCache(
    const ModelFiles& files, int depth);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CACHE_CACHE_FILE_H_
