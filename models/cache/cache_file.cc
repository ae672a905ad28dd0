// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_file.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "models/cache/cache_model.h"
#include "models/mixture/json_values.h"
#include "models/mixture/member_files.h"

namespace lmserve {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxCacheFileSize = 1 << 16;

constexpr char kMemberKey[] = "member";
constexpr char kFamilyKey[] = "family";
constexpr char kNameKey[] = "name";
constexpr char kHistoryKey[] = "history";
constexpr char kKeysKey[] = "keys";
constexpr char kCachesKey[] = "caches";
constexpr char kKindKey[] = "kind";
constexpr char kWeightKey[] = "weight";
constexpr char kThetaKey[] = "theta";
constexpr char kOrderKey[] = "order";
constexpr char kDecayKey[] = "decay";

constexpr char kContinuousKind[] = "continuous";
constexpr char kNgramKind[] = "ngram";

template <typename... Parts>
absl::Status BrokenCache(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(kCacheFile, ": ", parts...));
}

absl::Status ReadString(const Json& object, const char* key,
                        std::string* string) {
  const Json* found = FindJson(object, key);
  if (found == nullptr || !found->is_string()) {
    return WrongJson(absl::StrCat(key, ": expected a string"), found);
  }
  *string = found->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadNumber(const Json& object, const char* key, double* number) {
  const Json* found = FindJson(object, key);
  if (found == nullptr || !found->is_number()) {
    return WrongJson(absl::StrCat(key, ": expected a number"), found);
  }
  *number = found->get<double>();
  return absl::OkStatus();
}

// Reads an integer from 0 to `most`.
template <typename Integer>
absl::Status ReadInteger(const Json& object, const char* key, double most,
                         Integer* integer) {
  double number = 0;
  absl::Status status = ReadNumber(object, key, &number);
  if (!status.ok()) return status;
  if (!(number >= 0 && number <= most && std::floor(number) == number)) {
    return WrongJson(absl::StrCat(key, ": expected an integer up to ", most),
                     FindJson(object, key));
  }
  *integer = static_cast<Integer>(number);
  return absl::OkStatus();
}

absl::Status CheckKeys(const Json& object, size_t keys,
                       absl::string_view names) {
  if (object.size() == keys) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected only the keys ", names));
}

absl::StatusOr<Cache> ParseCache(const Json& json) {
  if (!json.is_object()) return WrongJson("expected an object", &json);
  Cache cache;
  std::string kind;
  absl::Status status = ReadString(json, kKindKey, &kind);
  status.Update(ReadNumber(json, kWeightKey, &cache.weight));
  if (!status.ok()) return status;
  if (kind == kContinuousKind) {
    cache.kind = CacheKind::kContinuous;
    status = ReadNumber(json, kThetaKey, &cache.theta);
    status.Update(CheckKeys(json, 3, "kind, weight and theta"));
  } else if (kind == kNgramKind) {
    cache.kind = CacheKind::kNgram;
    status = ReadInteger(json, kOrderKey, kMaxCacheOrder, &cache.order);
    status.Update(ReadNumber(json, kDecayKey, &cache.decay));
    status.Update(CheckKeys(json, 4, "kind, weight, order and decay"));
  } else {
    return WrongJson("kind: expected continuous or ngram",
                     FindJson(json, kKindKey));
  }
  if (!status.ok()) return status;
  return cache;
}

absl::Status ParseMember(const Json& json, CacheFile* file) {
  const Json* member = FindJson(json, kMemberKey);
  if (member == nullptr || !member->is_object()) {
    return WrongJson("member: expected an object", member);
  }
  absl::Status status = ReadString(*member, kFamilyKey, &file->family);
  status.Update(ReadString(*member, kNameKey, &file->name));
  status.Update(CheckKeys(*member, 2, "family and name"));
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat("member: ", status.message()));
}

absl::Status ParseOptions(const Json& json, CacheOptions* options) {
  std::string keys;
  absl::Status status =
      ReadInteger(json, kHistoryKey, kMaxCacheHistory, &options->history);
  status.Update(ReadString(json, kKeysKey, &keys));
  if (!status.ok()) return status;
  const absl::StatusOr<Precision> precision = ParsePrecision(keys);
  if (!precision.ok() || *precision == Precision::kInt8) {
    return WrongJson("keys: expected float or bf16", FindJson(json, kKeysKey));
  }
  options->keys = *precision;
  const Json* caches = FindJson(json, kCachesKey);
  if (caches == nullptr || !caches->is_array() || caches->size() > kMaxCaches) {
    return absl::InvalidArgumentError(absl::StrCat(
        "caches: expected a list of 1 to ", kMaxCaches, ", found ",
        caches != nullptr && caches->is_array() ? absl::StrCat(caches->size())
                                                : FoundJson(caches)));
  }
  for (const Json& json_cache : *caches) {
    absl::StatusOr<Cache> cache = ParseCache(json_cache);
    if (!cache.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cache ", options->caches.size(), ": ", cache.status().message()));
    }
    options->caches.push_back(*cache);
  }
  return CheckCacheOptions(*options);
}

Json ToJson(const Cache& cache) {
  if (cache.kind == CacheKind::kContinuous) {
    return {{kKindKey, kContinuousKind},
            {kWeightKey, cache.weight},
            {kThetaKey, cache.theta}};
  }
  return {{kKindKey, kNgramKind},
          {kWeightKey, cache.weight},
          {kOrderKey, cache.order},
          {kDecayKey, cache.decay}};
}

}  // namespace

std::string MakeCacheFile(const CacheFile& file) {
  Json caches = Json::array();
  for (const Cache& cache : file.options.caches) {
    caches.push_back(ToJson(cache));
  }
  const Json json = {
      {kMemberKey, {{kFamilyKey, file.family}, {kNameKey, file.name}}},
      {kHistoryKey, file.options.history},
      {kKeysKey, std::string(PrecisionName(file.options.keys))},
      {kCachesKey, std::move(caches)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<CacheFile> ParseCacheFile(absl::string_view json) {
  if (json.size() > kMaxCacheFileSize) {
    return BrokenCache("size: expected at most ", kMaxCacheFileSize, ", found ",
                       json.size());
  }
  const Json root = Json::parse(json.begin(), json.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (root.is_discarded()) return BrokenCache("not valid JSON");
  if (!root.is_object()) {
    return BrokenCache(WrongJson("expected an object", &root).message());
  }
  CacheFile file;
  absl::Status status = ParseMember(root, &file);
  status.Update(CheckKeys(root, 4, "member, history, keys and caches"));
  if (status.ok()) status = ParseOptions(root, &file.options);
  if (!status.ok()) return BrokenCache(status.message());
  return file;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateCache(
    const ModelFiles& files, int depth) {
  if (absl::Status status = CheckMayHaveMembers(depth); !status.ok()) {
    return status;
  }
  const absl::StatusOr<absl::string_view> json = FindFile(files, kCacheFile);
  if (!json.ok()) return json.status();
  absl::StatusOr<CacheFile> file = ParseCacheFile(*json);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::unique_ptr<LanguageModel>> member =
      CreateMember(file->family, 0, files, depth);
  if (!member.ok()) {
    return BrokenCache("member (", absl::CHexEscape(file->name),
                       "): ", member.status().message());
  }
  absl::StatusOr<std::unique_ptr<CacheModel>> model =
      CacheModel::Create(*std::move(member), std::move(file->options));
  if (!model.ok()) return BrokenCache(model.status().message());
  return model;
}

}  // namespace lmserve
