// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_API_H_
#define LMSERVE_SERVER_HTTP_HTTP_API_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "model_store/model_store.h"
#include "server/handlers/serving_context.h"
#include "server/http/http_context.h"
#include "server/http/http_router.h"
#include "server/http/page.h"

namespace lmserve {

// The routes of the API: docs/http.md has the list. What the functions use must
// outlive the router and its calls.

// LanguageModelService, below /lm/v1.
void AddLanguageModelRoutes(const ServingContext& serving,
                            const HttpContext& context, HttpRouter* router);

// ModelService, below /lm/v1/models. If `admin` is null, the methods that
// change the store are UNIMPLEMENTED.
void AddModelRoutes(const ModelStore& store, ModelStore* admin,
                    const HttpContext& context, HttpRouter* router);

// Returns whether a service or a model of this name is serving; nullopt: there
// is none.
using HealthOf = std::function<std::optional<bool>(const std::string& name)>;

// /healthz, /readyz and /lm/v1/health, for which clients need no token.
void AddHealthRoutes(HealthOf health, const HttpContext& context,
                     HttpRouter* router);

// /metrics, for which clients may need a token if there are tokens.
void AddMetricsRoute(std::function<std::string()> text, bool needs_token,
                     const HttpContext& context, HttpRouter* router);

// The page at / and its files, for which browsers need no token: they have no
// data. The page asks for a token if a call needs one.
void AddPageRoutes(std::shared_ptr<const Page> page, HttpRouter* router);

// /lm/v1/openapi.json, the description of all routes but those of the page. It
// has no data, so clients need no token.
void AddOpenApiRoute(const HttpContext& context, HttpRouter* router);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_API_H_
