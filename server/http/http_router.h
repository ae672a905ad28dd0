// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_ROUTER_H_
#define LMSERVE_SERVER_HTTP_HTTP_ROUTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http/http_error.h"
#include "server/http/http_policy.h"
#include "server/http/http_stream.h"

namespace lmserve {

// The variable parts of a path, by name.
using PathArguments = std::map<std::string, std::string, std::less<>>;

// Returns the part of this name, or an empty string if the path has none.
inline std::string ArgumentOf(const PathArguments& arguments,
                              absl::string_view name) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? "" : found->second;
}

struct HttpRoute {
  std::string method;  // GET stands for HEAD, too
  // Literal segments, and variable ones such as {model}, after which a literal
  // suffix may come: "/lm/v1/models/{model}:score".
  std::string path;
  // The media type that the body must have. Empty: there must be no body.
  std::string body_type;
  // Gets a request on the thread of the connection, and must answer it.
  std::function<void(std::shared_ptr<HttpStream>, const PathArguments&)> answer;
  // Returns the body of the answer if the router refuses a request for this
  // path, or for one that it does not have with the same first segment.
  std::string (*error_json)(int code, absl::string_view message) = ErrorJson;
};

// Answers the requests of connections: checks each by the policy, and passes it
// to the route that it asks for, or refuses it. Thread-safe once all routes are
// added.
class HttpRouter {
 public:
  explicit HttpRouter(const HttpPolicy& policy) : policy_(policy) {}

  void Add(HttpRoute route);

  // Answers a request; see HttpHandler.
  void Answer(std::shared_ptr<HttpStream> stream) const;

  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  struct Found {
    const HttpRoute* route = nullptr;
    // A route with this path for another method. Without one, a route whose
    // path has the same first segment; without that, null.
    const HttpRoute* other = nullptr;
    PathArguments arguments;
    std::vector<std::string> allowed;  // methods of the path
  };

  Found Find(absl::string_view method, absl::string_view path) const;

  const HttpPolicy& policy_;
  std::vector<HttpRoute> routes_;
  std::vector<std::vector<std::string>> patterns_;  // of routes_, by segment
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_ROUTER_H_
