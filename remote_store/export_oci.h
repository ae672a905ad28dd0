// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_EXPORT_OCI_H_
#define LMSERVE_REMOTE_STORE_EXPORT_OCI_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "remote_store/pause.h"

namespace lmserve {

// Writes a version as an image of a container in the OCI Image Layout
// (https://github.com/opencontainers/image-spec), which registries keep and
// Kubernetes mounts as a volume. The image has one layer, an uncompressed tar
// file with "models/NAME/VERSION/FILE", so "models" in it is a store. Its tag
// is the number of the version. The same version gives the same bytes, and so
// the same digest, everywhere. Checks the SHA-256 of all files. `layout` must
// not exist; it is complete or does not exist afterwards.
absl::Status ExportOci(const std::string& store, absl::string_view name,
                       uint64_t version, const std::string& layout,
                       const Pause& pause);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_EXPORT_OCI_H_
