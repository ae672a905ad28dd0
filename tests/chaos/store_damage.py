# SPDX-License-Identifier: Apache-2.0
"""A store that is used and misused while a server serves it.

The functions of Store publish versions as a publisher does. Those in DAMAGES do
to the model "hurt" what disks, copies and people do to files. Each is a
function of a Store and a random.Random, waits for a moment where the damage
needs time, and returns a text that says what it did. Store.mend() ends the
damage.
"""

import errno
import json
import os
import pathlib
import shutil
import time

HURT = "hurt"
LASTS = 1.0  # seconds that a damage lasts at least


class Store:
  """A model store.

  Attributes:
    path: The directory of the store.
    book: The content of each version that was published, by (model, version).
  """

  def __init__(self, path, contents, owner=None):
    """Creates an empty store.

    Args:
      path: The directory, which does not exist.
      contents: Directories of good versions, by name of the content.
      owner: The number of the user who owns the files; None: this one.
    """
    self.path = pathlib.Path(path)
    self._contents, self._owner = contents, owner
    self.book = {}
    self.path.mkdir(parents=True)
    self._own(self.path)

  def _own(self, *paths):
    if self._owner is not None:
      for path in paths:
        os.chown(path, self._owner, self._owner, follow_symlinks=False)

  def own_tree(self, root):
    for directory, names, files in os.walk(root):
      self._own(directory, *(os.path.join(directory, name)
                             for name in names + files))

  def content_names(self):
    return list(self._contents)

  def content(self, name):
    return self._contents[name]

  def directory(self, model, version):
    return self.path / model / str(version)

  def newest(self, model):
    return max((version for name, version in self.book if name == model),
               default=0)

  def on_disk(self, model):
    """Returns the versions of a model on the disk, in ascending order."""
    return sorted(int(path.name) for path in (self.path / model).iterdir()
                  if path.name.isdigit())

  def publish(self, model, content, version=None):
    """Publishes a version under a hidden name, then renames it."""
    version = version or self.newest(model) + 1
    known = (model, version) in self.book
    self.book[model, version] = content
    parent = self.path / model
    if not parent.exists():
      parent.mkdir()
      self._own(parent)
    hidden = parent / f".publish-{version}"
    try:
      shutil.copytree(self._contents[content], hidden)
      self.own_tree(hidden)
      hidden.rename(parent / str(version))
    except OSError:
      shutil.rmtree(hidden, ignore_errors=True)
      if not known:
        del self.book[model, version]
      raise
    return version

  def copy_slowly(self, model, content, seconds):
    """Copies a version, part by part, to where it is visible."""
    version = self.newest(model) + 1
    self.book[model, version] = content
    directory = self.directory(model, version)
    directory.mkdir()
    self._own(directory)
    files = sorted(self._contents[content].iterdir())
    for source in files:
      data = source.read_bytes()
      half = len(data) // 2
      with open(directory / source.name, "wb") as file:
        for part in (data[:half], data[half:]):
          file.write(part)
          file.flush()
          time.sleep(seconds / len(files) / 2)
    self.own_tree(directory)
    return version

  def remove(self, model, version):
    """Removes a version from view at once, then from the disk."""
    path = self.directory(model, version)
    if path.is_symlink() or not path.is_dir():
      path.unlink(missing_ok=True)
      return
    hidden = path.with_name(f".removed-{version}")
    path.rename(hidden)
    hidden.chmod(0o755)
    shutil.rmtree(hidden)

  def mend(self, content):
    """Replaces all versions of "hurt" by a new good one; returns its number."""
    parent = self.path / HURT
    parent.chmod(0o755)
    old = [path.name for path in parent.iterdir()]
    used = [int(name) for name in old if name.isdigit()]
    version = self.publish(HURT, content,
                           max(self.newest(HURT), *used, 0) + 1)
    for name in old:
      if name.isdigit():
        self.remove(HURT, int(name))
    return version


def served(store):
  return store.directory(HURT, store.newest(HURT))


