// SPDX-License-Identifier: Apache-2.0
#include "command_line/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace lmserve::cli {
namespace {

// Turns our exception into the one that CLI11 expects from callbacks.
std::function<void()> WithErrors(std::function<void()> function) {
  return [function = std::move(function)] {
    try {
      function();
    } catch (const ValidationError& error) {
      throw CLI::ValidationError(error.name(), error.what());
    }
  };
}

std::string Found(const std::string& expected, const std::string& text) {
  return "expected " + expected + ", found '" + text + "'";
}

// Returns the names of an enumeration in a row. A name with a comma is quoted.
std::string Join(const std::vector<std::string>& names,
                 const std::string& separator) {
  return CLI::detail::join(
      names,
      [](const std::string& name) {
        return name.find(',') == std::string::npos ? name : "'" + name + "'";
      },
      separator);
}

// Returns the names of an enumeration as the help shows them.
std::string Braces(const std::vector<std::string>& names) {
  return "{" + Join(names, ",") + "}";
}

// Returns a check for numbers for which `is_right` returns true. Comparisons
// with NaN are false.
template <typename Number>
Validator NumberCheck(const std::function<bool(Number)>& is_right,
                      const std::string& expected, const std::string& values) {
  return Validator(
      [=](const std::string& text) {
        Number value;
        return CLI::detail::lexical_cast(text, value) && is_right(value)
                   ? ""
                   : Found(expected, text);
      },
      values);
}

template <typename Number>
Validator RangeCheck(Number least, Number most, const std::string& type) {
  std::ostringstream expected, values;
  expected << "a number from " << least << " to " << most;
  values << type << " in [" << least << ", " << most << "]";
  return NumberCheck<Number>(
      [=](Number value) { return value >= least && value <= most; },
      expected.str(), values.str());
}

// The number in a Value of add_option(); void for a text.
template <typename Value>
struct NumberIn {
  using Type = std::conditional_t<std::is_arithmetic_v<Value>, Value, void>;
};
template <typename Value>
struct NumberIn<std::optional<Value>> : NumberIn<Value> {};
template <typename Value>
struct NumberIn<std::vector<Value>> : NumberIn<Value> {};

// Refuses values that are not numbers. CLI11 would read "" as 0, and -1 as the
// largest number of an unsigned type.
template <typename Value>
CLI::Option* WithNumberCheck(CLI::Option* option) {
  using Number = typename NumberIn<Value>::Type;
  if constexpr (!std::is_void_v<Number>) {
    const std::string expected = std::is_floating_point_v<Number> ? "a number"
                                 : std::is_signed_v<Number>
                                     ? "a whole number"
                                     : "a whole number of at least 0";
    option->check(CLI::Validator(
        [expected](std::string& text) {
          Number value;
          const bool is_right =
              CLI::detail::lexical_cast(text, value) &&
              (std::is_signed_v<Number> || text.find('-') == std::string::npos);
          return is_right ? "" : Found(expected, text);
        },
        ""));
  }
  return option;
}

template <typename Kind>
bool Is(const CLI::ParseError& error) {
  return dynamic_cast<const Kind*>(&error) != nullptr;
}

// Returns what follows `text` in a message, or nullopt if it does not occur.
std::optional<std::string> After(const std::string& message,
                                 const std::string& text) {
  const size_t found = message.find(text);
  if (found == std::string::npos) return std::nullopt;
  return message.substr(found + text.size());
}

// Returns "FILE line N: " of an option in the file of set_config(), or, if it
// cannot be found, the name of the option of the file.
std::string PlaceInConfig(const CLI::App& app, const std::string& option) {
  const CLI::Option* config = app.get_config_ptr();
  if (config == nullptr || config->results().empty()) return "";
  const std::string& path = config->results().back();
  std::ifstream file(path);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string name = line.substr(0, line.find('='));
    if (CLI::detail::trim_copy(name) != option) continue;
    return path + " line " + std::to_string(number) + ": ";
  }
  return config->get_name() + ": ";
}

// Returns the first argument that no option or command takes, for a message; ""
// if there is none.
std::string DescribeUnknown(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (unknown.empty()) return "";
  const std::string& first = unknown[0];
  const bool is_option = first.size() > 1 && first[0] == '-';
  return (is_option ? "unknown option '" : "unexpected argument '") + first +
         "'";
}

