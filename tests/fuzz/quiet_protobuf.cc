// SPDX-License-Identifier: Apache-2.0
//
// Hides protobuf's warnings about invalid UTF-8, which are no findings. Part of
// each fuzzer whose input protobuf parses: libFuzzer calls the function once.

#include <google/protobuf/stubs/logging.h>

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}
