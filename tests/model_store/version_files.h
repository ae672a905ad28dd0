// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODEL_STORE_VERSION_FILES_H_
#define LMSERVE_TESTS_MODEL_STORE_VERSION_FILES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/sha256.h"

namespace lmserve {

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline void ChangeManifest(const std::string& directory,
                           absl::FunctionRef<void(lm::v1::Manifest&)> change) {
  const std::string path = absl::StrCat(directory, "/", kManifestFile);
  lm::v1::Manifest manifest = ParseManifest(ReadBytes(path)).value();
  change(manifest);
  WriteBytes(path, ToJson(manifest));
}

// Replaces a file of a version and updates size and SHA-256 in the manifest, so
// that only the content of the file can be wrong.
inline void ForgeFile(const std::string& directory, const std::string& name,
                      const std::string& bytes) {
  WriteBytes(directory + "/" + name, bytes);
  ChangeManifest(directory, [&](lm::v1::Manifest& manifest) {
    for (lm::v1::ModelFile& file : *manifest.mutable_files()) {
      if (file.name() != name) continue;
      file.set_size(bytes.size());
      file.set_sha256(Sha256(bytes));
    }
  });
}

// Truncates a file, so that the version cannot be verified.
inline void BreakVersion(const std::string& directory) {
  const std::string path = directory + "/vocabulary.txt";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODEL_STORE_VERSION_FILES_H_
