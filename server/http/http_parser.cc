// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

absl::string_view View(string_view text) { return {text.data(), text.size()}; }

HttpError ErrorOf(const error_code& error) {
  if (error == http::error::header_limit) {
    return {431, "the head of the request is too long"};
  }
  if (error == http::error::bad_version) {
    return {505, "expected HTTP/1.1"};
  }
  return {400, absl::StrCat("not a valid HTTP request: ", error.message())};
}

// Splits the target of a request. Returns an error if it has no valid form.
std::optional<HttpError> SplitTarget(absl::string_view target,
                                     HttpRequest* request) {
  const HttpError invalid = {400, "expected a path as the target"};
  if (absl::StartsWithIgnoreCase(target, "http://") ||
      absl::StartsWithIgnoreCase(target, "https://")) {
    // In this form the authority of the target counts, not the field Host.
    target.remove_prefix(target.find("//") + 2);
    const size_t slash = target.find_first_of("/?");
    request->authority = std::string(target.substr(0, slash));
    target = slash == target.npos ? "/" : target.substr(slash);
    if (request->authority.empty() || target[0] != '/') return invalid;
  } else if (target.empty() || (target[0] != '/' && target != "*")) {
    return invalid;
  }
  const size_t question = target.find('?');
  request->path = std::string(target.substr(0, question));
  if (question != target.npos) {
    request->query = std::string(target.substr(question + 1));
  }
  return std::nullopt;
}

