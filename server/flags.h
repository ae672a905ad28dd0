// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_FLAGS_H_
#define LMSERVE_SERVER_FLAGS_H_

#include <string>

#include "command_line/cli.h"
#include "server/rpc/otlp_sender.h"
#include "server/server.h"

namespace lmserve {

// The options of lm_server. A flag such as --drain-seconds overrides the
// environment variable LM_SERVER_DRAIN_SECONDS, and that overrides a line
// drain-seconds=10 in the file of --config.
struct ServerFlags {
  std::string store;       // directory
  std::string keep = "1";  // a version policy, see ParseVersionPolicy()
  double poll_seconds = 1;
  double load_seconds = 600;
  double incomplete_seconds = 60;
  bool follow_links = false;
  ServerOptions server;
  double stall_seconds = 60;
  int grace_seconds = 0;
  int drain_seconds = 30;
  std::string http_hosts = {};    // names with commas between them
  std::string http_origins = {};  // the same
  bool http_without_tokens = false;
  std::string socket_mode = {};     // octal digits; empty: by the umask
  std::string require_models = {};  // names with commas between them
  double connection_age_seconds = 0;
  double connection_age_grace_seconds = 300;
  double connection_idle_seconds = 3600;
  std::string log_level = "info";  // or debug, warning, error
  OtlpOptions traces = {};         // without an endpoint there are none
  double trace_sample = 0.01;
  bool check_config = false;
};

// Adds all flags to a command line. Parsing it later sets `flags`, which must
// outlive `app`.
void AddServerFlags(cli::App& app, ServerFlags* flags);

// Parses the arguments, and the environment variables of the flags that are not
// among the arguments. Throws the exceptions of cli::App::parse().
void ParseServerFlags(cli::App& app, int argc, const char* const* argv);

// Returns what is wrong with the options together, or an empty string.
std::string CheckServerFlags(const ServerFlags& flags);

// Returns the options in effect, one per line, in the format of --config.
std::string EffectiveConfig(const cli::App& app);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_FLAGS_H_
