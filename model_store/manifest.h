// SPDX-License-Identifier: Apache-2.0
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

// Returns a message as proto3 JSON, indented, such as the content of
// manifest.json. Equal messages have equal JSON.
std::string ToJson(const google::protobuf::Message& message);

// Parses proto3 JSON. DATA_LOSS, naming the file, if the text is not valid JSON
// or has unknown fields.
absl::Status FromJson(absl::string_view file, absl::string_view json,
                      google::protobuf::Message* message);

// Parses a manifest of at most 1 MiB with at most 1000 files. DATA_LOSS, naming
// the field, if the format version or the tokenizer is unknown, a file name is
// not plain or occurs twice, or a model lists no self-test.
absl::StatusOr<lm::v1::Manifest> ParseManifest(absl::string_view json);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MANIFEST_H_
