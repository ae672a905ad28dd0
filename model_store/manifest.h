#ifndef LMSERVE_MODEL_STORE_MANIFEST_H_
#define LMSERVE_MODEL_STORE_MANIFEST_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/manifest.pb.h"

namespace lmserve {

inline constexpr absl::string_view kManifestFile = "manifest.json";
inline constexpr absl::string_view kSelfTestFile = "selftest.json";
inline constexpr absl::string_view kAliasesFile = "aliases.json";
inline constexpr absl::string_view kTokenizer = "whitespace";
inline constexpr uint32_t kFormatVersion = 1;

// The bytes of manifest.json and its like: proto3 JSON, indented.
std::string ToJson(const google::protobuf::Message& message);

// Reads what ToJson() writes. DATA_LOSS, naming the file, for other bytes and
// for fields that this build does not know.
absl::Status FromJson(absl::string_view file, absl::string_view json,
                      google::protobuf::Message* message);

// Reads a manifest, a mebibyte at most, and checks that it says what a version
// needs: the format version, a tokeniser that this build has, files with plain
// names, each once; of a model its self-test.
absl::StatusOr<lm::v1::Manifest> ParseManifest(absl::string_view json);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MANIFEST_H_