// Returns the message of an error in plain words. The cases are messages of
// CLI11 2.1; others stay as they are.
std::string Explain(const CLI::App& app, const CLI::ParseError& error) {
  std::string message = error.what();
  const std::string config = app.get_config_ptr() == nullptr
                                 ? ""
                                 : app.get_config_ptr()->get_name() + ": ";
  if (Is<CLI::ExtrasError>(error)) {
    return DescribeUnknown(app);
  } else if (Is<CLI::RequiredError>(error) || Is<CLI::RequiresError>(error)) {
    // What is missing may be there with a misspelled name.
    const std::string unknown = DescribeUnknown(app);
    if (!unknown.empty()) return unknown + "; " + message;
  } else if (Is<CLI::ArgumentMismatch>(error)) {
    const std::string name = message.substr(0, message.find(':'));
    if (const auto count = After(message, "At Most 1 required but received ")) {
      return name + ": expected one value, found " + *count;
    }
    if (After(message, " missing")) {
      return name + ": expected a value, found none";
    }
  } else if (Is<CLI::ConfigError>(error)) {
    if (const auto option = After(message, "INI was not able to parse ")) {
      return PlaceInConfig(app, *option) +
             Found("the name of an option", *option);
    }
  } else if (Is<CLI::FileError>(error)) {
    const size_t end = message.find(" was not readable");
    return config + "cannot read '" + message.substr(0, end) + "'";
  } else if (Is<CLI::ConversionError>(error)) {
    const auto assignment = After(message, "Could not convert: ");
    const size_t equals = assignment ? assignment->find(" = ") : message.npos;
    if (equals != message.npos) {
      return assignment->substr(0, equals) + ": cannot read the value '" +
             assignment->substr(equals + 3) + "'";
    }
  }
  return message;
}

// Returns the option of a command, or of the command line that it belongs to,
// by a name such as "--store"; null if there is none.
const CLI::Option* FindOption(const CLI::App* command,
                              const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    const CLI::Option* option = command->get_option_no_throw(name);
    if (option != nullptr) return option;
  }
  return nullptr;
}

// Returns the arguments with "--name" and "" in place of each "--name=", which
// CLI11 reads like "--name": the next argument would be the value.
std::vector<std::string> WithEmptyValues(
    const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* command = &app;
  bool is_value = false;  // of the option before
  std::vector<std::string> result;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--" && !is_value) {
      result.insert(result.end(), arguments.begin() + i, arguments.end());
      return result;
    }
    result.push_back(argument);
    if (std::exchange(is_value, false)) continue;
    if (argument.empty() || argument[0] != '-') {
      const auto commands = command->get_subcommands(
          [&](const CLI::App* sub) { return sub->check_name(argument); });
      if (!commands.empty()) command = commands[0];
      continue;
    }
    const size_t equals = argument.find('=');
    const CLI::Option* option = FindOption(command, argument.substr(0, equals));
    const bool takes_value =
        option != nullptr && option->get_items_expected_max() > 0;
    if (!takes_value) continue;
    is_value = equals == std::string::npos;
    if (equals + 1 != argument.size()) continue;
    result.back().pop_back();
    result.emplace_back();
  }
  return result;
}

}  // namespace

Validator Range(int least, int most) { return RangeCheck(least, most, "INT"); }

Validator Range(uint64_t least, uint64_t most) {
  return RangeCheck(least, most, "UINT");
}

Validator Range(double least, double most) {
  return RangeCheck(least, most, "FLOAT");
}

Validator IsMember(const std::vector<std::string>& members) {
  return Validator(
      [members](const std::string& text) {
        return std::find(members.begin(), members.end(), text) != members.end()
                   ? ""
                   : Found("one of " + Join(members, ", "), text);
      },
      Braces(members));
}

Validator ExistingFile() {
  return Validator(
      [](const std::string& text) {
        std::string path = text;
        return CLI::ExistingFile(path);
      },
      "FILE");
}