bool HasToken(absl::string_view list, absl::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const absl::string_view item =
        absl::StripAsciiWhitespace(list.substr(0, comma));
    if (absl::EqualsIgnoreCase(item, token)) return true;
    list = comma == list.npos ? "" : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

class HttpParser::Impl final : public http::basic_parser<true> {
 public:
  explicit Impl(const HttpHeadLimits& limits) : limits_(limits) {
    header_limit(static_cast<uint32_t>(limits.bytes));
    body_limit(boost::none);
  }

  std::optional<HttpError> Parse(absl::string_view bytes, size_t* used,
                                 std::string* body) {
    *used = 0;
    body_ = body;
    const bool had_head = is_header_done();
    while (*used < bytes.size() && !is_done() && is_header_done() == had_head) {
      const absl::string_view rest = bytes.substr(*used);
      error_code error;
      const size_t parsed =
          put(boost::asio::const_buffer(rest.data(), rest.size()), error);
      if (!had_head && IsFolded(rest.substr(0, parsed))) {
        return HttpError{400, "expected each field on one line"};
      }
      *used += parsed;
      if (!had_head && (head_bytes_ += parsed) > limits_.bytes) {
        return HttpError{431, "the head of the request is too long"};
      }
      if (own_error_.has_value()) return own_error_;
      if (error == http::error::need_more) {
        if (rest.size() - parsed < limits_.bytes) break;
        return HttpError{431, "the head of the request is too long"};
      }
      if (error) return ErrorOf(error);
    }
    if (!had_head && is_header_done()) return CheckHead();
    return std::nullopt;
  }

  HttpRequest& request() { return request_; }

 private:
  // Whether a line of the fields continues the one before. Each call of put()
  // uses whole lines.
  static bool IsFolded(absl::string_view lines) {
    return absl::StrContains(lines, "\n ") || absl::StrContains(lines, "\n\t");
  }

  // Reports an error of ours by the parser.
  void Fail(int code, absl::string_view message, error_code& error) {
    own_error_ = HttpError{code, std::string(message)};
    error = http::error::bad_value;
  }

  void on_request_impl(http::verb /*verb*/, string_view method,
                       string_view target, int version,
                       error_code& error) override {
    request_.method = std::string(View(method));
    request_.is_http_1_0 = version == 10;
    const auto problem = SplitTarget(View(target), &request_);
    if (problem.has_value()) Fail(problem->code, problem->message, error);
    if (target.size() > limits_.bytes / 2) {
      Fail(414, "the target of the request is too long", error);
    }
  }

  void on_response_impl(int, string_view, int, error_code&) override {}

  void on_field_impl(http::field /*field*/, string_view name, string_view value,
                     error_code& error) override {
    if (++fields_ > limits_.fields) {
      return Fail(431, "the request has too many fields", error);
    }
    if (is_header_done()) {
      trailer_bytes_ += name.size() + value.size();
      if (trailer_bytes_ > limits_.bytes) {
        Fail(431, "the trailers of the request are too long", error);
      }
      return;
    }
    request_.fields.push_back(
        {absl::AsciiStrToLower(View(name)), std::string(View(value))});
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&,
                         error_code&) override {}

  size_t on_body_impl(string_view bytes, error_code&) override {
    body_->append(bytes.data(), bytes.size());
    return bytes.size();
  }

  void on_chunk_header_impl(uint64_t /*size*/, string_view extensions,
                            error_code& error) override {
    if (!extensions.empty()) {
      Fail(400, "expected chunks without extensions", error);
    }
  }

  size_t on_chunk_body_impl(uint64_t /*remain*/, string_view bytes,
                            error_code&) override {
    body_->append(bytes.data(), bytes.size());
    return bytes.size();
  }

  void on_finish_impl(error_code&) override {}

  // Checks what the fields say of the message, more strictly than Beast.
  std::optional<HttpError> CheckHead() {
    size_t hosts = 0, lengths = 0, codings = 0;
    absl::string_view host, length, coding, connection;
    for (const HttpField& field : request_.fields) {
      const auto note = [&](absl::string_view name, size_t* count,
                            absl::string_view* value) {
        if (field.name != name) return;
        ++*count;
        *value = field.value;
      };
      note("host", &hosts, &host);
      note("content-length", &lengths, &length);
      note("transfer-encoding", &codings, &coding);
      if (field.name == "connection") {
        closes_ = closes_ || HasToken(field.value, "close");
        keeps_ = keeps_ || HasToken(field.value, "keep-alive");
      }
    }
    if (hosts > 1 || (hosts == 0 && !request_.is_http_1_0)) {
      return HttpError{400,
                       absl::StrCat("expected one field Host, found ", hosts)};
    }
    if (request_.authority.empty()) request_.authority = std::string(host);
    if (lengths + codings > 1) {
      return HttpError{400, "expected one length of the body, found several"};
    }
    if (codings == 1 &&
        (request_.is_http_1_0 || !absl::EqualsIgnoreCase(coding, "chunked"))) {
      return HttpError{400, "expected no Transfer-Encoding but chunked"};
    }
    uint64_t bytes = 0;
    if (lengths == 1 &&
        (length.find_first_not_of("0123456789") != length.npos ||
         !absl::SimpleAtoi(length, &bytes))) {
      return HttpError{400, "expected a number as the Content-Length"};
    }
    request_.body_bytes = bytes;
    if (codings == 1) request_.body_bytes = std::nullopt;
    request_.keeps_alive = !closes_ && (!request_.is_http_1_0 || keeps_);
    const absl::string_view expected = request_.Field("expect");
    request_.expects_continue =
        absl::EqualsIgnoreCase(expected, "100-continue");
    if (!expected.empty() && !request_.expects_continue) {
      return HttpError{417, "expected no Expect but 100-continue"};
    }
    return std::nullopt;
  }

  const HttpHeadLimits limits_;
  HttpRequest request_;
  std::optional<HttpError> own_error_;
  std::string* body_ = nullptr;
  size_t head_bytes_ = 0;
  size_t fields_ = 0;
  size_t trailer_bytes_ = 0;
  bool closes_ = false;
  bool keeps_ = false;
};

HttpParser::HttpParser(const HttpHeadLimits& limits)
    : impl_(std::make_unique<Impl>(limits)) {}

HttpParser::~HttpParser() = default;

std::optional<HttpError> HttpParser::Put(absl::string_view bytes, size_t* used,
                                         std::string* body) {
  return impl_->Parse(bytes, used, body);
}

bool HttpParser::has_head() const { return impl_->is_header_done(); }

bool HttpParser::is_done() const { return impl_->is_done(); }

HttpRequest& HttpParser::request() { return impl_->request(); }

}  // namespace lmserve
