#ifndef LMSERVE_CLIENT_COMMAND_H_
#define LMSERVE_CLIENT_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"

namespace lmserve {

// What all commands of lm_client share.
struct CommonOptions {
  ClientOptions client;
  bool json = false;
};

// The work that the command line chose. False: done, but the answer is a no
// (exit code 1).
using Work = std::function<absl::StatusOr<bool>(const CommonOptions&)>;

// Each adds a command of lm_client, which sets *work once it is parsed.
void AddScoreCommand(CLI::App& app, Work* work);
void AddPredictCommand(CLI::App& app, Work* work);
void AddRerankCommand(CLI::App& app, Work* work);
void AddGenerateCommand(CLI::App& app, Work* work);
void AddTranslateCommand(CLI::App& app, Work* work);
void AddModelsCommand(CLI::App& app, Work* work);
void AddHealthCommand(CLI::App& app, Work* work);
void AddLoadCommand(CLI::App& app, Work* work);
void AddUnloadCommand(CLI::App& app, Work* work);
void AddAliasCommand(CLI::App& app, Work* work);

// What is wrong with the address of a server, or nothing.
std::string CheckAddress(const std::string& address);

// The name given, or, where it is empty, that of the one model the server has.
absl::StatusOr<std::string> ChooseModel(const Client& client,
                                        const std::string& name);

// Texts, one at a time: those of the command line or, where there are none, the
// lines of the standard input. Blank ones are left out and counted. One thread
// at a time.
class TextSource {
 public:
  explicit TextSource(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)), read_input_(arguments_.empty()) {}

  // False at the end.
  bool Next(std::string* text);

  uint64_t blank() const { return blank_; }

  // The number of the last text that came, from 1 up, blank ones counted, too.
  uint64_t number() const { return read_; }

 private:
  std::vector<std::string> arguments_;
  const bool read_input_;
  size_t next_ = 0;
  uint64_t blank_ = 0;
  uint64_t read_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_COMMAND_H_
