// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/http/http_api.h"
#include "server/http/http_response.h"

namespace lmserve {
namespace {

using Stream = std::shared_ptr<HttpStream>;

// The page uses only what this server sends, makes no markup from strings, and
// must not be shown within another page.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

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

HttpResponseHead HeadOf(const PageAsset& asset, bool is_known,
                        bool is_compressed) {
  HttpResponseHead head = {is_known ? 304 : 200,
                           {{"Content-Type", std::string(asset.type)},
                            {"ETag", asset.etag},
                            {"Cache-Control", "no-cache"},
                            {"Vary", "Accept-Encoding"},
                            {"Content-Security-Policy", kContentSecurityPolicy},
                            {"Referrer-Policy", "no-referrer"},
                            {"Cross-Origin-Opener-Policy", "same-origin"},
                            {"Cross-Origin-Resource-Policy", "same-origin"}}};
  if (is_compressed) head.fields.push_back({"Content-Encoding", "gzip"});
  return head;
}

DetachedTask AnswerAsset(const PageAsset& asset, Stream stream) {
  const HttpRequest& request = stream->request();
  const bool is_known = HasTag(request.Field("if-none-match"), asset.etag);
  const bool is_compressed =
      !asset.gzip.empty() && AcceptsGzip(request.Field("accept-encoding"));
  std::string response =
      WholeResponse(HeadOf(asset, is_known, is_compressed),
                    is_compressed ? asset.gzip : asset.bytes,
                    is_known || request.method == "HEAD", !stream->CanKeep());
  const bool may_keep = co_await stream->Write(std::move(response));
  FinishStream(std::move(stream), may_keep);
}

}  // namespace

void AddPageRoutes(std::shared_ptr<const Page> page, HttpRouter* router) {
  for (const PageAsset& asset : page->assets()) {
    router->Add({"GET", asset.path, "",
                 [page, &asset](Stream stream, const PathArguments&) {
                   AnswerAsset(asset, std::move(stream));
                 }});
  }
}

}  // namespace lmserve
