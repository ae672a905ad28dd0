# SPDX-License-Identifier: Apache-2.0
"""Tests lm_store with a bucket, by rclone, and with a registry, by skopeo.

    bucket_test.py PROGRAMS CACHE

PROGRAMS is the directory of the programs, CACHE a folder for moto, a server of S3
for tests, which is installed from PyPI. Exits with 77 if rclone or moto is missing.
The test of the registry skips without skopeo and docker-registry.
"""

import concurrent.futures
import json
import logging
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

if len(sys.argv) != 3:
  sys.exit(__doc__)
if shutil.which("rclone") is None:
  pypi.skip("rclone is not installed")
pypi.enter(sys.argv[2], "moto[server]==5.2.5", "boto3")

# pylint: disable=wrong-import-position
import boto3
from moto.server import ThreadedMotoServer
from store_programs import Programs, files, problems_of_version

PROGRAMS = Programs(sys.argv[1])
BUCKET = "models"
REMOTE = f"test:{BUCKET}/a store"
KILLS = int(os.environ.get("LMSERVE_BUCKET_KILLS", "10"))


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as server:
    return server.getsockname()[1]


class BucketTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    port = free_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request
    cls.moto = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    cls.moto.start()
    cls.endpoint = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    cls.s3 = boto3.client("s3", endpoint_url=cls.endpoint,
                          region_name="us-east-1", **keys)
    # rclone is configured as docs/buckets.md says, and not by a file.
    cls.environment = {
        "RCLONE_CONFIG": "/nowhere", "RCLONE_CONFIG_TEST_TYPE": "s3",
        "AWS_CA_BUNDLE": None,  # rclone 1.60 fails with it
        "RCLONE_CONFIG_TEST_PROVIDER": "Other",
        "RCLONE_CONFIG_TEST_ENDPOINT": cls.endpoint,
        "RCLONE_CONFIG_TEST_ACCESS_KEY_ID": "key",
        "RCLONE_CONFIG_TEST_SECRET_ACCESS_KEY": "secret"}

  @classmethod
  def tearDownClass(cls):
    cls.moto.stop()

  def setUp(self):
    # pylint: disable=consider-using-with
    self._temporary = tempfile.TemporaryDirectory()
    self.addCleanup(self._temporary.cleanup)
    self.directory = pathlib.Path(self._temporary.name)
    self.s3.create_bucket(Bucket=BUCKET)
    self.addCleanup(self.empty_bucket)
    self.store = self.directory / "store"
    self.local = self.directory / "local"
    for words in (["cat", "dog"], ["cat", "dog", "small"]):
      PROGRAMS.train(self.store, "m", words)
    PROGRAMS.train(self.store, "n", ["big"])
    self.alias("stable", "m@1")

  def empty_bucket(self):
    for key in self.keys():
      self.s3.delete_object(Bucket=BUCKET, Key=key)
    self.s3.delete_bucket(Bucket=BUCKET)

  def keys(self):
    """Returns the keys of the bucket by the times of their last changes."""
    pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

  def object(self, path):
    answer = self.s3.get_object(Bucket=BUCKET, Key=f"a store/{path}")
    return answer["Body"].read()

  def alias(self, alias, model):
    code, _, errors = PROGRAMS.run("lm_trainer", "alias", alias, "--store",
                                   self.store, "--model", model)
    self.assertEqual(code, 0, errors)

  def run_store(self, *arguments, code=0):
    found, output, errors = PROGRAMS.run("lm_store", *arguments,
                                         env=self.environment)
    self.assertEqual(found, code, f"{output}\n{errors}")
    return output if code == 0 else errors

  def test_push_pull_verify_gc(self):
    output = self.run_store("push", self.store, REMOTE)
    self.assertEqual(output, "pushed m@1\npushed m@2\n"
                     "pushed the aliases of m\npushed n@1\n")
    self.assertEqual({key.removeprefix("a store/"): None for key in self.keys()},
                     dict.fromkeys(files(self.store)))
    self.assertEqual(self.run_store("push", self.store, REMOTE), "")
    output = self.run_store("pull", self.local, REMOTE)
    self.assertEqual(output, "pulled m@2\npulled m@1\npulled n@1\n"
                     "m@stable = m@1\n")
    self.assertEqual(files(self.local), files(self.store))
    self.assertEqual(self.run_store("pull", self.local, REMOTE), "")
    output = self.run_store("verify", self.local, REMOTE)
    self.assertEqual(output.count("whole, here and remote"), 3)
    self.alias("stable", "m@2")
    self.run_store("push", self.store, REMOTE)
    self.assertEqual(self.run_store("gc", REMOTE, "--keep", "1"),
                     "removed m@1\n")
    self.assertFalse([key for key in self.keys() if "/m/1/" in key])
    self.assertEqual(self.run_store("pull", self.local, REMOTE, "--newest", "1",
                                    "--remove-old"),
                     "m@stable = m@2\nremoved m@1\n")

  def test_damage_in_the_bucket(self):
    self.run_store("push", self.store, REMOTE)
    data = bytearray(self.object("m/2/ngram.bin"))
    data[100] ^= 1
    self.s3.put_object(Bucket=BUCKET, Key="a store/m/2/ngram.bin",
                       Body=bytes(data))
    errors = self.run_store("verify", self.store, REMOTE, code=1)
    self.assertIn("m@2: remote: m/2/ngram.bin: SHA-256", errors)
    errors = self.run_store("pull", self.local, REMOTE, code=1)
    self.assertIn("m@2: m/2/ngram.bin: SHA-256", errors)
    self.assertEqual(sorted(name.name for name in (self.local / "m").iterdir()
                            if name.name[0] != "."), ["1", "aliases.json"])

  def test_an_interrupted_push_goes_on(self):
    self.run_store("push", self.store, REMOTE, "--model", "m")
    self.s3.delete_object(Bucket=BUCKET, Key="a store/m/2/manifest.json")
    before = self.s3.head_object(Bucket=BUCKET, Key="a store/m/2/ngram.bin")
    errors = self.run_store("pull", self.local, REMOTE, "--require", "m@2",
                            code=1)
    self.assertIn("--require m@2", errors)
    self.run_store("push", self.store, REMOTE, "--model", "m")
    after = self.s3.head_object(Bucket=BUCKET, Key="a store/m/2/ngram.bin")
    self.assertEqual(before["LastModified"], after["LastModified"])
    self.run_store("pull", self.local, REMOTE, "--require", "m@2")

  def test_two_writers_of_one_number(self):
    other = self.directory / "other"
    shutil.copytree(self.store, other)
    for number in ("1", "2"):
      path = other / "m" / number / "manifest.json"
      manifest = json.loads(path.read_text("utf-8"))
      manifest["properties"]["of"] = "another training"
      path.write_text(json.dumps(manifest), "utf-8")
    with concurrent.futures.ThreadPoolExecutor() as pool:
      list(pool.map(
          lambda store: PROGRAMS.run("lm_store", "push", store, REMOTE,
                                     "--model", "m", "--no-aliases",
                                     env=self.environment),
          (self.store, other)))
    PROGRAMS.run("lm_store", "push", self.store, REMOTE, env=self.environment)
    PROGRAMS.run("lm_store", "pull", self.local, REMOTE, env=self.environment)
    for number in ("1", "2"):
      self.assertEqual(problems_of_version(self.local / "m" / number), [])

  def test_the_address_is_not_in_messages(self):
    secret = f":s3,provider=Other,secret_access_key=hush,endpoint='{self.endpoint}':"
    errors = self.run_store("pull", self.local, f"{secret}{BUCKET}",
                            "--attempts", "1", code=1)
    self.assertNotIn("hush", errors)

  def test_a_bucket_that_cannot_be_reached(self):
    environment = {**self.environment,
                   "RCLONE_CONFIG_TEST_ENDPOINT": "http://127.0.0.1:9"}
    code, _, errors = PROGRAMS.run(
        "lm_store", "pull", self.local, REMOTE, "--attempts", "2",
        "--rclone-option=--low-level-retries=1", env=environment)
    self.assertEqual(code, 1, errors)
    self.assertIn("trying again", errors)

  def test_killed_sync(self):
    self.run_store("push", self.store, REMOTE)
    draw = random.Random(1)
    for _ in range(KILLS):
      process = PROGRAMS.start("lm_store", "sync", self.local, REMOTE,
                               "--interval", "0.01", env=self.environment,
                               stdout=subprocess.DEVNULL)
      time.sleep(draw.uniform(0.05, 1.5))
      process.kill()
      process.wait()
      if not self.local.is_dir():
        continue
      for version in self.local.glob("*/[0-9]*"):
        self.assertEqual(problems_of_version(version), [])
      if draw.random() < 0.5:
        shutil.rmtree(self.local)
    self.run_store("pull", self.local, REMOTE)
    self.assertEqual(files(self.local), files(self.store))

  def test_registry(self):
    registry = shutil.which("docker-registry") or os.environ.get(
        "LMSERVE_DOCKER_REGISTRY")
    if registry is None or shutil.which("skopeo") is None:
      self.skipTest("docker-registry or skopeo is not installed")
    port = free_port()
    configuration = self.directory / "registry.yml"
    configuration.write_text(json.dumps({
        "version": 0.1, "http": {"addr": f"127.0.0.1:{port}"},
        "log": {"level": "error"},
        "storage": {"filesystem": {
            "rootdirectory": str(self.directory / "registry")}}}), "utf-8")
    with subprocess.Popen([registry, "serve", configuration]) as process:
      try:
        self.push_to_registry(port)
      finally:
        process.terminate()

  def push_to_registry(self, port):
    end = time.monotonic() + 30
    while True:
      try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
      except ConnectionError:
        self.assertLess(time.monotonic(), end)
        time.sleep(0.05)
    layout = self.directory / "m.oci"
    output = self.run_store("export-oci", self.store, "m@stable", layout)
    self.assertEqual(output, f"{layout}:1\n")
    image = f"docker://127.0.0.1:{port}/m:1"
    back = self.directory / "back.oci"
    for command in (["--dest-tls-verify=false", f"oci:{layout}:1", image],
                    ["--src-tls-verify=false", image, f"oci:{back}:1"]):
      subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet",
                      "--preserve-digests", *command],
                     check=True)
    index = json.loads((back / "index.json").read_text("utf-8"))
    # The digest is still that of the layout.
    self.assertEqual(
        index["manifests"][0]["digest"],
        json.loads((layout / "index.json").read_text("utf-8"))
        ["manifests"][0]["digest"])
    blobs = back / "blobs"
    manifest = json.loads(
        (blobs / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    with tarfile.open(
        blobs / manifest["layers"][0]["digest"].replace(":", "/")) as tar:
      tar.extractall(self.directory / "image")
    version = self.directory / "image" / "models" / "m" / "1"
    self.assertEqual(problems_of_version(version), [])
    self.assertEqual(files(version), files(self.store / "m" / "1"))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
