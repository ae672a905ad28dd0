// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_DOWNLOAD_H_
#define LMSERVE_REMOTE_STORE_DOWNLOAD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lm/v1/manifest.pb.h"
#include "remote_store/pause.h"
#include "remote_store/transport.h"

namespace lmserve {

// Reads a remote file and checks size and SHA-256. Calls `on_piece` with what
// it reads, before all of it is checked. DATA_LOSS, naming the path, if the
// bytes are not those of the manifest; stops at the first byte that is too
// much.
absl::Status ReadChecked(Transport& transport, const std::string& path,
                         const lm::v1::ModelFile& expected,
                         Transport::OnPiece on_piece);

// Copies a remote file to a new local one and syncs it. Tries again, up to
// `attempts` times, if the bytes are not those of the manifest. The local file
// exists afterwards only if all bytes are correct.
absl::Status Download(Transport& transport, const std::string& path,
                      const lm::v1::ModelFile& expected,
                      const std::string& local, int attempts,
                      const Pause& pause);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_DOWNLOAD_H_
