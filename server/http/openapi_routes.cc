// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/http/http_api.h"
#include "server/http/http_call.h"

namespace lmserve {

void AddOpenApiRoute(const HttpContext& context, HttpRouter* router) {
  for (const EmbeddedFile& file : OpenApiFiles()) {
    const auto asset = std::make_shared<const Asset>(
        MakeAsset(absl::StrCat("/lm/v1/", file.name), file));
    router->Add(
        {"GET", asset->path, "",
         [asset, &context](std::shared_ptr<HttpStream> stream,
                           const PathArguments&) {
           // Pages of listed origins may read it.
           std::vector<HttpField> fields =
               context.policy.AnswerFields(stream->request());
           const HttpCall call(*stream, Priority::kInteractive);
           fields.push_back({kRequestIdHeader, std::string(call.request_id())});
           AnswerAsset(*asset, std::move(fields), std::move(stream));
         }});
  }
}

}  // namespace lmserve
