// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/quoted.h"

namespace lmserve {
namespace {

using Kind = TorchPickle::Kind;

constexpr absl::string_view kPickleFile = "data.pkl";

template <typename... Parts>
absl::Status BadTorch(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Returns the number of numbers in a tensor. Fails unless each of them is one
// of the `size` numbers of its storage, and there are no more than these.
absl::StatusOr<int64_t> CheckedCount(const TorchPickle::Tensor& tensor,
                                     int64_t size) {
  int64_t count = 1;
  int64_t last = tensor.offset;
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) !=
      tensor.shape.end()) {
    return 0;
  }
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const int64_t dimension = tensor.shape[i], stride = tensor.strides[i];
    if (dimension > size / count ||
        (stride > 0 && dimension - 1 > (size - last) / stride)) {
      return BadTorch("expected a part of the ", size,
                      " numbers of its storage, found more");
    }
    count *= dimension;
    last += (dimension - 1) * stride;
  }
  if (last >= size) {
    return BadTorch("expected a part of the ", size,
                    " numbers of its storage, found number ", last);
  }
  return count;
}

// Whether the numbers of a tensor are adjacent and row-major.
bool IsContiguous(const TorchPickle::Tensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Copies the numbers of a tensor, row-major. REQUIRES: CheckedCount() is
// `count`.
std::string CopyNumbers(const TorchPickle::Tensor& tensor, int64_t count,
                        absl::string_view storage, size_t number_bytes) {
  std::string copy(count * number_bytes, '\0');
  std::vector<int64_t> index(tensor.shape.size());
  int64_t at = tensor.offset;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(copy.data() + i * number_bytes,
                storage.data() + at * number_bytes, number_bytes);
    for (size_t d = index.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.shape[d] * tensor.strides[d];
      index[d] = 0;
    }
  }
  return copy;
}

}  // namespace

absl::StatusOr<TorchFile> TorchFile::Parse(absl::string_view bytes) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Parse(bytes);
  if (!archive.ok()) return archive.status();
  const std::pair<const std::string, absl::string_view>* pickle_file = nullptr;
  for (const auto& file : archive->files()) {
    if (absl::EndsWith(file.first, "/constants.pkl")) {
      return BadTorch(
          "expected a file of torch.save(), found a program of "
          "TorchScript; save its state_dict: "
          "torch.save(module.state_dict(), FILE)");
    }
    const bool is_pickle =
        absl::EndsWith(file.first, absl::StrCat("/", kPickleFile));
    if (!is_pickle) continue;
    if (pickle_file != nullptr) {
      return BadTorch("expected one file ", kPickleFile,
                      " in the archive, found two");
    }
    pickle_file = &file;
  }
  if (pickle_file == nullptr) {
    return BadTorch("expected a file FOLDER/", kPickleFile,
                    " in the archive, found none");
  }
  std::string folder = pickle_file->first.substr(
      0, pickle_file->first.size() - kPickleFile.size());
  const auto order = archive->files().find(folder + "byteorder");
  if (order != archive->files().end() && order->second != "little") {
    return BadTorch("byteorder: expected little, found ",
                    Quoted(order->second));
  }
  absl::StatusOr<TorchPickle> pickle = TorchPickle::Parse(pickle_file->second);
  if (!pickle.ok()) return pickle.status();
  return TorchFile(*std::move(archive), *std::move(pickle), std::move(folder));
}

const TorchPickle::Value* TorchFile::Find(const TorchPickle::Value& dictionary,
                                          absl::string_view key) const {
  for (size_t i = 0; i < dictionary.items.size(); i += 2) {
    const TorchPickle::Value& found = pickle_.value(dictionary.items[i]);
    if (found.kind == Kind::kString && found.text == key) {
      return &pickle_.value(dictionary.items[i + 1]);
    }
  }
  return nullptr;
}

std::string TorchFile::KeysOf(const TorchPickle::Value& dictionary) const {
  constexpr size_t kMostKeys = 10;
  std::string keys;
  for (size_t i = 0; i < dictionary.items.size() && i / 2 < kMostKeys; i += 2) {
    absl::StrAppend(&keys, i == 0 ? "" : ", ",
                    Quoted(pickle_.value(dictionary.items[i]).text));
  }
  if (dictionary.items.size() / 2 > kMostKeys) absl::StrAppend(&keys, ", ...");
  return keys;
}

