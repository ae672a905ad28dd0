// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>
#include <vector>

#include "server/http/http_api.h"

namespace lmserve {
namespace {

// The page uses only what this server sends, makes no markup from strings, and
// must not be shown within another page.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

std::vector<HttpField> PageFields() {
  return {{"Content-Security-Policy", kContentSecurityPolicy},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"}};
}

}  // namespace

void AddPageRoutes(std::shared_ptr<const Page> page, HttpRouter* router) {
  for (const Asset& asset : page->assets()) {
    router->Add({"GET", asset.path, "",
                 [page, &asset](std::shared_ptr<HttpStream> stream,
                                const PathArguments&) {
                   AnswerAsset(asset, PageFields(), std::move(stream));
                 }});
  }
}

}  // namespace lmserve
