// SPDX-License-Identifier: Apache-2.0
//
// lmserve_load: puts load on a running server and prints the results as one
// JSON object.

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command_line/cli.h"
#include "command_line/version.h"
#include "lm/v1/language_model.pb.h"
#include "server/rpc/wire.h"
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

std::vector<grpc::ByteBuffer> ScoreRequests(const Flags& flags) {
  std::vector<grpc::ByteBuffer> requests;
  const std::vector<std::string> texts = ReadTexts(flags.texts);
  for (size_t i = 0; i < texts.size(); i += flags.texts_per_call) {
    lm::v1::ScoreRequest request;
    request.set_model(flags.model);
    for (size_t j = 0; j < flags.texts_per_call; ++j) {
      request.add_texts()->set_text(texts[(i + j) % texts.size()]);
    }
    SerializeMessage(request, &requests.emplace_back());
  }
  return requests;
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

void Print(const Flags& flags, const LoadResult& result) {
  nlohmann::ordered_json line = {{"what", flags.what}, {"model", flags.model}};
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
      load.requests = ScoreRequests(flags);
    } else {
      load.method = "/grpc.health.v1.Health/Check";
      load.requests.resize(1);
      SerializeMessage(lm::v1::ListModelsRequest(), &load.requests[0]);
    }
    if (flags.rate > 0) {
      RunOpen(channels, load, flags.rate, time, &result);
    } else {
      RunClosed(channels, load, flags.concurrency, time, &result);
    }
  }
  Print(flags, result);
}

void AddFlags(cli::App& app, Flags* flags) {
  const auto add = [&](const char* name, auto* value, const char* what) {
    return app.add_option(name, *value, what)->capture_default_str();
  };
  add("--server", &flags->server, "Address of the server");
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
  if (flags.write_body.empty()) {
    lmserve::Run(flags);
  } else {
    lmserve::WriteBody(flags);
  }
  return 0;
}
