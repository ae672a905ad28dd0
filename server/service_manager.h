// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_SERVICE_MANAGER_H_
#define LMSERVE_SERVER_SERVICE_MANAGER_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Reports the state of this process, such as "READY=1" or "STOPPING=1", to the
// service manager that started it (the protocol of sd_notify(3), without
// libsystemd). Does nothing if there is no such manager: if the environment has
// no NOTIFY_SOCKET. Fails with UNAVAILABLE if the socket does not take the
// message. Thread-safe.
absl::Status NotifyServiceManager(absl::string_view state);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVICE_MANAGER_H_
