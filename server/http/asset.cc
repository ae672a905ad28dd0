// SPDX-License-Identifier: Apache-2.0
#include "server/http/asset.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model_store/sha256.h"
#include "server/http/http_response.h"

namespace lmserve {
namespace {

constexpr size_t kEtagDigits = 16;

absl::string_view TypeOf(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  if (absl::EndsWith(name, ".json")) return "application/json";
  if (absl::EndsWith(name, ".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

// Whether a field such as "br, gzip;q=0.5" accepts gzip.
bool AcceptsGzip(absl::string_view accepted) {
  for (absl::string_view coding : absl::StrSplit(accepted, ',')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(coding, ';');
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]), "gzip")) {
      continue;
    }
    double quality = 1;
    for (absl::string_view part : parts) {
      part = absl::StripAsciiWhitespace(part);
      if (absl::ConsumePrefix(&part, "q=") &&
          !absl::SimpleAtod(part, &quality)) {
        return false;
      }
    }
    return quality > 0;
  }
  return false;
}

// Whether one of the tags of If-None-Match is the one of the asset.
bool HasTag(absl::string_view tags, absl::string_view etag) {
  for (absl::string_view tag : absl::StrSplit(tags, ',')) {
    tag = absl::StripAsciiWhitespace(tag);
    absl::ConsumePrefix(&tag, "W/");
    if (tag == etag || tag == "*") return true;
  }
  return false;
}

}  // namespace

Asset MakeAsset(std::string path, const EmbeddedFile& file) {
  return {.path = std::move(path),
          .type = TypeOf(file.name),
          .etag = absl::StrCat("\"", Sha256(file.bytes).substr(0, kEtagDigits),
                               "\""),
          .bytes = file.bytes,
          .gzip = file.gzip};
}

DetachedTask AnswerAsset(const Asset& asset, std::vector<HttpField> fields,
                         std::shared_ptr<HttpStream> stream) {
  const HttpRequest& request = stream->request();
  const bool is_known = HasTag(request.Field("if-none-match"), asset.etag);
  const bool is_compressed =
      !asset.gzip.empty() && AcceptsGzip(request.Field("accept-encoding"));
  HttpResponseHead head = {is_known ? 304 : 200,
                           {{"Content-Type", std::string(asset.type)},
                            {"ETag", asset.etag},
                            {"Cache-Control", "no-cache"},
                            {"Vary", "Accept-Encoding"}}};
  std::move(fields.begin(), fields.end(), std::back_inserter(head.fields));
  if (is_compressed) head.fields.push_back({"Content-Encoding", "gzip"});
  std::string response =
      WholeResponse(head, is_compressed ? asset.gzip : asset.bytes,
                    is_known || request.method == "HEAD", !stream->CanKeep());
  const bool may_keep = co_await stream->Write(std::move(response));
  FinishStream(std::move(stream), may_keep);
}

}  // namespace lmserve
