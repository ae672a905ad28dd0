// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_COMMAND_LINE_CLI_H_
#define LMSERVE_COMMAND_LINE_CLI_H_

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// The part of CLI11 that the programs use, with the names of CLI11. CLI11 is
// header-only: each source that includes it compiles all of it, which takes
// longer than the rest of a command. Therefore only cli.cc includes it.
// Messages and the help differ from CLI11's: they say what is expected in plain
// words. See https://cliutils.github.io/CLI11/book/ for the meaning of each
// function.
//
// Not thread-safe: one thread builds and parses a command line.
namespace lmserve::cli {

// Thrown for a wrong command line, and for --help and --version, whose exit
// code is 0.
class ParseError : public std::runtime_error {
 public:
  ParseError(const std::string& message, int exit_code,
             std::exception_ptr cause)
      : std::runtime_error(message),
        exit_code_(exit_code),
        cause_(std::move(cause)) {}

  int get_exit_code() const { return exit_code_; }

 private:
  friend class App;
  int exit_code_;
  std::exception_ptr cause_;  // a CLI::ParseError
};

// Callbacks throw this to reject the value of an option.
class ValidationError : public std::runtime_error {
 public:
  ValidationError(std::string name, const std::string& problem)
      : std::runtime_error(problem), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// Checks the text of a value.
class Validator {
 public:
  // FUNCTION returns what is wrong with a text, or "". `values` is what the
  // help shows in place of the type, such as "{sum,mean}"; "" keeps the type.
  template <typename Function,
            typename = std::enable_if_t<
                std::is_invocable_r_v<std::string, Function, std::string>>>
  Validator(Function function,  // NOLINT(google-explicit-constructor)
            std::string values = "")
      : function_(std::move(function)), values_(std::move(values)) {}

  std::string operator()(const std::string& text) const {
    return function_(text);
  }
  const std::string& values() const { return values_; }

 private:
  std::function<std::string(const std::string&)> function_;
  std::string values_;
};

// Numbers from `least` to `most`.
Validator Range(int least, int most);
Validator Range(uint64_t least, uint64_t most);
Validator Range(double least, double most);
Validator IsMember(const std::vector<std::string>& members);
Validator ExistingFile();
Validator PositiveNumber();
Validator NonNegativeNumber();

// An option of an App, which owns it.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option(const Option&) = delete;
  Option& operator=(const Option&) = delete;

  // The option must be given, with a value that is not empty.
  Option* required();
  Option* check(const Validator& validator);
  Option* capture_default_str();
  Option* default_str(const std::string& text);
  Option* group(const std::string& name);
  Option* needs(Option* option);
  Option* excludes(Option* option);
  Option* envname(const std::string& name);
  Option* delimiter(char delimiter);
  Option* allow_extra_args(bool allow);
  Option* take_last();
  Option* configurable(bool configurable);

  size_t count() const;
  std::string get_name() const;
  std::string get_single_name() const;
  std::string get_envname() const;
  bool get_configurable() const;

 private:
  CLI::Option* option_;
};

// A command line or one of its commands.
class App {
 public:
  explicit App(const std::string& description, const std::string& name = "");
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Value: a string, a number, a vector of them, or an optional number; cli.cc
  // has the list. The text of a number must be one.
  template <typename Value>
  Option* add_option(const std::string& name, Value& variable,
                     const std::string& description = "");
  template <typename Value>
  Option* add_option_function(const std::string& name,
                              std::function<void(const Value&)> function,
                              const std::string& description = "");

  // An option whose value is one of the names of an enumeration, in any case of
  // letters. The help shows the names, as in {sum,mean}. Variable: an Enum or
  // an optional one.
  template <typename Enum, typename Variable>
  Option* add_enum(const std::string& name, Variable& variable,
                   std::initializer_list<std::pair<const char*, Enum>> values,
                   const std::string& description = "") {
    std::vector<std::pair<std::string, int>> numbers;
    for (const auto& [text, value] : values) {
      numbers.emplace_back(text, static_cast<int>(value));
    }
    return add_enum_function(
        name, [&variable](int value) { variable = static_cast<Enum>(value); },
        numbers, description);
  }

  Option* add_flag(const std::string& name, bool& variable,
                   const std::string& description = "");
  Option* add_flag_callback(const std::string& name,
                            std::function<void()> function,
                            const std::string& description = "");
  App* add_subcommand(const std::string& name,
                      const std::string& description = "");

  void callback(std::function<void()> function);
  void parse_complete_callback(std::function<void()> function);
  void require_subcommand(int count);
  void fallthrough();
  void footer(const std::string& text);
  void set_version_flag(const std::string& name, const std::string& version);
  // An option NAME that reads other options from a file of lines NAME=VALUE,
  // and fails for a name that is not an option.
  void set_config(const std::string& name, const std::string& description);

  // Throws a ParseError, whose message names the option, what was expected and
  // what was found. "--name=" gives an option the empty value. The arguments of
  // the second form are in reverse order and do not have the name of the
  // program.
  void parse(int argc, const char* const* argv);
  void parse(std::vector<std::string> reversed_arguments);
  // Prints what the error asks for, such as the help, and returns its exit
  // code.
  int exit(const ParseError& error) const;

  std::string get_name() const;
  // The commands that were parsed.
  std::vector<App*> get_subcommands() const;
  // All commands.
  std::vector<App*> get_all_subcommands() const;
  // Throws if the option does not exist.
  Option* get_option(const std::string& name);
  // All options except --help and the like.
  std::vector<Option*> get_options();
  std::vector<std::string> remaining() const;
  std::string config_to_str(bool default_also, bool write_description) const;

  // Returns what a program with commands prints about a wrong command line:
  // "PROGRAM: what is wrong (see PROGRAM COMMAND --help)", in one line.
  std::string usage_error(const ParseError& error) const;

 private:
  explicit App(CLI::App* app);

  Option* Own(CLI::Option* option);
  Option* add_enum_function(
      const std::string& name, const std::function<void(int)>& function,
      const std::vector<std::pair<std::string, int>>& values,
      const std::string& description);

  std::unique_ptr<CLI::App> owned_;  // null for a command
  CLI::App* app_;
  std::deque<std::pair<CLI::Option*, Option>> options_;
  std::vector<std::unique_ptr<App>> commands_;
};

}  // namespace lmserve::cli

#endif  // LMSERVE_COMMAND_LINE_CLI_H_