Validator PositiveNumber() {
  return NumberCheck<double>(
      [](double value) { return value > 0 && std::isfinite(value); },
      "a number greater than 0", "FLOAT in (0, inf)");
}

Validator NonNegativeNumber() {
  return NumberCheck<double>(
      [](double value) { return value >= 0 && std::isfinite(value); },
      "a number of at least 0", "FLOAT in [0, inf)");
}

Option* Option::required() {
  option_->required();
  return check([](const std::string& text) {
    return text.empty() ? Found("a value", text) : "";
  });
}

Option* Option::check(const Validator& validator) {
  option_->check(CLI::Validator(
      [validator](std::string& text) { return validator(text); }, ""));
  if (!validator.values().empty()) option_->type_name(validator.values());
  return this;
}

Option* Option::capture_default_str() {
  option_->capture_default_str();
  return this;
}

Option* Option::default_str(const std::string& text) {
  option_->default_str(text);
  return this;
}

Option* Option::group(const std::string& name) {
  option_->group(name);
  return this;
}

Option* Option::needs(Option* option) {
  option_->needs(option->option_);
  return this;
}

Option* Option::excludes(Option* option) {
  option_->excludes(option->option_);
  return this;
}

Option* Option::envname(const std::string& name) {
  option_->envname(name);
  return this;
}

Option* Option::delimiter(char delimiter) {
  option_->delimiter(delimiter);
  return this;
}

Option* Option::allow_extra_args(bool allow) {
  option_->allow_extra_args(allow);
  return this;
}

Option* Option::take_last() {
  option_->take_last();
  return this;
}

Option* Option::configurable(bool configurable) {
  option_->configurable(configurable);
  return this;
}

size_t Option::count() const { return option_->count(); }

std::string Option::get_name() const { return option_->get_name(); }

std::string Option::get_single_name() const {
  return option_->get_single_name();
}

std::string Option::get_envname() const { return option_->get_envname(); }

bool Option::get_configurable() const { return option_->get_configurable(); }

App::App(const std::string& description, const std::string& name)
    : owned_(std::make_unique<CLI::App>(description, name)),
      app_(owned_.get()) {}

App::App(CLI::App* app) : app_(app) {}

App::~App() = default;

Option* App::Own(CLI::Option* option) {
  for (auto& [known, ours] : options_) {
    if (known == option) return &ours;
  }
  return &options_.emplace_back(option, option).second;
}

template <typename Value>
Option* App::add_option(const std::string& name, Value& variable,
                        const std::string& description) {
  return Own(
      WithNumberCheck<Value>(app_->add_option(name, variable, description)));
}

template <typename Value>
Option* App::add_option_function(const std::string& name,
                                 std::function<void(const Value&)> function,
                                 const std::string& description) {
  return Own(WithNumberCheck<Value>(
      app_->add_option_function<Value>(name, function, description)));
}

#define LMSERVE_CLI_VALUE(...)                                       \
  template Option* App::add_option(const std::string&, __VA_ARGS__&, \
                                   const std::string&);              \
  template Option* App::add_option_function(                         \
      const std::string&, std::function<void(const __VA_ARGS__&)>,   \
      const std::string&)
LMSERVE_CLI_VALUE(std::string);
LMSERVE_CLI_VALUE(std::vector<std::string>);
LMSERVE_CLI_VALUE(int);
LMSERVE_CLI_VALUE(uint32_t);
LMSERVE_CLI_VALUE(int64_t);
LMSERVE_CLI_VALUE(uint64_t);
LMSERVE_CLI_VALUE(std::optional<uint64_t>);
LMSERVE_CLI_VALUE(std::optional<double>);
LMSERVE_CLI_VALUE(float);
LMSERVE_CLI_VALUE(double);
LMSERVE_CLI_VALUE(std::vector<double>);
LMSERVE_CLI_VALUE(std::vector<uint32_t>);
#undef LMSERVE_CLI_VALUE

