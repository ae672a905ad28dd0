// SPDX-License-Identifier: Apache-2.0
#include "remote_store/collect_garbage.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/reranker.h"
#include "remote_store/remote_listing.h"

namespace lmserve {
namespace {

class GarbageCollection {
 public:
  GarbageCollection(Transport& transport, const GarbageOptions& options,
                    const Reporter& reporter, const Pause& pause)
      : transport_(transport),
        options_(options),
        reporter_(reporter),
        pause_(pause),
        problems_(&reporter_) {}

  absl::Status Run() {
    // A reranker of any model can name a version.
    const absl::StatusOr<RemoteModels> remote = ListRemote(transport_, {});
    if (!remote.ok()) return remote.status();
    if (remote->empty()) {
      return absl::NotFoundError(
          "the remote store has no model; is its address correct?");
    }
    absl::Status status = ReadMembers(*remote);
    if (!status.ok()) return status;
    std::vector<std::string> names = options_.models;
    if (names.empty()) {
      for (const auto& [name, model] : *remote) names.push_back(name);
    }
    for (const std::string& name : names) {
      const auto model = remote->find(name);
      status = model == remote->end()
                   ? absl::NotFoundError("not in the remote store")
                   : CollectModel(name, model->second);
      if (absl::IsAborted(status)) return status;
      if (!status.ok()) problems_.Add(name, status);
    }
    return problems_.first();
  }

 private:
  // Finds the versions that the rerankers name.
  absl::Status ReadMembers(const RemoteModels& remote) {
    for (const auto& [name, model] : remote) {
      for (uint64_t version : model.whole_versions()) {
        const RemoteVersion& listed = model.versions.at(version);
        if (!listed.files.contains(std::string(kRerankerFile))) continue;
        const std::string path = RemotePath(name, version, kRerankerFile);
        const absl::StatusOr<std::string> json =
            ReadRemoteFile(transport_, path);
        if (!json.ok()) return json.status();
        const absl::StatusOr<lm::v1::Reranker> reranker = ParseReranker(*json);
        // A damaged one names nothing that could be served.
        if (!reranker.ok()) continue;
        for (auto& member : FixedMembers(*reranker)) {
          members_.insert(std::move(member));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CollectModel(const std::string& name, const RemoteModel& model) {
    const std::vector<uint64_t> whole = model.whole_versions();
    if (whole.empty()) return absl::OkStatus();
    const size_t kept = std::min(options_.keep, whole.size());
    const std::set<uint64_t> newest(whole.end() - static_cast<int64_t>(kept),
                                    whole.end());
    for (const auto& [version, listed] : model.versions) {
      absl::Status status = pause_(std::chrono::milliseconds(0));
      if (!status.ok()) return status;
      if (newest.contains(version) || members_.contains({name, version}) ||
          (!listed.has_manifest() && version > whole.back())) {
        continue;
      }
      if (!listed.has_manifest() && !listed.claims().empty() &&
          !options_.abandoned) {
        problems_.Add(VersionName(name, version),
                      absl::FailedPreconditionError(
                          "a push of it goes on or was abandoned; if it was, "
                          "--abandoned removes its files"));
        continue;
      }
      // Somebody may have set an alias since the listing.
      const absl::StatusOr<std::map<std::string, uint64_t>> aliases =
          ReadRemoteAliases(transport_, name);
      if (!aliases.ok()) return aliases.status();
      const bool is_named = std::any_of(aliases->begin(), aliases->end(),
                                        [version = version](const auto& alias) {
                                          return alias.second == version;
                                        });
      if (is_named) continue;
      status = Remove(name, version, listed);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& name, uint64_t version,
                      const RemoteVersion& listed) {
    const auto remove = [&](absl::string_view file) {
      return options_.dry_run
                 ? absl::OkStatus()
                 : transport_.Delete(RemotePath(name, version, file));
    };
    if (listed.has_manifest()) {
      absl::Status status = remove(kManifestFile);
      if (!status.ok()) return status;
    }
    for (const auto& [file, size] : listed.files) {
      if (file == kManifestFile) continue;
      absl::Status status = remove(file);
      if (!status.ok()) return status;
    }
    reporter_.done(absl::StrCat("removed ", VersionName(name, version)));
    return absl::OkStatus();
  }

  Transport& transport_;
  const GarbageOptions& options_;
  const Reporter& reporter_;
  const Pause& pause_;
  std::set<std::pair<std::string, uint64_t>> members_;
  Problems problems_;
};

}  // namespace

absl::Status CollectGarbage(Transport& transport, const GarbageOptions& options,
                            const Reporter& reporter, const Pause& pause) {
  return GarbageCollection(transport, options, reporter, pause).Run();
}

}  // namespace lmserve
