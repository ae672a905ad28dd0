// SPDX-License-Identifier: Apache-2.0
#include "server/http/page.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/sha256.h"

namespace lmserve {
namespace {

constexpr size_t kEtagDigits = 16;

absl::string_view TypeOf(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  if (absl::EndsWith(name, ".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

}  // namespace

Page::Page(absl::Span<const PageFile> files) {
  for (const PageFile& file : files) {
    assets_.push_back(
        {.path = absl::StrCat("/", file.name == "index.html" ? "" : file.name),
         .type = TypeOf(file.name),
         .etag = absl::StrCat("\"", Sha256(file.bytes).substr(0, kEtagDigits),
                              "\""),
         .bytes = file.bytes,
         .gzip = file.gzip});
  }
}

const PageAsset* Page::Find(absl::string_view path) const {
  const auto found =
      std::find_if(assets_.begin(), assets_.end(),
                   [&](const PageAsset& asset) { return asset.path == path; });
  return found == assets_.end() ? nullptr : &*found;
}

}  // namespace lmserve
