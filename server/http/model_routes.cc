// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "models/printable_text.h"
#include "server/handlers/model_management.h"
#include "server/http/http_api.h"
#include "server/http/http_unary.h"
#include "server/http/query.h"

namespace lmserve {
namespace {

using Stream = std::shared_ptr<HttpStream>;

// Answers a method that only looks at the store.
template <typename Request, typename Response, typename Fill>
void Query(const ModelStore& store, const HttpContext& context,
           absl::string_view method, Stream stream, Fill fill,
           absl::Status (*query)(const ModelStore&, Call&, const Request&,
                                 Response*)) {
  AnswerHttpUnary<Request, Response>(
      context, method, Role::kRead, RequestBody::kNone, std::move(stream), fill,
      [&store, query](Call& call, const Request& request,
                      Response* response) -> Task<absl::Status> {
        co_return query(store, call, request, response);
      });
}

// Answers a method that changes the store.
template <typename Request, typename Response, typename Fill>
void Change(ModelStore* admin, const HttpContext& context,
            absl::string_view method, RequestBody body, Stream stream,
            Fill fill,
            Task<absl::Status> (*change)(ModelStore*, Call&, const Request&,
                                         Response*)) {
  AnswerHttpUnary<Request, Response>(
      context, method, Role::kAdmin, body, std::move(stream), fill,
      [admin, change](Call& call, const Request& request, Response* response) {
        return change(admin, call, request, response);
      });
}

// Returns a function that sets the model that the path names.
auto SetName(const PathArguments& arguments) {
  return [name = arguments.at("model")](auto* request) {
    request->set_name(name);
    return absl::OkStatus();
  };
}

}  // namespace

void AddModelRoutes(const ModelStore& store, ModelStore* admin,
                    const HttpContext& context, HttpRouter* router) {
  router->Add(
      {"GET", "/lm/v1/models", "", [&](Stream stream, const PathArguments&) {
         const auto fill =
             [token = QueryValue(stream->request().query, "pageToken")](
                 lm::v1::ListModelsRequest* request) {
               request->set_page_token(token);
               return absl::OkStatus();
             };
         Query<lm::v1::ListModelsRequest, lm::v1::ListModelsResponse>(
             store, context, "ListModels", std::move(stream), fill,
             HandleListModels);
       }});
  router->Add({"GET", "/lm/v1/models/{model}", "",
               [&](Stream stream, const PathArguments& arguments) {
                 const auto fill = [model = arguments.at("model")](
                                       lm::v1::GetModelRequest* request) {
                   request->set_model(model);
                   return absl::OkStatus();
                 };
                 Query<lm::v1::GetModelRequest, lm::v1::GetModelResponse>(
                     store, context, "GetModel", std::move(stream), fill,
                     HandleGetModel);
               }});
  router->Add({"POST", "/lm/v1/models/{model}:load", "application/json",
               [&, admin](Stream stream, const PathArguments& arguments) {
                 Change<lm::v1::LoadModelRequest, lm::v1::LoadModelResponse>(
                     admin, context, "LoadModel", RequestBody::kOptional,
                     std::move(stream), SetName(arguments), HandleLoadModel);
               }});
  router->Add(
      {"POST", "/lm/v1/models/{model}:unload", "application/json",
       [&, admin](Stream stream, const PathArguments& arguments) {
         Change<lm::v1::UnloadModelRequest, lm::v1::UnloadModelResponse>(
             admin, context, "UnloadModel", RequestBody::kOptional,
             std::move(stream), SetName(arguments), HandleUnloadModel);
       }});
  router->Add(
      {"PUT", "/lm/v1/models/{model}/aliases/{alias}", "application/json",
       [&, admin](Stream stream, const PathArguments& arguments) {
         const auto fill = [arguments](lm::v1::SetAliasRequest* request) {
           request->set_name(arguments.at("model"));
           request->set_alias(arguments.at("alias"));
           // 0 would remove the alias, which is what DELETE does.
           if (request->version() > 0) return absl::OkStatus();
           return InvalidField("version", "expected a version, found none");
         };
         Change<lm::v1::SetAliasRequest, lm::v1::SetAliasResponse>(
             admin, context, "SetAlias", RequestBody::kNeeded,
             std::move(stream), fill, HandleSetAlias);
       }});
  router->Add({"DELETE", "/lm/v1/models/{model}/aliases/{alias}", "",
               [&, admin](Stream stream, const PathArguments& arguments) {
                 const auto fill =
                     [arguments](lm::v1::SetAliasRequest* request) {
                       request->set_name(arguments.at("model"));
                       request->set_alias(arguments.at("alias"));
                       return absl::OkStatus();
                     };
                 Change<lm::v1::SetAliasRequest, lm::v1::SetAliasResponse>(
                     admin, context, "SetAlias", RequestBody::kNone,
                     std::move(stream), fill, HandleSetAlias);
               }});
}

}  // namespace lmserve
