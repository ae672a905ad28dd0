#include "server/errors.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace lmserve {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  // The codes have the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message()));
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down");
}

absl::Status InvalidField(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

absl::Status CannotDo(absl::string_view field, const LoadedModel& model,
                      absl::string_view what) {
  const bool bidirectional = model.model().bidirectional() != nullptr;
  const absl::string_view kind =
      bidirectional ? "is bidirectional" : "reads from left to right";
  const absl::string_view can =
      bidirectional ? "scores, reranks and fills gaps"
                    : "scores, predicts the next word, reranks and generates";
  return absl::FailedPreconditionError(absl::StrCat(field, ": '", model.name(),
                                                    "' ", kind, ": it cannot ",
                                                    what, "; it ", can));
}

absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(field, ": ", count, ", the limit is ", limit));
}

}  // namespace lmserve
