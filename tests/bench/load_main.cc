// SPDX-License-Identifier: Apache-2.0
//
// lmserve_load: puts load on a running server and prints the results as one
// JSON object.

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "command_line/cli.h"
#include "command_line/version.h"
#include "lm/v1/language_model.pb.h"
#include "server/http/json_printer.h"
#include "server/rpc/wire.h"
#include "tests/bench/http_load.h"
#include "tests/bench/load_clients.h"

namespace lmserve {
namespace {

constexpr grpc::StatusCode kCodes[] = {
    grpc::OK,          grpc::CANCELLED,          grpc::DEADLINE_EXCEEDED,
    grpc::UNAVAILABLE, grpc::RESOURCE_EXHAUSTED, grpc::UNKNOWN,
    grpc::INTERNAL,    grpc::NOT_FOUND,          grpc::INVALID_ARGUMENT};
constexpr const char* kNames[] = {
    "ok",          "cancelled",          "deadline_exceeded",
    "unavailable", "resource_exhausted", "unknown",
    "internal",    "not_found",          "invalid_argument"};

struct Flags {
  std::string server = "localhost:50051";
  std::string http;
  int server_pid = 0;
  std::string what = "score";
  std::string model = "en";
  std::string texts;
  size_t texts_per_call = 1;
  size_t channels = 4;
  size_t concurrency = 64;
  double rate = 0;
  double seconds = 10;
  double deadline = 10;
  size_t pairs = 1000;
  uint32_t words = 50;
  std::string write_body;
};

std::vector<std::string> ReadTexts(const std::string& path) {
  if (path.empty()) return {"the cat is small"};
  std::ifstream file(path);
  std::vector<std::string> texts;
  for (std::string line; texts.size() < 50'000 && std::getline(file, line);) {
    if (line.find_first_not_of(' ') != std::string::npos) {
      texts.push_back(line);
    }
  }
  return texts;
}

std::vector<lm::v1::ScoreRequest> ScoreRequests(const Flags& flags) {
  std::vector<lm::v1::ScoreRequest> requests;
  const std::vector<std::string> texts = ReadTexts(flags.texts);
  for (size_t i = 0; i < texts.size(); i += flags.texts_per_call) {
    lm::v1::ScoreRequest& request = requests.emplace_back();
    request.set_model(flags.model);
    for (size_t j = 0; j < flags.texts_per_call; ++j) {
      request.add_texts()->set_text(texts[(i + j) % texts.size()]);
    }
  }
  return requests;
}

// The processor time of a process so far, in seconds.
double ProcessorSeconds(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  // The name of the program, in parentheses, may have spaces.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  constexpr int kBeforeTimes = 11;
  for (int i = 0; i < kBeforeTimes; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// The processor time of the two sides.
struct ProcessorTimes {
  double client, server;
};

ProcessorTimes Now(const Flags& flags) {
  return {ProcessorSeconds(getpid()),
          flags.server_pid == 0 ? 0 : ProcessorSeconds(flags.server_pid)};
}

// Writes the body of a call in its form on the wire, for other load generators.
void WriteBody(const Flags& flags) {
  lm::v1::ScoreRequest request;
  request.set_model(flags.model);
  request.add_texts()->set_text(ReadTexts(flags.texts).front());
  const std::string message = request.SerializeAsString();
  std::string body = {0, 0, 0, static_cast<char>(message.size() >> 8),
                      static_cast<char>(message.size())};
  std::ofstream(flags.write_body, std::ios::binary) << body + message;
}

void Print(const Flags& flags, const LoadResult& result,
           const ProcessorTimes& begin) {
  const ProcessorTimes end = Now(flags);
  nlohmann::ordered_json line = {{"what", flags.what}, {"model", flags.model}};
  if (!flags.http.empty()) line["over"] = "http";
  if (flags.rate > 0) {
    line["offered_per_second"] = flags.rate;
  } else {
    line["concurrency"] = flags.what == "decode" ? 1 : flags.concurrency;
  }
  line["ok_per_second"] =
      static_cast<double>(result.calls(grpc::OK)) / flags.seconds;
  if (result.work() > 0) {
    line["work_per_second"] =
        static_cast<double>(result.work()) / flags.seconds;
  }
  // Per call or, where calls have work, per unit of it.
  const auto count = static_cast<double>(
      result.work() > 0 ? result.work() : result.calls(grpc::OK));
  if (count > 0) {
    line["client_us_each"] = (end.client - begin.client) / count * 1e6;
    if (flags.server_pid != 0) {
      line["server_us_each"] = (end.server - begin.server) / count * 1e6;
    }
  }
  for (size_t i = 0; i < std::size(kCodes); ++i) {
    if (result.calls(kCodes[i]) == 0) continue;
    nlohmann::ordered_json& of = line[kNames[i]];
    of["calls"] = result.calls(kCodes[i]);
    const std::pair<const char*, double> quantiles[] = {
        {"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"max_ms", 1}};
    for (const auto& [name, share] : quantiles) {
      of[name] = result.Quantile(kCodes[i], share) * 1e3;
    }
  }
  std::cout << line.dump() << std::endl;
}

// Only with the fields that are set, as clients send them.
std::string ScoreJson(const lm::v1::ScoreRequest& request) {
  std::string json = R"({"model":)";
  AppendJsonString(request.model(), &json);
  const char* separator = R"(,"texts":[{"text":)";
  for (const lm::v1::Text& text : request.texts()) {
    json += std::exchange(separator, R"(},{"text":)");
    AppendJsonString(text.text(), &json);
  }
  return json + "}]}";
}

void RunOverHttp(const Flags& flags) {
  std::vector<std::string> requests;
  if (flags.what == "generate") {
    std::string model;
    AppendJsonString(flags.model, &model);
    for (uint64_t seed = 0; seed < 10'000; ++seed) {
      requests.push_back(
          HttpPost("/lm/v1/generate",
                   absl::StrCat(R"({"model":)", model, R"(,"maxWords":)",
                                flags.words, R"(,"seed":")", seed, R"("})"),
                   "text/event-stream"));
    }
  } else {
    for (const lm::v1::ScoreRequest& request : ScoreRequests(flags)) {
      requests.push_back(HttpPost("/lm/v1/score", ScoreJson(request)));
    }
  }
  LoadResult result;
  const ProcessorTimes begin = Now(flags);
  RunHttp(flags.http, requests, flags.concurrency,
          flags.what == "generate" ? "\"word\":{" : "",
          std::chrono::duration<double>(flags.seconds), &result);
  Print(flags, result, begin);
}

void Run(const Flags& flags) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (size_t i = 0; i < flags.channels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channels.push_back(grpc::CreateCustomChannel(
        flags.server, grpc::InsecureChannelCredentials(), arguments));
    channels.back()->WaitForConnected(std::chrono::system_clock::now() +
                                      std::chrono::seconds(5));
  }
  const std::chrono::duration<double> time(flags.seconds);
  LoadResult result;
  ProcessorTimes begin = Now(flags);
  if (flags.what == "generate") {
    RunGenerate(channels, flags.model, flags.words, flags.concurrency, time,
                &result);
  } else if (flags.what == "decode") {
    RunDecode(channels[0], flags.model, flags.pairs, time, &result);
  } else {
    UnaryLoad load;
    load.deadline =
        std::chrono::milliseconds(static_cast<int64_t>(flags.deadline * 1000));
    if (flags.what == "score") {
      load.method = "/lm.v1.LanguageModelService/Score";
      for (const lm::v1::ScoreRequest& request : ScoreRequests(flags)) {
        SerializeMessage(request, &load.requests.emplace_back());
      }
    } else {
      load.method = "/grpc.health.v1.Health/Check";
      load.requests.resize(1);
      SerializeMessage(lm::v1::ListModelsRequest(), &load.requests[0]);
    }
    begin = Now(flags);
    if (flags.rate > 0) {
      RunOpen(channels, load, flags.rate, time, &result);
    } else {
      RunClosed(channels, load, flags.concurrency, time, &result);
    }
  }
  Print(flags, result, begin);
}

void AddFlags(cli::App& app, Flags* flags) {
  const auto add = [&](const char* name, auto* value, const char* what) {
    return app.add_option(name, *value, what)->capture_default_str();
  };
  add("--server", &flags->server, "Address of the server");
  add("--http", &flags->http,
      "Address of the server's HTTP, as numbers; calls go there instead. Only "
      "score and generate, in a closed loop, with a connection per call");
  add("--server-pid", &flags->server_pid,
      "Process of the server, on this machine: its processor time per call is "
      "printed, too");
  add("--what", &flags->what,
      "Calls to make: score, health (an empty call), generate or decode")
      ->check(cli::IsMember({"score", "health", "generate", "decode"}));
  add("--model", &flags->model, "Name of the model");
  add("--texts", &flags->texts, "File of texts to score, one per line");
  add("--texts-per-call", &flags->texts_per_call, "Texts per call");
  add("--channels", &flags->channels, "Number of connections");
  add("--concurrency", &flags->concurrency, "Calls or streams at a time");
  add("--rate", &flags->rate,
      "Calls per second, sent at random times whether or not earlier ones have "
      "ended; 0: keep --concurrency calls in progress");
  add("--seconds", &flags->seconds, "Duration");
  add("--deadline", &flags->deadline, "Deadline of a call, in seconds");
  add("--pairs", &flags->pairs, "(state, word) pairs per Decode request");
  add("--words", &flags->words, "Maximum number of words of a generated text");
  add("--write-body", &flags->write_body,
      "Only write the body of a Score call to this file");
}

}  // namespace
}  // namespace lmserve

// Any other exception of CLI11 than ParseError is a bug in this program.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  lmserve::cli::App app("Puts load on a running lm_server.", "lmserve_load");
  lmserve::Flags flags;
  lmserve::AddFlags(app, &flags);
  app.set_version_flag("--version", lmserve::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const lmserve::cli::ParseError& error) {
    return app.exit(error);
  }
  if (!flags.write_body.empty()) {
    lmserve::WriteBody(flags);
  } else if (!flags.http.empty()) {
    lmserve::RunOverHttp(flags);
  } else {
    lmserve::Run(flags);
  }
  return 0;
}
