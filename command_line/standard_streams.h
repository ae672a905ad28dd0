// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_COMMAND_LINE_STANDARD_STREAMS_H_
#define LMSERVE_COMMAND_LINE_STANDARD_STREAMS_H_

#include <csignal>

namespace lmserve {

// Opens /dev/null for each of the descriptors 0, 1 and 2 that is closed.
// Without this the first file or connection of the process would get the
// number, and what the program prints would be written into it. Reads and
// writes of these descriptors fail, as if they were closed. If a library has
// taken one of the numbers before main(), the program is executed again. To be
// called first in main(), with its arguments.
void OpenStandardStreams(char** argv);

// Whether the standard output is a pipe or socket that nobody reads any more,
// as
// `| head` leaves it when it has enough.
bool StandardOutputIsClosed();

// The exit code, as shells see it, of a program that a closed pipe has ended.
inline constexpr int kClosedPipeExitCode = 128 + SIGPIPE;

}  // namespace lmserve

#endif  // LMSERVE_COMMAND_LINE_STANDARD_STREAMS_H_
