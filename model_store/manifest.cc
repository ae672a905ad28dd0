// SPDX-License-Identifier: Apache-2.0
#include "model_store/manifest.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <memory>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/reranker.h"

namespace lmserve {
namespace {

constexpr size_t kLargestManifest = 1 << 20;
constexpr int kMostFiles = 1'000;

// Escapes a text for an error message, and cuts it if it is long.
std::string Escape(absl::string_view text) {
  constexpr size_t kMaxShown = 100;
  return absl::StrCat(absl::CHexEscape(text.substr(0, kMaxShown)),
                      text.size() > kMaxShown ? "..." : "");
}

absl::Status Broken(absl::string_view field, absl::string_view expected,
                    absl::string_view found) {
  return absl::DataLossError(absl::StrCat(kManifestFile, ": ", field,
                                          ": expected ", expected, ", found '",
                                          Escape(found), "'"));
}

// Fails if a newer lmserve wrote the manifest. Fields of later formats are
// ignored here, so that the error names the format and not the first new field.
absl::Status CheckNotNewer(absl::string_view json) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  lm::v1::Manifest manifest;
  const auto status = google::protobuf::util::JsonStringToMessage(
      {json.data(), json.size()}, &manifest, options);
  if (!status.ok() || manifest.format_version() <= kFormatVersion) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      kManifestFile, ": format_version: expected ", kFormatVersion, ", found '",
      manifest.format_version(), "': a newer lmserve wrote this version"));
}

absl::Status CheckFile(const lm::v1::ModelFile& file,
                       std::set<std::string>& names) {
  // File names follow the same rules as model names.
  if (!CheckModelName(file.name()).ok() || file.name() == kManifestFile) {
    return Broken("files.name", "a plain file name", file.name());
  }
  if (!names.insert(file.name()).second) {
    return Broken("files.name", "each name once", file.name());
  }
  if (file.sha256().size() != 64) {
    return Broken("files.sha256", "64 hexadecimal digits", file.sha256());
  }
  return absl::OkStatus();
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  // The entries of maps are in the order of their keys, so that equal messages
  // have equal JSON.
  std::string binary;
  {
    google::protobuf::io::StringOutputStream bytes(&binary);
    google::protobuf::io::CodedOutputStream out(&bytes);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  constexpr char kPrefix[] = "type.googleapis.com";
  const google::protobuf::Descriptor* type = message.GetDescriptor();
  const std::unique_ptr<google::protobuf::util::TypeResolver> types(
      google::protobuf::util::NewTypeResolverForDescriptorPool(
          kPrefix, type->file()->pool()));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      types.get(), absl::StrCat(kPrefix, "/", type->full_name()), binary, &json,
      options);
  (void)status;  // fails only for messages that contain unknown types
  return json;
}

absl::Status FromJson(absl::string_view file, absl::string_view json,
                      google::protobuf::Message* message) {
  const auto status = google::protobuf::util::JsonStringToMessage(
      {json.data(), json.size()}, message);
  if (status.ok()) return absl::OkStatus();
  // Of the parser's message, the first line has the position and the reason;
  // the others quote the input.
  const std::string text = status.ToString();
  return absl::DataLossError(
      absl::StrCat(file, ": cannot parse the JSON: ",
                   absl::CHexEscape(text.substr(
                       0, std::min<size_t>(text.find('\n'), 500)))));
}

absl::StatusOr<lm::v1::Manifest> ParseManifest(absl::string_view json) {
  if (json.size() > kLargestManifest) {
    return Broken("size", absl::StrCat("at most ", kLargestManifest),
                  absl::StrCat(json.size()));
  }
  absl::Status status = CheckNotNewer(json);
  if (!status.ok()) return status;
  lm::v1::Manifest manifest;
  status = FromJson(kManifestFile, json, &manifest);
  if (!status.ok()) return status;
  if (manifest.format_version() != kFormatVersion) {
    return Broken("format_version", absl::StrCat(kFormatVersion),
                  absl::StrCat(manifest.format_version()));
  }
  if (manifest.tokenizer() != kTokenizer) {
    return Broken("tokenizer", kTokenizer, manifest.tokenizer());
  }
  if (manifest.files_size() > kMostFiles) {
    return Broken("files", absl::StrCat("at most ", kMostFiles),
                  absl::StrCat(manifest.files_size()));
  }
  std::set<std::string> names;
  for (const lm::v1::ModelFile& file : manifest.files()) {
    if (status = CheckFile(file, names); !status.ok()) return status;
  }
  if (manifest.family() != kRerankerFamily &&
      names.count(std::string(kSelfTestFile)) == 0) {
    return Broken("files", absl::StrCat("an entry ", kSelfTestFile), "none");
  }
  return manifest;
}

}  // namespace lmserve