def truncate(store, random):
  """Shortens a served file in place."""
  path = random.choice(sorted(served(store).iterdir()))
  size = random.choice([0, 1, path.stat().st_size // 2])
  os.truncate(path, size)
  time.sleep(LASTS)
  return f"{path.name} to {size} bytes"


def overwrite(store, random):
  """Writes random bytes into a served file in place."""
  path = served(store) / "ngram.bin"
  size = path.stat().st_size
  with open(path, "r+b") as file:
    for _ in range(200):
      file.seek(random.randrange(size))
      file.write(random.randbytes(16)[:size - file.tell()])
  time.sleep(LASTS)
  return f"200 parts of {path.name}"


def overwrite_by_copy(store, random):
  """Copies another version's file over a served one, as cp does."""
  other = random.choice(store.content_names())
  source = store.content(other) / "ngram.bin"
  with open(served(store) / "ngram.bin", "wb") as file:
    time.sleep(0.3)
    file.write(source.read_bytes())
  time.sleep(LASTS)
  return f"ngram.bin by that of {other}"


def forbid(store, random):
  """Takes the permission to read a file or a directory."""
  directory = served(store)
  path = random.choice([directory, directory.parent,
                        directory / "manifest.json", directory / "ngram.bin"])
  mode = path.stat().st_mode
  path.chmod(0)
  time.sleep(LASTS)
  path.chmod(mode)
  return f"{path.relative_to(store.path)} for a moment"


def copy_in_progress(store, random):
  """Copies a new version to where the server sees it grow."""
  content = random.choice(store.content_names())
  version = store.copy_slowly(HURT, content, 2)
  return f"version {version}"


def broken_version(store, random):
  """Publishes a version with one wrong bit."""
  version = store.newest(HURT) + 1
  directory = store.directory(HURT, version)
  hidden = directory.with_name(".broken")
  shutil.copytree(store.content(store.content_names()[0]), hidden)
  path = random.choice(sorted(hidden.iterdir()))
  data = bytearray(path.read_bytes())
  bit = random.randrange(8 * len(data))
  data[bit // 8] ^= 1 << bit % 8
  path.write_bytes(data)
  store.own_tree(hidden)
  hidden.rename(directory)
  # The bit may be one that changes nothing, as in a comment of the manifest.
  store.book[HURT, version] = store.content_names()[0]
  time.sleep(LASTS)
  return f"{path.name} bit {bit}"


def strange_files(store, random):
  """Puts links, FIFOs and devices where files of a version must be."""
  version = store.newest(HURT) + 1
  directory = store.directory(HURT, version)
  hidden = directory.with_name(".strange")
  shutil.copytree(store.content(store.content_names()[0]), hidden)
  name = random.choice(sorted(path.name for path in hidden.iterdir()))
  path = hidden / name
  path.unlink()
  kind = random.choice(["fifo", "/dev/zero", "/dev/full", "/etc/shadow",
                        "itself", "nothing", "directory", "/proc/self/mem"])
  if kind == "fifo":
    os.mkfifo(path)
  elif kind == "directory":
    path.mkdir()
  elif kind == "itself":
    path.symlink_to(name)
  elif kind == "nothing":
    path.symlink_to("does-not-exist")
  else:
    path.symlink_to(kind)
  store.own_tree(hidden)
  hidden.rename(directory)
  time.sleep(LASTS)
  return f"{name} is {kind}"


def strange_versions(store, random):
  """Puts links and files where directories of versions must be."""
  version = store.newest(HURT) + 1
  path = store.directory(HURT, version)
  kind = random.choice(["itself", "/", "/proc/self/fd", "..", "file", "fifo"])
  if kind == "file":
    path.write_bytes(b"x")
  elif kind == "fifo":
    os.mkfifo(path)
  else:
    path.symlink_to(path.name if kind == "itself" else kind)
  time.sleep(LASTS)
  return f"version {version} is {kind}"


def huge_manifest(store, random):
  """Publishes manifests of a megabyte."""
  version = store.newest(HURT) + 1
  directory = store.directory(HURT, version)
  directory.mkdir()
  kind = random.choice(["nested", "files", "properties", "zeros"])
  text = {
      "nested": "[" * 1000000,
      "files": json.dumps({"format_version": 1, "family": "ngram", "files": [
          {"name": f"f{i}", "size": "9223372036854775807", "sha256": "0" * 64}
          for i in range(8000)]}),
      "properties": json.dumps({"format_version": 1, "properties": {
          f"\x1b[31m{i}": "\r\n" for i in range(30000)}}),
      "zeros": "\0" * 1000000,
  }[kind]
  (directory / "manifest.json").write_text(text, encoding="utf-8")
  store.own_tree(directory)
  time.sleep(LASTS)
  return kind


def remove_served(store, _random):
  """Deletes the served version."""
  shutil.rmtree(served(store))
  time.sleep(LASTS)
  return f"version {store.newest(HURT)}"


def strange_times(store, random):
  """Sets times of files far in the past and in the future."""
  seconds = random.choice([0, 2**31, 2**33])
  for path in served(store).iterdir():
    os.utime(path, (seconds, seconds))
  time.sleep(LASTS)
  return f"to {seconds}"


def aliases_in_place(store, random):
  """Writes aliases.json of "swap" in place, with a pause in the middle."""
  path = store.path / "swap" / "aliases.json"
  data = path.read_bytes()
  half = random.randrange(len(data))
  with open(path, "r+b") as file:
    file.truncate(0)
    time.sleep(LASTS / 2)
    file.write(data[:half])
    file.flush()
    time.sleep(LASTS)
    file.write(data[half:])
  return f"stopped after {half} of {len(data)} bytes"


def store_away(store, random):
  """Renames the store, and renames it back later."""
  return without_store(store, random, lambda: None)


def store_empty(store, random):
  """Mounts nothing where the store was: an empty directory."""
  return without_store(store, random, store.path.mkdir)


def without_store(store, random, replace):
  away = store.path.with_name("away")
  seconds = random.uniform(0.5, 2.5)
  store.path.rename(away)
  try:
    replace()
    time.sleep(seconds)
  finally:
    shutil.rmtree(store.path, ignore_errors=True)
    away.rename(store.path)
  return f"for {seconds:.1f} s"


def full_disk(store, random):
  """Fills the file system of the store and publishes into it."""
  filler = store.path.parent / "filler"
  try:
    with open(filler, "wb", buffering=0) as file:
      while True:
        file.write(b"x" * (1 << 20))
  except OSError as error:
    if error.errno != errno.ENOSPC:
      raise
  try:
    store.publish(HURT, random.choice(store.content_names()))
    result = "published"
  except (OSError, shutil.Error):
    result = "could not publish"
  time.sleep(LASTS)
  filler.unlink()
  return result


# Damages of the model "hurt" alone.
HURT_DAMAGES = (truncate, overwrite, overwrite_by_copy, forbid,
                copy_in_progress, broken_version, strange_files,
                strange_versions, huge_manifest, remove_served, strange_times)
# Damages that no call may notice.
UNNOTICED_DAMAGES = (aliases_in_place, store_away, store_empty, full_disk)
