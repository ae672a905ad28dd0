// SPDX-License-Identifier: Apache-2.0
#include "remote_store/rclone_transport.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model_store/status_context.h"
#include "remote_store/child_process.h"

namespace lmserve {
namespace {

using nlohmann::json;

// Exit codes; see "Exit code" of https://rclone.org/docs/. Others, such as 1
// for most errors, do not say whether another attempt may help.
constexpr int kDirectoryNotFound = 3;
constexpr int kFileNotFound = 4;
constexpr int kFatal = 7;

// A listing of a million files.
constexpr size_t kLongestListing = 256 << 20;

// Returns a field of a line of rclone's log, or "" if it has no such text.
std::string TextOf(const json& line, const char* name) {
  const auto field = line.find(name);
  if (field == line.end() || !field->is_string()) return "";
  return field->get<std::string>();
}

// Returns the number of transferred bytes of a line of rclone's log, or -1.
int64_t TransferredBytes(const json& line) {
  const auto stats = line.find("stats");
  if (stats == line.end() || !stats->is_object()) return -1;
  const auto bytes = stats->find("bytes");
  if (bytes == stats->end() || !bytes->is_number()) return -1;
  return bytes->get<int64_t>();
}

// Follows the log of a run of rclone: the last error, and whether it gets on.
class Log {
 public:
  bool Add(absl::string_view text) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object()) {
      error_ = std::string(text);
      return false;
    }
    const std::string level = TextOf(line, "level");
    if (level == "error" || level == "critical") error_ = TextOf(line, "msg");
    const int64_t bytes = TransferredBytes(line);
    const bool has_more = bytes > bytes_;
    bytes_ = std::max(bytes, bytes_);
    return has_more;
  }

  const std::string& error() const { return error_; }

 private:
  std::string error_;
  int64_t bytes_ = 0;
};

absl::Status ToStatus(int exit_code, const std::string& message) {
  switch (exit_code) {
    case 0:
      return absl::OkStatus();
    case kDirectoryNotFound:
    case kFileNotFound:
      return absl::NotFoundError(message);
    case kFatal:
    case kCannotExecute:
      return absl::FailedPreconditionError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::StatusOr<std::vector<RemoteFile>> ParseListing(
    const std::string& text, const std::string& folder) {
  std::vector<RemoteFile> files;
  const json listing = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!listing.is_array()) {
    return absl::UnavailableError("rclone lsjson: expected a JSON array");
  }
  for (const json& entry : listing) {
    const auto path = entry.find("Path");
    const auto size = entry.find("Size");
    if (path == entry.end() || !path->is_string() || size == entry.end() ||
        !size->is_number_integer() || size->get<int64_t>() < 0) {
      return absl::UnavailableError(
          "rclone lsjson: expected entries with Path and Size");
    }
    files.push_back({absl::StrCat(folder, folder.empty() ? "" : "/",
                                  path->get<std::string>()),
                     size->get<uint64_t>()});
  }
  std::sort(
      files.begin(), files.end(),
      [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

std::string RcloneTransport::Full(const std::string& path) const {
  if (path.empty()) return remote_;
  const bool is_joined =
      absl::EndsWith(remote_, "/") || absl::EndsWith(remote_, ":");
  return absl::StrCat(remote_, is_joined ? "" : "/", path);
}

absl::Status RcloneTransport::Run(const std::vector<std::string>& arguments,
                                  const std::string& path,
                                  OnPiece on_output) const {
  std::vector<std::string> command = {options_.program};
  command.insert(command.end(), arguments.begin(), arguments.end());
  // The retries are ours, and statistics show progress.
  for (const char* option :
       {"--retries=1", "--use-json-log", "--stats=2s",
        "--stats-log-level=NOTICE", "--ask-password=false"}) {
    command.emplace_back(option);
  }
  command.insert(command.end(), options_.options.begin(),
                 options_.options.end());
  Log log;
  const auto on_line = [&log](absl::string_view line) { return log.Add(line); };
  absl::Status refused;
  const auto relay = [&](absl::string_view piece) {
    refused = on_output(piece);
    return refused;
  };
  const absl::StatusOr<int> exit_code =
      RunChild(command, {relay, on_line, options_.stall, pause_});
  if (!refused.ok()) return refused;
  if (absl::IsAborted(exit_code.status())) return exit_code.status();
  const std::string what =
      absl::StrCat("rclone ", arguments[0], " ", path.empty() ? "." : path);
  if (!exit_code.ok()) {
    return WithContext(what, exit_code.status());
  }
  if (*exit_code == kCannotExecute) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot run ", options_.program,
                     ": install rclone, or name it with --rclone"));
  }
  // rclone repeats the address in some messages.
  const std::string reason = absl::StrReplaceAll(
      log.error().empty() ? absl::StrCat("exit code ", *exit_code)
                          : log.error(),
      {{remote_, "REMOTE"}});
  return ToStatus(*exit_code, absl::StrCat(what, ": ", reason));
}

absl::StatusOr<std::vector<RemoteFile>> RcloneTransport::List(
    const std::string& folder) {
  std::string text;
  absl::Status status =
      Run({"lsjson", "--recursive", "--files-only", "--no-mimetype",
           "--no-modtime", Full(folder)},
          folder, [&](absl::string_view piece) {
            if (text.size() + piece.size() > kLongestListing) {
              return absl::ResourceExhaustedError(
                  "the listing of the remote is too long");
            }
            text.append(piece.data(), piece.size());
            return absl::OkStatus();
          });
  if (absl::IsNotFound(status)) return std::vector<RemoteFile>();
  if (!status.ok()) return status;
  return ParseListing(text, folder);
}

absl::Status RcloneTransport::Read(const std::string& path, uint64_t offset,
                                   OnPiece on_piece) {
  return Run({"cat", absl::StrCat("--offset=", offset), Full(path)}, path,
             on_piece);
}

absl::Status RcloneTransport::Write(const std::string& local,
                                    const std::string& path) {
  // With --checksum, a file with the same size and hash is not sent again.
  return Run({"copyto", "--checksum", local, Full(path)}, path,
             [](absl::string_view) { return absl::OkStatus(); });
}

absl::Status RcloneTransport::Delete(const std::string& path) {
  absl::Status status = Run({"deletefile", Full(path)}, path,
                            [](absl::string_view) { return absl::OkStatus(); });
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace lmserve
