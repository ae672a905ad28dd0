// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_REMOTE_STORE_REMOTE_TESTING_H_
#define LMSERVE_TESTS_REMOTE_STORE_REMOTE_TESTING_H_

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/store_directory.h"
#include "remote_store/pause.h"
#include "remote_store/reporter.h"
#include "remote_store/retrying_transport.h"
#include "remote_store/transport.h"
#include "tests/model_store/version_files.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {

// Does not wait.
inline Pause NoPause() {
  return [](std::chrono::milliseconds) { return absl::OkStatus(); };
}

// What goes wrong with one operation of a transport.
enum class Fault {
  kFails,       // UNAVAILABLE, and nothing is done
  kAnswerLost,  // it is done, but the answer is UNAVAILABLE
  kTruncated,   // half of the bytes, and then UNAVAILABLE
  kSilently,    // half of the bytes of a Read, and then OK
  kCorrupted,   // a wrong byte of a Read, and then OK
  kDies,        // half of the bytes, and then the process is gone
};

inline constexpr Fault kCurableFaults[] = {Fault::kFails, Fault::kAnswerLost,
                                           Fault::kTruncated, Fault::kSilently,
                                           Fault::kCorrupted};

// Passes operations to another transport, but for the n-th (from 0).
class FaultyTransport : public Transport {
 public:
  FaultyTransport(Transport* transport, int n, Fault fault)
      : transport_(*transport), n_(n), fault_(fault) {}

  int operations() const { return operations_; }
  // How often each path was read.
  const std::map<std::string, int>& reads() const { return reads_; }

  absl::StatusOr<std::vector<RemoteFile>> List(
      const std::string& folder) override {
    if (IsDead()) return Dead();
    if (!IsFaulty()) return transport_.List(folder);
    return fault_ == Fault::kDies ? Dead() : Unavailable();
  }

  absl::Status Read(const std::string& path, uint64_t offset,
                    OnPiece on_piece) override {
    if (IsDead()) return Dead();
    ++reads_[path];
    if (!IsFaulty()) return transport_.Read(path, offset, on_piece);
    if (fault_ == Fault::kFails) return Unavailable();
    std::string bytes;
    absl::Status status =
        transport_.Read(path, offset, [&](absl::string_view piece) {
          bytes.append(piece.data(), piece.size());
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    if (fault_ == Fault::kCorrupted && !bytes.empty()) bytes[0] ^= 1;
    const bool is_cut = fault_ == Fault::kTruncated ||
                        fault_ == Fault::kSilently || fault_ == Fault::kDies;
    if (is_cut) bytes.resize(bytes.size() / 2);
    status = on_piece(bytes);
    if (!status.ok()) return status;
    if (fault_ == Fault::kDies) return Dead();
    if (fault_ == Fault::kSilently || fault_ == Fault::kCorrupted)
      return status;
    return Unavailable();
  }

  absl::Status Write(const std::string& local,
                     const std::string& path) override {
    if (IsDead()) return Dead();
    if (!IsFaulty()) return transport_.Write(local, path);
    if (fault_ == Fault::kFails) return Unavailable();
    const TemporaryDirectory directory;
    std::string bytes = ReadBytes(local);
    // Writes are checked where they arrive, so none is cut silently.
    if (fault_ == Fault::kTruncated || fault_ == Fault::kDies) {
      bytes.resize(bytes.size() / 2);
    }
    WriteBytes(directory.File("part"), bytes);
    absl::Status status = transport_.Write(directory.File("part"), path);
    if (!status.ok()) return status;
    return fault_ == Fault::kDies ? Dead() : Unavailable();
  }

  absl::Status Delete(const std::string& path) override {
    if (IsDead()) return Dead();
    if (!IsFaulty()) return transport_.Delete(path);
    if (fault_ == Fault::kFails) return Unavailable();
    absl::Status status = transport_.Delete(path);
    if (!status.ok()) return status;
    return fault_ == Fault::kDies ? Dead() : Unavailable();
  }

 private:
  static absl::Status Unavailable() {
    return absl::UnavailableError("a fault of the test");
  }
  static absl::Status Dead() { return absl::AbortedError("dead"); }

  bool IsFaulty() { return operations_++ == n_; }
  bool IsDead() const { return fault_ == Fault::kDies && operations_ > n_; }

  Transport& transport_;
  const int n_;
  const Fault fault_;
  int operations_ = 0;
  std::map<std::string, int> reads_;
};

// Collects what is reported.
struct Report {
  std::vector<std::string> done;
  std::vector<std::string> problems;

  Reporter reporter() {
    return {.done = [this](absl::string_view line) { done.emplace_back(line); },
            .problem =
                [this](const absl::Status& status) {
                  problems.emplace_back(status.message());
                }};
  }
};

// Publishes a reranker of fixed versions of the model "m".
inline void PublishReranker(const std::string& store,
                            const std::vector<int>& versions) {
  lm::v1::Reranker reranker;
  for (int version : versions) {
    lm::v1::RerankerMember& member = *reranker.add_members();
    member.set_model(absl::StrCat("m@", version));
    member.set_feature(absl::StrCat("m", version));
  }
  const std::string json = RerankerJson(reranker);
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  version.files[std::string(kRerankerFile)] = json;
  ASSERT_TRUE(Publish(store, "r", version).ok());
}

// Checks what every reader of a store relies on: each version can be loaded and
// each alias names one.
inline void ExpectSound(const std::string& store) {
  const std::vector<std::string> names = ListModelNames(store).value();
  for (const std::string& name : names) {
    const std::vector<uint64_t> versions = ListVersions(store, name);
    for (uint64_t version : versions) {
      const auto loaded = LoadModel(store, name, version);
      EXPECT_TRUE(loaded.ok()) << name << "@" << version << loaded.status();
    }
    const auto aliases = ReadAliases(store, name);
    ASSERT_TRUE(aliases.ok()) << aliases.status();
    for (const auto& [alias, version] : *aliases) {
      EXPECT_TRUE(std::binary_search(versions.begin(), versions.end(), version))
          << name << "@" << alias << " = " << version;
    }
  }
}

// Returns the files of a directory and their bytes.
inline std::map<std::string, std::string> Files(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(directory)] = ReadBytes(entry.path());
  }
  return files;
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_REMOTE_STORE_REMOTE_TESTING_H_