Option* App::add_enum_function(
    const std::string& name, const std::function<void(int)>& function,
    const std::vector<std::pair<std::string, int>>& values,
    const std::string& description) {
  std::vector<std::string> names;
  names.reserve(values.size());
  for (const auto& [text, value] : values) names.push_back(text);
  const CLI::Validator to_number(
      [values, names](std::string& text) {
        for (const auto& [known, value] : values) {
          if (CLI::detail::to_lower(text) != known) continue;
          text = std::to_string(value);
          return std::string();
        }
        return Found("one of " + Join(names, ", "), text);
      },
      "");
  return Own(app_->add_option_function<int>(name, function, description)
                 ->transform(to_number)
                 ->type_name(Braces(names)));
}

Option* App::add_flag(const std::string& name, bool& variable,
                      const std::string& description) {
  return Own(app_->add_flag(name, variable, description));
}

Option* App::add_flag_callback(const std::string& name,
                               std::function<void()> function,
                               const std::string& description) {
  return Own(app_->add_flag_callback(name, WithErrors(std::move(function)),
                                     description));
}

App* App::add_subcommand(const std::string& name,
                         const std::string& description) {
  commands_.push_back(
      std::unique_ptr<App>(new App(app_->add_subcommand(name, description))));
  return commands_.back().get();
}

void App::callback(std::function<void()> function) {
  app_->callback(WithErrors(std::move(function)));
}

void App::parse_complete_callback(std::function<void()> function) {
  app_->parse_complete_callback(WithErrors(std::move(function)));
}

void App::require_subcommand(int count) { app_->require_subcommand(count); }

void App::fallthrough() { app_->fallthrough(); }

void App::footer(const std::string& text) { app_->footer(text); }

void App::set_version_flag(const std::string& name,
                           const std::string& version) {
  app_->set_version_flag(name, version);
}

void App::set_config(const std::string& name, const std::string& description) {
  app_->allow_config_extras(CLI::config_extras_mode::error);
  app_->set_config(name, "", description)->type_name("FILE");
  // A value is what follows the equals sign, as on the command line. By default
  // it would be split at commas and spaces, and at brackets.
  app_->get_config_formatter_base()
      ->arrayBounds('\x01', '\x02')
      ->arrayDelimiter('\x03');
}

void App::parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  std::reverse(arguments.begin(), arguments.end());
  parse(std::move(arguments));
}

void App::parse(std::vector<std::string> reversed_arguments) {
  std::reverse(reversed_arguments.begin(), reversed_arguments.end());
  std::vector<std::string> arguments =
      WithEmptyValues(*app_, reversed_arguments);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app_->parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    throw ParseError(Explain(*app_, error), error.get_exit_code(),
                     std::current_exception());
  }
}

int App::exit(const ParseError& error) const {
  try {
    std::rethrow_exception(error.cause_);
  } catch (const CLI::ParseError& cause) {
    return app_->exit(cause);
  }
}

std::string App::get_name() const { return app_->get_name(); }

std::vector<App*> App::get_subcommands() const {
  std::vector<App*> parsed;
  for (const CLI::App* command : app_->get_subcommands()) {
    for (const std::unique_ptr<App>& ours : commands_) {
      if (ours->app_ == command) parsed.push_back(ours.get());
    }
  }
  return parsed;
}

std::vector<App*> App::get_all_subcommands() const {
  std::vector<App*> all;
  for (const std::unique_ptr<App>& command : commands_) {
    all.push_back(command.get());
  }
  return all;
}

Option* App::get_option(const std::string& name) {
  return Own(app_->get_option(name));
}

std::vector<Option*> App::get_options() {
  std::vector<Option*> options;
  for (CLI::Option* option : app_->get_options()) {
    options.push_back(Own(option));
  }
  return options;
}

std::vector<std::string> App::remaining() const { return app_->remaining(); }

std::string App::config_to_str(bool default_also,
                               bool write_description) const {
  return app_->config_to_str(default_also, write_description);
}

std::string App::usage_error(const ParseError& error) const {
  const std::vector<App*> commands = get_subcommands();
  std::string help = get_name();
  for (const App* command : commands) help += " " + command->get_name();
  std::string problem = error.what();
  problem = problem.substr(0, problem.find('\n'));
  const std::vector<std::string> unknown = remaining();
  if (commands.empty() && !unknown.empty()) {
    problem = "unknown command or option '" + unknown[0] + "'";
  }
  return get_name() + ": " + problem + " (see " + help + " --help)";
}

}  // namespace lmserve::cli
