# SPDX-License-Identifier: Apache-2.0
# Headers that most sources include, compiled once: parsing them takes about half
# of the time of a source. A source still includes what it uses, and scripts/lint
# builds without precompiled headers. Only for GCC: Clang requires exactly the
# same flags for a header and its users, and our targets differ in a few.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

set(LMSERVE_COMMON_HEADERS
  <algorithm> <array> <chrono> <cmath> <cstdint> <functional> <limits> <map>
  <memory> <mutex> <optional> <string> <utility> <vector>
  <absl/container/flat_hash_map.h> <absl/status/statusor.h>
  <absl/strings/str_cat.h> <absl/strings/str_join.h> <absl/types/span.h>)

add_library(lm_headers OBJECT cmake/precompiled.cc)
target_link_libraries(lm_headers PRIVATE
  lmserve_options absl::flat_hash_map absl::status absl::statusor absl::strings
  absl::span)
target_precompile_headers(lm_headers PRIVATE ${LMSERVE_COMMON_HEADERS})

# The same with the messages of the service and gRPC.
if(TARGET lm_service_proto)
  add_library(lm_grpc_headers OBJECT cmake/precompiled.cc)
  target_link_libraries(lm_grpc_headers PRIVATE
    lmserve_options lm_service_proto gRPC::grpc++ absl::flat_hash_map
    absl::status absl::statusor absl::strings absl::span)
  target_precompile_headers(lm_grpc_headers PRIVATE
    ${LMSERVE_COMMON_HEADERS} <lm/v1/language_model.grpc.pb.h>)
endif()
