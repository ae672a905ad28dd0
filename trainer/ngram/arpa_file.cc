// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/arpa_file.h"

#include <cerrno>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "model_store/loaded_version.h"
#include "models/model_factory.h"
#include "trainer/ngram/arpa.h"

namespace lmserve {
namespace {

absl::Status WriteTo(const NgramModel& model, std::ostream& out,
                     const std::string& path) {
  if (!out) return absl::ErrnoToStatus(errno, path);
  absl::Status status = WriteArpa(model, out);
  if (!status.ok()) return status;
  if (!out.flush()) {
    return absl::DataLossError(absl::StrCat(path, ": cannot write"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteArpaFile(const std::string& store, const std::string& name,
                           uint64_t version, const std::string& path) {
  absl::StatusOr<ModelHandle> handle = LoadModel(store, name, version);
  if (!handle.ok()) return handle.status();
  const std::string& family = (*handle)->manifest().family();
  if (family != kNgramFamily) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", name, ": expected the family ngram, found ", family));
  }
  const auto& model =
      dynamic_cast<const NgramModel&>(*(*handle)->model().left_to_right());
  if (path == "-") return WriteTo(model, std::cout, "standard output");
  std::ofstream file(path);
  return WriteTo(model, file, path);
}

}  // namespace lmserve
