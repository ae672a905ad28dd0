// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/http_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr absl::string_view kLineEnd = "\r\n";

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

grpc::StatusCode CodeOf(int http_code) {
  switch (http_code) {
    case 200:
      return grpc::OK;
    case 400:
      return grpc::INVALID_ARGUMENT;
    case 404:
      return grpc::NOT_FOUND;
    case 413:
    case 429:
      return grpc::RESOURCE_EXHAUSTED;
    case 500:
      return grpc::INTERNAL;
    case 503:
      return grpc::UNAVAILABLE;
    case 504:
      return grpc::DEADLINE_EXCEEDED;
    default:
      return grpc::UNKNOWN;
  }
}

// A response as it comes.
class HttpResponseReader {
 public:
  // Uses bytes of the server. Returns whether the response is complete.
  bool Put(absl::string_view bytes) {
    in_.append(bytes.data(), bytes.size());
    if (!has_head_ && !ReadHead()) return false;
    if (!is_chunked_) {
      if (in_.size() < length_) return false;
      body_ = std::move(in_);
      return true;
    }
    return ReadChunks();
  }

  int code() const { return code_; }
  bool closes() const { return closes_; }
  const std::string& body() const { return body_; }

 private:
  bool ReadHead() {
    const size_t end = in_.find("\r\n\r\n");
    if (end == in_.npos) return false;
    has_head_ = true;
    absl::string_view head(in_.data(), end + kLineEnd.size());
    constexpr size_t kCodeAt = 9;  // after "HTTP/1.1 "
    if (!absl::SimpleAtoi(head.substr(kCodeAt, 3), &code_)) code_ = 0;
    while (!head.empty()) {
      absl::string_view line = head.substr(0, head.find(kLineEnd));
      head.remove_prefix(line.size() + kLineEnd.size());
      if (absl::ConsumePrefix(&line, "Content-Length: ")) {
        if (!absl::SimpleAtoi(line, &length_)) code_ = 0;
      } else if (line == "Transfer-Encoding: chunked") {
        is_chunked_ = true;
      } else if (line == "Connection: close") {
        closes_ = true;
      }
    }
    in_.erase(0, end + 2 * kLineEnd.size());
    return true;
  }

  bool ReadChunks() {
    size_t used = 0;
    bool is_last = false;
    while (!is_last) {
      const size_t line_end = in_.find(kLineEnd.data(), used);
      if (line_end == in_.npos) break;
      const size_t size = std::strtoull(in_.c_str() + used, nullptr, 16);
      const size_t begin = line_end + kLineEnd.size();
      if (in_.size() < begin + size + kLineEnd.size()) break;
      body_.append(in_, begin, size);
      used = begin + size + kLineEnd.size();
      is_last = size == 0;
    }
    in_.erase(0, used);
    return is_last;
  }

  std::string in_, body_;
  bool has_head_ = false, is_chunked_ = false, closes_ = false;
  int code_ = 0;
  size_t length_ = 0;
};

int Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  uint32_t port = 0;
  if (colon == address.npos ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    errno = EINVAL;
    Die(address.c_str());
  }
  to.sin_port = htons(static_cast<uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 ||
      connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    Die(address.c_str());
  }
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

// Connections that repeat requests.
class HttpClients {
 public:
  HttpClients(const std::string& address,
              const std::vector<std::string>& requests, size_t count,
              absl::string_view word, LoadResult* result)
      : address_(address),
        requests_(requests),
        word_(word),
        result_(result),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        connections_(count) {}
  ~HttpClients() {
    for (const Connection& connection : connections_) {
      if (connection.fd >= 0) close(connection.fd);
    }
    close(epoll_);
  }
  HttpClients(const HttpClients&) = delete;
  HttpClients& operator=(const HttpClients&) = delete;

  void Run(std::chrono::duration<double> time) {
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
    for (size_t i = 0; i < connections_.size(); ++i) Send(i);
    std::array<epoll_event, 64> events;
    while (in_progress_ > 0) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) Receive(events[i].data.u64);
    }
  }

 private:
  struct Connection {
    int fd = -1;
    std::optional<HttpResponseReader> reader;
    Clock::time_point begin;
  };

  void Open(size_t i) {
    Connection& connection = connections_[i];
    connection.fd = Connect(address_);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = i;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
  }

  void Close(size_t i) { close(std::exchange(connections_[i].fd, -1)); }

  // Sends the next request. A request fits the buffer of an idle socket.
  void Send(size_t i) {
    Connection& connection = connections_[i];
    const std::string& request = requests_[next_++ % requests_.size()];
    connection.begin = Clock::now();
    connection.reader.emplace();
    ++in_progress_;
    if (connection.fd < 0) Open(i);
    if (send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      Finish(i, grpc::UNAVAILABLE);
    }
  }

  void Receive(size_t i) {
    std::array<char, 64 << 10> bytes;
    const ssize_t size =
        recv(connections_[i].fd, bytes.data(), bytes.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return Finish(i, grpc::UNAVAILABLE);
    HttpResponseReader& reader = *connections_[i].reader;
    if (!reader.Put({bytes.data(), static_cast<size_t>(size)})) return;
    Finish(i, CodeOf(reader.code()));
  }

  void Finish(size_t i, grpc::StatusCode code) {
    Connection& connection = connections_[i];
    const std::chrono::duration<double> time = Clock::now() - connection.begin;
    result_->Add(code, time.count());
    if (!word_.empty()) CountWords(connection.reader->body());
    if (code == grpc::UNAVAILABLE || connection.reader->closes()) Close(i);
    --in_progress_;
    if (Clock::now() < end_) Send(i);
  }

  void CountWords(absl::string_view body) {
    uint64_t words = 0;
    for (size_t at = body.find(word_); at != body.npos;
         at = body.find(word_, at + word_.size())) {
      ++words;
    }
    result_->AddWork(words);
  }

  const std::string& address_;
  const std::vector<std::string>& requests_;
  const absl::string_view word_;
  LoadResult* const result_;
  const int epoll_;
  std::vector<Connection> connections_;
  Clock::time_point end_;
  size_t in_progress_ = 0;
  size_t next_ = 0;
};

}  // namespace

std::string HttpPost(absl::string_view path, absl::string_view body,
                     absl::string_view accept) {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: localhost\r\n",
                      "Content-Type: application/json\r\nAccept: ", accept,
                      "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

void RunHttp(const std::string& address,
             const std::vector<std::string>& requests, size_t concurrency,
             absl::string_view word, std::chrono::duration<double> time,
             LoadResult* result) {
  HttpClients(address, requests, concurrency, word, result).Run(time);
}

}  // namespace lmserve
