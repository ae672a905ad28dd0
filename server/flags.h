#ifndef LMSERVE_SERVER_FLAGS_H_
#define LMSERVE_SERVER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "server/server.h"

namespace lmserve {

// What lm_server is told: by a flag; where there is none by the environment
// variable of its name, as in LM_SERVER_DRAIN_SECONDS; where that is not set by
// a line of the file that --config names, as in drain-seconds=10.
struct Flags {
  std::string store;
  std::string keep = "1";
  double poll_seconds = 1;
  ServerOptions server;
  double stall_seconds = 60;
  int grace_seconds = 0;
  int drain_seconds = 30;
  std::string log_format = "text";  // or json
  std::string log_level = "info";   // or debug, warning, error
  bool check_config = false;
};

// Adds all flags to a command line.
void AddFlags(CLI::App& app, Flags* flags);

// Parses the arguments, and what the environment says of the flags that they do
// not have. Throws as CLI::App::parse() does.
void ParseFlags(CLI::App& app, int argc, const char* const* argv);

// The configuration in effect, a line an option, as --config reads it.
std::string EffectiveConfig(const CLI::App& app);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_FLAGS_H_
