// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_COMMAND_LINE_VERSION_H_
#define LMSERVE_COMMAND_LINE_VERSION_H_

namespace lmserve {

// "MAJOR.MINOR.PATCH".
extern const char kVersionNumber[];

// "lmserve VERSION (COMMIT)", where COMMIT is the commit of the sources, or
// "unknown" if they were built outside a Git repository.
extern const char kVersion[];

}  // namespace lmserve

#endif  // LMSERVE_COMMAND_LINE_VERSION_H_
