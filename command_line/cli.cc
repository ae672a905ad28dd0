// SPDX-License-Identifier: Apache-2.0
#include "command_line/cli.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <map>

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

Validator Wrap(const CLI::Validator& validator) {
  return Validator(std::make_shared<const CLI::Validator>(validator));
}

template <typename Parse>
void WithParseErrors(const Parse& parse) {
  try {
    parse();
  } catch (const CLI::ParseError& error) {
    throw ParseError(error.what(), error.get_exit_code(),
                     std::current_exception());
  }
}

}  // namespace

Validator::Validator(std::function<std::string(const std::string&)> function)
    : validator_(std::make_shared<CLI::Validator>(
          [function = std::move(function)](std::string& text) {
            return function(text);
          },
          "")) {}

Validator::Validator(std::shared_ptr<const CLI::Validator> validator)
    : validator_(std::move(validator)) {}

Validator Range(int least, int most) { return Wrap(CLI::Range(least, most)); }

Validator Range(uint64_t least, uint64_t most) {
  return Wrap(CLI::Range(least, most));
}

Validator Range(double least, double most) {
  const CLI::Validator range = CLI::Range(least, most);
  CLI::Validator validator = range;
  validator.operation([range](std::string& text) {
    // Comparisons with NaN are false.
    double value;
    const bool is_nan =
        CLI::detail::lexical_cast(text, value) && std::isnan(value);
    return is_nan ? "expected a number, found " + text : range(text);
  });
  return Wrap(validator);
}

Validator IsMember(std::vector<std::string> members) {
  return Wrap(CLI::IsMember(std::move(members)));
}

Validator ExistingFile() { return Wrap(CLI::ExistingFile); }

Validator PositiveNumber() { return Wrap(CLI::PositiveNumber); }

Validator NonNegativeNumber() { return Wrap(CLI::NonNegativeNumber); }

Option* Option::required() {
  option_->required();
  return this;
}

Option* Option::check(const Validator& validator) {
  option_->check(validator.get());
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
  return Own(app_->add_option(name, variable, description));
}

template <typename Value>
Option* App::add_option_function(const std::string& name,
                                 std::function<void(const Value&)> function,
                                 const std::string& description) {
  return Own(app_->add_option_function<Value>(name, function, description));
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
    const std::string& name, std::function<void(int)> function,
    const std::vector<std::pair<std::string, int>>& values,
    const std::string& description) {
  const std::map<std::string, int> by_name(values.begin(), values.end());
  return Own(app_->add_option_function<int>(name, function, description)
                 ->transform(CLI::CheckedTransformer(by_name, CLI::ignore_case))
                 ->type_name("ENUM"));
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
  app_->set_config(name, "", description);
  // A value is what follows the equals sign, as on the command line. By default
  // it would be split at commas and spaces, and at brackets.
  app_->get_config_formatter_base()
      ->arrayBounds('\x01', '\x02')
      ->arrayDelimiter('\x03');
}

void App::parse(int argc, const char* const* argv) {
  WithParseErrors([&] { app_->parse(argc, argv); });
}

void App::parse(std::vector<std::string> reversed_arguments) {
  WithParseErrors([&] { app_->parse(std::move(reversed_arguments)); });
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

}  // namespace lmserve::cli
