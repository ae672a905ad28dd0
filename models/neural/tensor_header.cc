// SPDX-License-Identifier: Apache-2.0
#include "models/neural/tensor_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr absl::string_view kMetadata = "__metadata__";

constexpr std::array kTypes = {
    TensorType::kBool, TensorType::kU8,  TensorType::kI8,   TensorType::kI16,
    TensorType::kU16,  TensorType::kF16, TensorType::kBf16, TensorType::kI32,
    TensorType::kU32,  TensorType::kF32, TensorType::kF64,  TensorType::kI64,
    TensorType::kU64};

std::optional<TensorType> TypeOf(absl::string_view name) {
  for (TensorType type : kTypes) {
    if (name == TensorTypeName(type)) return type;
  }
  return std::nullopt;
}

// Handles the events of the JSON parser one by one and stops at the first
// unexpected event. So the form of a header bounds depth and memory.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  absl::StatusOr<TensorHeader> Read(absl::string_view json) {
    const char* begin = json.data();
    const bool done =
        nlohmann::json::sax_parse(begin, begin + json.size(), this);
    if (!done) return status_;
    return std::move(header_);
  }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(int64_t value) override {
    return Unexpected(absl::StrCat(value));
  }
  bool number_float(double, const std::string& text) override {
    return Unexpected(text.substr(0, 40));
  }
  bool binary(nlohmann::json::binary_t&) override {
    return Unexpected("bytes");
  }

  bool start_object(size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kNames;
    } else if (place_ != Place::kNames) {
      return Unexpected("an object");
    } else if (name_ == kMetadata) {
      place_ = Place::kMetadata;
    } else {
      place_ = Place::kTensor;
      fields_.clear();
      header_.tensors.emplace_back().name = name_;
    }
    return true;
  }

  bool key(std::string& key) override {
    if (place_ == Place::kNames) {
      name_ = key;
      field_.clear();
      if (!names_.insert(key).second) return Duplicate("name");
      return true;
    }
    field_ = key;
    if (place_ == Place::kMetadata) {
      return !header_.metadata.contains(key) || Duplicate("key");
    }
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return Fail("dtype, shape and data_offsets", QuoteTensor(key));
    }
    return fields_.insert(key).second || Duplicate("field");
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace(field_, std::move(value));
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") {
      return Unexpected("a string");
    }
    const auto type = TypeOf(value);
    if (!type) return Fail("a known dtype", QuoteTensor(value));
    header_.tensors.back().type = *type;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") {
      return Unexpected("a list");
    }
    place_ = Place::kNumbers;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kNumbers || value > kMaxNumber) {
      return Unexpected(absl::StrCat(value));
    }
    numbers_.push_back(static_cast<int64_t>(value));
    const bool is_shape = field_ == "shape";
    if (numbers_.size() > (is_shape ? kMaxTensorRank : 2)) {
      return is_shape ? Fail(absl::StrCat("at most ", kMaxTensorRank), "more")
                      : Fail("2 numbers", "more");
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    TensorHeader::Tensor& tensor = header_.tensors.back();
    if (field_ == "shape") {
      tensor.shape = numbers_;
      return true;
    }
    if (numbers_.size() != 2) {
      return Fail("2 numbers", absl::StrCat(numbers_.size()));
    }
    tensor.begin = numbers_[0];
    tensor.end = numbers_[1];
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor && fields_.size() != 3) {
      field_.clear();
      return Fail("dtype, shape and data_offsets",
                  absl::StrCat(fields_.size(), " of them"));
    }
    place_ = place_ == Place::kNames ? Place::kOutside : Place::kNames;
    return true;
  }

  bool parse_error(size_t position, const std::string& text,
                   const nlohmann::json::exception&) override {
    constexpr size_t kShown = 20;  // bytes before the error
    status_ = TensorFileError(
        absl::StrCat("header before byte ", sizeof(uint64_t) + position),
        "JSON",
        QuoteTensor(text.substr(text.size() - std::min(text.size(), kShown))));
    return false;
  }

 private:
  // The innermost JSON value that the parser is in.
  enum class Place {
    kOutside,   // none
    kNames,     // the header: an object from names to tensors
    kMetadata,  // an object from keys to strings
    kTensor,    // an object with the three fields of a tensor
    kNumbers,   // the list in one of these fields
  };

  static constexpr uint64_t kMaxNumber = std::numeric_limits<int64_t>::max();

  std::string Where() const {
    if (place_ == Place::kOutside) return "header";
    return absl::StrCat(
        name_ == kMetadata ? "" : "tensor ", QuoteTensor(name_),
        field_.empty() ? "" : absl::StrCat(": ", QuoteTensor(field_)));
  }

  bool Fail(absl::string_view expected, absl::string_view found) {
    status_ = TensorFileError(Where(), expected, found);
    return false;
  }

  bool Duplicate(absl::string_view what) {
    return Fail(absl::StrCat("a unique ", what), "a duplicate");
  }

  bool Unexpected(absl::string_view found) {
    switch (place_) {
      case Place::kOutside:
      case Place::kNames:
        return Fail("an object", found);
      case Place::kMetadata:
        return Fail("a string", found);
      case Place::kTensor:
        return Fail(field_ == "dtype" ? "a string" : "a list", found);
      case Place::kNumbers:
        return Fail("integers from 0 to 2^63 - 1", found);
    }
    return false;
  }

  Place place_ = Place::kOutside;
  std::string name_;   // the current tensor, or "__metadata__"
  std::string field_;  // the current field or key in it
  absl::flat_hash_set<std::string> names_;
  absl::flat_hash_set<std::string> fields_;  // fields found in the tensor
  std::vector<int64_t> numbers_;
  TensorHeader header_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<TensorHeader> TensorHeader::Parse(absl::string_view json) {
  if (json.empty() || json[0] != '{') {
    return TensorFileError("header", "'{' at the start", QuoteTensor(json));
  }
  // The parser would take a NUL byte for the end of the text.
  if (json.find('\0') != json.npos) {
    return TensorFileError("header", "JSON", "a NUL byte");
  }
  return HeaderReader().Read(json);
}

std::string TensorHeader::ToJson() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[std::string(kMetadata)] = metadata;
  for (const Tensor& tensor : tensors) {
    json[tensor.name] = {{"dtype", std::string(TensorTypeName(tensor.type))},
                         {"shape", tensor.shape},
                         {"data_offsets", {tensor.begin, tensor.end}}};
  }
  return json.dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

std::string QuoteTensor(absl::string_view name) {
  constexpr size_t kMaxShown = 100;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kMaxShown)),
                      name.size() > kMaxShown ? "...'" : "'");
}

absl::Status TensorFileError(absl::string_view where,
                             absl::string_view expected,
                             absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat(
      "safetensors: ", where, ": expected ", expected, ", found ", found));
}

}  // namespace lmserve
