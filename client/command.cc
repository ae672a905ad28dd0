// SPDX-License-Identifier: Apache-2.0
#include "client/command.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lmserve {

absl::StatusOr<std::string> ChooseModel(const Client& client,
                                        const std::string& name) {
  if (!name.empty()) return name;
  const auto models = client.ListModels();
  if (!models.ok()) return models.status();
  std::vector<std::string> names;
  for (const lm::v1::ModelInfo& model : models->models()) {
    if (model.is_default() && !model.has_reranker()) {
      names.push_back(model.name());
    }
  }
  if (names.size() == 1) return names[0];
  if (names.empty()) {
    return absl::FailedPreconditionError(
        "the server serves no model; lm_client models lists the versions that "
        "it refused, is loading or waits for");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--model is required because the server has ", names.size(),
                   " models: ", absl::StrJoin(names, ", ")));
}

std::string CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return "";
  const size_t colon = address.rfind(':');
  int port;
  if (colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 1 &&
      port <= 65535) {
    return "";
  }
  return absl::StrCat(
      "expected HOST:PORT, unix:PATH or dns:///HOST:PORT, "
      "found '",
      address, "'");
}

}  // namespace lmserve