absl::StatusOr<TorchTensors> TorchFile::StateDict(
    const std::vector<std::string>& keys) const {
  const TorchPickle::Value* dictionary = &pickle_.root();
  for (size_t i = 0; i <= keys.size(); ++i) {
    if (dictionary->kind != Kind::kDict) {
      return BadTorch("expected a dictionary, found ",
                      TorchPickle::Describe(dictionary->kind));
    }
    if (i == keys.size()) break;
    const TorchPickle::Value* found = Find(*dictionary, keys[i]);
    if (found == nullptr) {
      return BadTorch("expected the key ", Quoted(keys[i]), ", found ",
                      KeysOf(*dictionary));
    }
    dictionary = found;
  }
  TorchTensors tensors;
  for (size_t i = 0; i < dictionary->items.size(); i += 2) {
    const TorchPickle::Value& name = pickle_.value(dictionary->items[i]);
    const TorchPickle::Value& value = pickle_.value(dictionary->items[i + 1]);
    if (name.kind != Kind::kString) {
      return BadTorch("expected names of tensors as keys, found ",
                      TorchPickle::Describe(name.kind));
    }
    if (value.kind != Kind::kTensor) {
      return BadTorch(
          "key ", Quoted(name.text), ": expected a tensor, found ",
          TorchPickle::Describe(value.kind),
          "; if the state_dict is in a dictionary, name its key with "
          "--state-dict; the keys are ",
          KeysOf(*dictionary));
    }
    absl::Status status =
        AddTensor(name.text, pickle_.tensors()[value.number], &tensors);
    if (!status.ok()) {
      return BadTorch("tensor ", Quoted(name.text), ": ", status.message());
    }
  }
  return tensors;
}

absl::Status TorchFile::AddTensor(absl::string_view name,
                                  const TorchPickle::Tensor& tensor,
                                  TorchTensors* tensors) const {
  const TorchPickle::Storage& storage = pickle_.storages()[tensor.storage];
  const std::string file = absl::StrCat(folder_, "data/", storage.key);
  const auto found = archive_.files().find(file);
  if (found == archive_.files().end()) {
    return BadTorch("expected the file ", Quoted(file), ", found none");
  }
  const size_t bytes = TensorTypeSize(storage.type);
  if (found->second.size() % bytes != 0 ||
      found->second.size() / bytes != static_cast<uint64_t>(storage.size)) {
    return BadTorch("expected ", storage.size, " numbers of ", bytes,
                    " bytes in the file ", Quoted(file), ", found ",
                    found->second.size(), " bytes");
  }
  const absl::StatusOr<int64_t> count = CheckedCount(tensor, storage.size);
  if (!count.ok()) return count.status();
  TensorView view = {storage.type, tensor.shape, {}};
  if (*count > 0 && IsContiguous(tensor)) {
    view.bytes = found->second.substr(tensor.offset * bytes, *count * bytes);
  } else if (*count > 0) {
    view.bytes = tensors->copies.emplace_back(
        CopyNumbers(tensor, *count, found->second, bytes));
  }
  if (!tensors->tensors.emplace(std::string(name), std::move(view)).second) {
    return BadTorch("expected each name once, found it twice");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> TorchFile::Words() const {
  const TorchPickle::Value* value = &pickle_.root();
  if (value->kind == Kind::kDict) {
    const TorchPickle::Value* list = Find(*value, "itos");
    if (list != nullptr && list->kind == Kind::kList) value = list;
  }
  if (value->kind == Kind::kDict) {
    std::vector<std::pair<std::string, int64_t>> ids;
    for (size_t i = 0; i < value->items.size(); i += 2) {
      const TorchPickle::Value& word = pickle_.value(value->items[i]);
      const TorchPickle::Value& id = pickle_.value(value->items[i + 1]);
      if (word.kind != Kind::kString || id.kind != Kind::kInteger) {
        return BadTorch("expected words and their ids, found ",
                        TorchPickle::Describe(word.kind), " and ",
                        TorchPickle::Describe(id.kind));
      }
      ids.emplace_back(word.text, id.number);
    }
    return OrderWords(ids);
  }
  if (value->kind != Kind::kList) {
    return BadTorch(
        "expected a list of words or a dictionary from words to "
        "ids, found ",
        TorchPickle::Describe(value->kind));
  }
  std::vector<std::string> words;
  for (TorchPickle::Id item : value->items) {
    if (pickle_.value(item).kind != Kind::kString) {
      return BadTorch("word ", words.size(), ": expected a string, found ",
                      TorchPickle::Describe(pickle_.value(item).kind));
    }
    words.emplace_back(pickle_.value(item).text);
  }
  return words;
}

absl::StatusOr<std::vector<std::string>> OrderWords(
    const std::vector<std::pair<std::string, int64_t>>& ids) {
  std::vector<std::string> words(ids.size());
  std::vector<bool> has(ids.size());
  for (const auto& [word, id] : ids) {
    if (id < 0 || id >= static_cast<int64_t>(ids.size())) {
      return BadTorch("word ", Quoted(word), ": expected an id below ",
                      ids.size(), ", the number of words, found ", id);
    }
    if (has[id]) {
      return BadTorch("word ", Quoted(word), ": expected an id of its own, ",
                      "found ", id, ", that of ", Quoted(words[id]));
    }
    has[id] = true;
    words[id] = word;
  }
  return words;
}

}  // namespace lmserve
