# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a source that defines kVersionNumber and kVersion, for VERSION
# and the commit that is checked out in SOURCE_DIR. Leaves the file alone if it
# would not change, so that nothing is linked again. Run at each build:
#   cmake -DSOURCE_DIR=... -DVERSION=... -DOUTPUT=... -P write_version.cmake
set(commit unknown)
find_program(GIT git)
# A copy of the sources inside another repository has no commit of its own.
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  execute_process(
    COMMAND ${GIT} -C ${SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(commit ${found})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "command_line/version.h"

namespace lmserve {

const char kVersionNumber[] = "@VERSION@";
const char kVersion[] = "lmserve @VERSION@ (@commit@)";

}  // namespace lmserve
]])
