// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_TEMPORARY_DIRECTORY_H_
#define LMSERVE_TESTS_TESTING_TEMPORARY_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace lmserve {

// Creates a new directory, and deletes it with its contents when destroyed.
class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_((std::filesystem::temp_directory_path() / "lmserve-XXXXXX")
                  .string()) {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_TEMPORARY_DIRECTORY_H_
