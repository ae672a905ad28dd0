# SPDX-License-Identifier: Apache-2.0
"""Tests the Helm chart: what it renders, and that the programs understand it.

    chart_test.py PROGRAMS CACHE

PROGRAMS is the directory of the programs, CACHE a folder for packages of PyPI. Exits
with 77 if they cannot be installed. There is no Kubernetes API server: the objects
are checked against the schemas of its versions.
"""

import copy
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

if len(sys.argv) != 3:
  sys.exit(__doc__)
pypi.enter(sys.argv[2], "helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0",
           "PyYAML")

# pylint: disable=wrong-import-position
import charts
import helm_python
import kubernetes_validate
import yaml

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
# Kinds of other projects, whose schemas are not Kubernetes'.
OTHERS = {"ServiceMonitor", "PrometheusRule", "Certificate", "GRPCRoute"}
CLAIM = {"models": {"pvc": {"existingClaim": "models"}}}

# For values whose alternatives cannot be guessed.
ALTERNATIVES = {
    "image.digest": "sha256:" + "0" * 64,
    "image.pullPolicy": "Always",
    "models.source": "pvc",
    "models.require": ["fr"],
    "models.pvc.accessModes": ["ReadWriteOnce"],
    "models.pvc.size": "11Gi",
    "models.sync.models": ["fr"],
    "models.sync.rcloneOptions": ["--fast-list"],
    "models.sync.env": [{"name": "A", "value": "b"}],
    "models.sync.envFrom": [{"configMapRef": {"name": "x"}}],
    "models.sync.image.digest": "sha256:" + "0" * 64,
    "models.sync.sizeLimit": "11Gi",
    "models.image.pullPolicy": "Always",
    "server.logFormat": "text",
    "server.logLevel": "debug",
    "server.options": {"keep": 7},
    "service.type": "NodePort",
    "tls.certManager.issuerRef": {"name": "other"},
    "metrics.serviceMonitor.interval": "61s",
    "traces.endpoint": "other:4318",
    "traces.sample": 0.5,
    "networkPolicy.clients": [{"podSelector": {"matchLabels": {"a": "b"}}}],
    "networkPolicy.monitoring": [{"podSelector": {"matchLabels": {"a": "b"}}}],
    "networkPolicy.bucketEgress": [{"ports": [{"port": 9000}]}],
    "networkPolicy.collectorEgress": [{"ports": [{"port": 9001}]}],
    "grpcRoute.parentRefs": [{"name": "other"}],
    "imagePullSecrets": [{"name": "x"}],
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraVolumes": [{"name": "x", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
    "extraContainers": [{"name": "x", "image": "x"}],
    "tolerations": [{"key": "x"}],
    "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "x",
                                   "whenUnsatisfiable": "DoNotSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "resources": {"limits": {"memory": "3Gi"}},
    "models.sync.resources": {"limits": {"memory": "3Gi"}},
    "podSecurityContext": {"runAsUser": 7},
    "securityContext": {"privileged": False},
}
# What must hold for a value to matter, besides one of the examples.
CONTEXTS = {
    "server.http.withoutTokens": {**CLAIM, "server": {"http": {"enabled": True}},
                                  "tokens": {"secretName": "a"}},
    "tls.clientCaSecretName": {**CLAIM, "tls": {"secretName": "a"}},
    "server.http.enabled": {**CLAIM, "server": {"http": {"withoutTokens": True}}},
    "autoscaling.enabled": CLAIM,
    "traces.tls": {**CLAIM, "traces": {"endpoint": "a:1"}},
    "models.source": {"models": {"source": "sync", "sync": {"remote": "a:b"},
                                 "pvc": {"existingClaim": "models"}}},
}


def leaves(values, schema, path=()):
  """Yields the paths of the values that the schema does not divide further."""
  for key, value in values.items():
    part = schema["properties"][key]
    if part.get("properties") and isinstance(value, dict):
      yield from leaves(value, part, (*path, key))
    else:
      yield (*path, key), value


def alternative(path, value):
  name = ".".join(path)
  if name in ALTERNATIVES:
    return ALTERNATIVES[name]
  if isinstance(value, bool):
    return not value
  if isinstance(value, int):
    return value + 1
  if isinstance(value, str):
    return value + "x"
  if isinstance(value, list):
    return value + ["x"]
  return {**value, "x": "y"}


def nested(path, value):
  for key in reversed(path):
    value = {key: value}
  return value


def pod(objects):
  return charts.workload(objects)["spec"]["template"]


def containers(objects):
  """Returns all containers of the servers' pods by their names."""
  spec = pod(objects)["spec"]
  return {entry["name"]: entry
          for entry in spec.get("initContainers", []) + spec["containers"]}


class ChartTest(unittest.TestCase):

  def examples(self):
    for name in charts.EXAMPLES:
      with self.subTest(name):
        yield name, charts.render(charts.example(name))[0]

  def test_lint(self):
    for name in charts.EXAMPLES:
      with self.subTest(name):
        report = helm_python.lint(charts.CHART, charts.example(name),
                                  strict=True)
        self.assertEqual(report["errors"] or [], [])
        self.assertEqual([message for message in report["messages"] or []
                          if message["severity"] >= 2], [])

  def test_helm_itself(self):
    helm = shutil.which("helm")
    if helm is None:
      self.skipTest("helm is not installed; Helm's code was used as a library")
    for name in charts.EXAMPLES:
      values = charts.CHART / "ci" / f"{name}-values.yaml"
      for command in (["lint", "--strict", charts.CHART, "-f", values],
                      ["template", "lm", charts.CHART, "-f", values,
                       "--kube-version", VERSIONS[-1]]):
        subprocess.run([helm, *command], check=True, stdout=subprocess.DEVNULL)

  def test_schemas_of_kubernetes(self):
    checked = 0
    for name, objects in self.examples():
      for version in VERSIONS:
        if name == "image" and version == "1.29":
          continue  # has no volumes of images
        for entry in objects:
          if entry["kind"] in OTHERS:
            continue
          kubernetes_validate.validate(entry, version, strict=True)
          checked += 1
    self.assertGreater(checked, 80)

  def test_the_schemas_find_errors(self):
    objects, _ = charts.render(CLAIM)
    wrong = copy.deepcopy(charts.find(objects, "Deployment"))
    wrong["spec"]["replica"] = 3
    with self.assertRaises(kubernetes_validate.ValidationError):
      kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)

  def test_every_value_has_an_effect(self):
    with helm_python.Chart.load(charts.CHART) as chart:
      defaults, schema = chart.values, chart.schema
    examples = [charts.example(name) for name in charts.EXAMPLES]
    rendered = [charts.render(values) for values in examples]
    count = 0
    for path, value in leaves(defaults, schema):
      name = ".".join(path)
      count += 1
      if name in CONTEXTS:
        candidates = [(CONTEXTS[name], charts.render(CONTEXTS[name]))]
      else:
        candidates = list(zip(examples, rendered))
      # The chart refuses some alternatives in some examples.
      has_effect = False
      for values, before in candidates:
        try:
          current = values
          for key in path:
            current = current.get(key, None) if isinstance(current, dict) else None
          other = alternative(path, value if current is None else current)
          after = charts.render(charts.merge(values, nested(path, other)))
        except helm_python.HelmError:
          continue
        has_effect |= after != before
        if has_effect:
          break
      self.assertTrue(has_effect, name)
    self.assertGreater(count, 90)

  def test_unknown_and_wrong_values_are_refused(self):
    for wrong in ({"replica": 3}, {"models": {"sources": "pvc"}},
                  {"models": {"source": "bucket"}}, {"replicas": "2"},
                  {"server": {"port": 70000}},
                  {"server": {"options": {"listen": "x"}}},
                  {"server": {"options": {"Keep": 1}}},
                  {"image": {"digest": "sha256:1"}},
                  {"models": {"require": ["../x"]}},
                  {"commonLabels": {"a": 1}},
                  {"podDisruptionBudget": {"maxUnavailable": "half"}}):
      with self.subTest(wrong), self.assertRaises(helm_python.HelmError):
        charts.render(charts.merge(CLAIM, wrong))

  def test_values_that_lack_others_are_refused(self):
    for values, message in (
        ({}, "models.pvc.existingClaim"),
        ({"models": {"source": "sync"}}, "models.sync.remote"),
        ({"models": {"source": "image"}}, "models.image.reference"),
        ({"models": {"source": "image", "pvc": {"perReplica": True},
                     "image": {"reference": "a:1"}}}, "models.source pvc or sync"),
        (charts.merge(CLAIM, {"models": {"pvc": {"perReplica": True}}}),
         "excludes models.pvc.existingClaim"),
        ({"models": {"pvc": {"perReplica": True, "create": True}}},
         "excludes models.pvc.existingClaim"),
        ({"models": {"pvc": {"perReplica": True}}, "fullnameOverride": "a" * 53},
         "at most 52 characters"),
        ({**CLAIM, "tls": {"clientCaSecretName": "a"}}, "tls.secretName"),
        ({**CLAIM, "server": {"http": {"enabled": True}}}, "withoutTokens"),
        ({**CLAIM, "traces": {"tls": True}}, "traces.endpoint"),
        ({**CLAIM, "traces": {"endpoint": "a:1", "caSecretName": "b"}},
         "traces.tls")):
      with self.subTest(values):
        with self.assertRaisesRegex(helm_python.HelmError, message):
          charts.render(values)

  def test_selectors_and_ports(self):
    for _, objects in self.examples():
      labels = pod(objects)["metadata"]["labels"]
      ports = {port["name"]: port["containerPort"]
               for port in containers(objects)["server"]["ports"]}
      self.assertEqual(len(set(ports.values())), len(ports))
      selectors = [entry["spec"]["selector"] for entry in objects
                   if entry["kind"] == "Service"]
      for entry in objects:
        if entry["kind"] in (*charts.WORKLOADS, "PodDisruptionBudget"):
          selectors.append(entry["spec"]["selector"]["matchLabels"])
        if entry["kind"] == "NetworkPolicy":
          selectors.append(entry["spec"]["podSelector"]["matchLabels"])
          for rule in entry["spec"]["ingress"]:
            for port in rule["ports"]:
              self.assertIn(port["port"], ports)
        if entry["kind"] == "Service":
          for port in entry["spec"]["ports"]:
            self.assertIn(port["targetPort"], ports)
        if entry["kind"] == "ServiceMonitor":
          metrics = charts.find(objects, "Service", "lm-lmserve-metrics")
          self.assertLessEqual(entry["spec"]["selector"]["matchLabels"].items(),
                               metrics["metadata"]["labels"].items())
          for endpoint in entry["spec"]["endpoints"]:
            self.assertIn(endpoint["port"], [
                port["name"] for port in metrics["spec"]["ports"]])
      self.assertGreaterEqual(len(selectors), 4)
      test = charts.find(objects, "Pod")["metadata"]["labels"]
      for selector in selectors:
        self.assertLessEqual(selector.items(), labels.items())
        # No service sends calls to the pod of `helm test`.
        self.assertFalse(selector.items() <= test.items())

  def test_references_within_the_release(self):
    for _, objects in self.examples():
      names = {(entry["kind"], entry["metadata"]["name"]) for entry in objects}
      self.assertEqual(len(names), len(objects))
      spec = pod(objects)["spec"]
      names_of_volumes = [volume["name"] for volume in spec["volumes"]]
      names_of_volumes += [
          claim["metadata"]["name"] for claim in
          charts.workload(objects)["spec"].get("volumeClaimTemplates", [])]
      volumes = set(names_of_volumes)
      self.assertEqual(len(volumes), len(names_of_volumes))
      for container in containers(objects).values():
        mounts = [mount["name"] for mount in container["volumeMounts"]]
        self.assertLessEqual(set(mounts), volumes)
        variables = [entry["name"] for entry in container["env"]]
        self.assertEqual(len(variables), len(set(variables)))
        for source in container.get("envFrom", []):
          if "configMapRef" in source:
            self.assertIn(("ConfigMap", source["configMapRef"]["name"]), names)
      for entry in objects:
        if entry["kind"] == "HorizontalPodAutoscaler":
          target = entry["spec"]["scaleTargetRef"]
          self.assertIn((target["kind"], target["name"]), names)
          self.assertNotIn("replicas", charts.workload(objects)["spec"])
        if entry["kind"] == "Ingress":
          backend = entry["spec"]["rules"][0]["http"]["paths"][0]["backend"]
          self.assertIn(("Service", backend["service"]["name"]), names)

  def test_a_claim_for_each_server(self):
    for source in ({"source": "pvc"},
                   {"source": "sync", "sync": {"remote": "bucket:models"}}):
      objects, notes = charts.render({"models": {
          **source, "pvc": {"perReplica": True, "size": "3Gi"}}})
      self.assertNotIn("Deployment", [entry["kind"] for entry in objects])
      self.assertNotIn("PersistentVolumeClaim",
                       [entry["kind"] for entry in objects])
      spec = charts.find(objects, "StatefulSet", "lm-lmserve")["spec"]
      self.assertEqual(spec["replicas"], 2)
      # The service exists and has the addresses of the pods.
      service = charts.find(objects, "Service", spec["serviceName"])["spec"]
      self.assertEqual(service["clusterIP"], "None")
      self.assertEqual(service["selector"], spec["selector"]["matchLabels"])
      claim, = spec["volumeClaimTemplates"]
      self.assertEqual(claim["spec"]["accessModes"], ["ReadWriteOnce"])
      self.assertEqual(claim["spec"]["resources"]["requests"], {"storage": "3Gi"})
      # An upgrade of the chart must not change it.
      self.assertEqual(claim["metadata"]["labels"],
                       spec["selector"]["matchLabels"])
      for name, container in containers(objects).items():
        mount, = (entry for entry in container["volumeMounts"]
                  if entry["name"] == "store")
        self.assertEqual(mount.get("readOnly", False), name == "server")
      self.assertIn("rollout status statefulset/lm-lmserve", notes)

  def test_traces_reach_the_collector(self):
    def egress(values):
      objects, _ = charts.render(charts.merge(CLAIM, charts.merge(
          {"networkPolicy": {"enabled": True}}, values)))
      rules = charts.find(objects, "NetworkPolicy")["spec"]["egress"]
      return {port["port"] for rule in rules for port in rule["ports"]}
    self.assertEqual(egress({}), set())
    traces = {"traces": {"endpoint": "collector:4317"}}
    self.assertEqual(egress(traces), {53, 4317})
    self.assertEqual(egress(charts.merge(traces, {
        "networkPolicy": {"collectorEgress": [{"ports": [{"port": 9}]}]}})),
                     {53, 9})
    objects, _ = charts.render(charts.example("tls"))
    options = charts.find(objects, "ConfigMap")["data"]
    mounts = {mount["name"]: mount["mountPath"]
              for mount in containers(objects)["server"]["volumeMounts"]}
    self.assertEqual(options["LM_SERVER_TRACE_TLS_CA"],
                     mounts["trace-ca"] + "/ca.crt")

  def test_grace(self):
    for grace, drain in ((5, 30), (0, 0), (20, 600)):
      objects, _ = charts.render(charts.merge(CLAIM, {
          "server": {"drainGraceSeconds": grace, "drainSeconds": drain}}))
      self.assertEqual(pod(objects)["spec"]["terminationGracePeriodSeconds"],
                       grace + drain + 10)
      options = charts.find(objects, "ConfigMap")["data"]
      self.assertEqual(options["LM_SERVER_DRAIN_SECONDS"], str(drain))

  def test_the_start_has_its_seconds(self):
    for seconds in (1, 5, 600, 601, 3600):
      objects, _ = charts.render(charts.merge(CLAIM,
                                              {"startupSeconds": seconds}))
      probe = containers(objects)["server"]["startupProbe"]
      allowed = probe["failureThreshold"] * probe["periodSeconds"]
      self.assertTrue(seconds <= allowed < seconds + 5, (seconds, allowed))

  def test_probes(self):
    plain = containers(charts.render(CLAIM)[0])["server"]
    self.assertEqual(plain["readinessProbe"]["grpc"], {"port": 50051})
    self.assertEqual(plain["livenessProbe"]["grpc"]["service"],
                     "lm.v1.LanguageModelService")
    objects, _ = charts.render(charts.example("tls"))
    secure = containers(objects)["server"]
    self.assertEqual(secure["readinessProbe"]["grpc"], {"port": 50053})
    for probe in ("startupProbe", "livenessProbe"):
      self.assertEqual(secure[probe]["grpc"],
                       {"port": 50053, "service": "lm.v1.LanguageModelService"})
    options = charts.find(objects, "ConfigMap", "lm-lmserve")["data"]
    self.assertEqual(options["LM_SERVER_HEALTH_ADDRESS"], "0.0.0.0:50053")

  def test_the_kubelet_can_ask_every_probe(self):
    for name, objects in self.examples():
      server = containers(objects)["server"]
      options = charts.find(objects, "ConfigMap", "lm-lmserve")["data"]
      plain = [option for option in ("LM_SERVER_LISTEN",
                                     "LM_SERVER_HEALTH_ADDRESS")
               if option in options and
               (option != "LM_SERVER_LISTEN" or name != "tls")]
      ports = [int(options[option].rpartition(":")[2]) for option in plain]
      for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        self.assertIn(server[probe]["grpc"]["port"], ports)
        self.assertIn(server[probe]["grpc"]["port"],
                      [port["containerPort"] for port in server["ports"]])

  def test_helm_test_needs_a_certificate_with_client_certificates(self):
    values = {**CLAIM, "tls": {"secretName": "a", "clientCaSecretName": "b"}}
    for more, expected in (({}, 0), ({"tls": {"testSecretName": "c"}}, 1)):
      objects, _ = charts.render(charts.merge(values, more))
      self.assertEqual([entry["kind"] for entry in objects].count("Pod"),
                       expected)

  def test_security(self):
    for _, objects in self.examples():
      self.assertTrue(pod(objects)["spec"]["securityContext"]["runAsNonRoot"])
      self.assertFalse(pod(objects)["spec"]["automountServiceAccountToken"])
      for container in containers(objects).values():
        context = container["securityContext"]
        self.assertTrue(context["readOnlyRootFilesystem"])
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertIn("memory", container["resources"]["limits"])
      # The server cannot write to its models.
      mounts = containers(objects)["server"]["volumeMounts"]
      self.assertTrue(all(mount["readOnly"] for mount in mounts))

  def test_a_disruption_budget_of_one_server_would_block(self):
    objects, _ = charts.render(charts.merge(CLAIM, {"replicas": 1}))
    self.assertNotIn("PodDisruptionBudget",
                     [entry["kind"] for entry in objects])

  def test_names_of_releases(self):
    for release, name in (("lm", "lm-lmserve"), ("lmserve", "lmserve"),
                          ("a" * 53, "a" * 53)):
      objects, _ = charts.render(CLAIM, release)
      self.assertEqual(charts.find(objects, "Deployment")["metadata"]["name"],
                       name)
      for entry in objects:
        self.assertLessEqual(len(entry["metadata"]["name"]), 63)

  def test_a_change_of_options_starts_new_pods(self):
    def checksum(values):
      objects, _ = charts.render(charts.merge(CLAIM, values))
      return pod(objects)["metadata"]["annotations"]["checksum/config"]
    self.assertEqual(checksum({}), checksum({"replicas": 5}))
    self.assertNotEqual(checksum({}), checksum({"server": {"drainSeconds": 9}}))

  # The files of alerts and of the dashboard are links out of the chart's folder.
  def test_package(self):
    def render(path):
      with helm_python.Chart.load(path) as chart:
        return chart.render(charts.example("sync"), name="lm", namespace="models")
    with tempfile.TemporaryDirectory() as directory:
      package = helm_python.package(charts.CHART, destination=directory)
      self.assertEqual(render(package), render(charts.CHART))

  def test_notes(self):
    for name in charts.EXAMPLES:
      _, notes = charts.render(charts.example(name))
      self.assertIn("dns:///lm-lmserve-headless.models.svc:50051", notes)
      self.assertNotIn("<no value>", notes)

  def test_the_table_of_values(self):
    table = subprocess.run(
        [sys.executable, charts.ROOT / "deploy/helm/values-table", "--check"],
        check=False, text=True, stdout=subprocess.PIPE)
    self.assertEqual(table.returncode, 0, table.stdout)
    with helm_python.Chart.load(charts.CHART) as chart:
      paths = [".".join(path) for path, _ in leaves(chart.values, chart.schema)]
    readme = (charts.CHART / "README.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `([\w.]+)` \|",
                           readme.split("<!-- values -->")[1], re.M)
    self.assertEqual(described, [path for path in described if path in paths])
    self.assertEqual(sorted(paths), sorted(described))


class ProgramsTest(unittest.TestCase):
  """The programs accept what the chart gives them."""

  @classmethod
  def setUpClass(cls):
    # pylint: disable=consider-using-with
    cls.temporary = tempfile.TemporaryDirectory()
    cls.directory = pathlib.Path(cls.temporary.name)
    corpus = cls.directory / "corpus"
    corpus.write_text("the cat is small\nthe dog is big\n" * 9, "utf-8")
    for model in ("en", "de"):
      cls.run_program("lm_trainer", "ngram", "--corpus", corpus, "--order", "2",
                      "--smoothing", "witten-bell", "--store",
                      cls.directory / "store", "--model", model)
    cls.run_program("lm_trainer", "alias", "stable", "--store",
                    cls.directory / "store", "--model", "de")

  @classmethod
  def tearDownClass(cls):
    cls.temporary.cleanup()

  @staticmethod
  def run_program(name, *arguments, env=None):
    result = subprocess.run(
        [PROGRAMS / name, *map(str, arguments)], text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})})
    if result.returncode != 0:
      raise AssertionError(result.stdout)
    return result.stdout

  def test_every_option_exists(self):
    known = set(re.findall(r"Env:(LM_SERVER_\w+)",
                           self.run_program("lm_server", "--help")))
    for name in charts.EXAMPLES:
      options = charts.find(charts.render(charts.example(name))[0], "ConfigMap",
                            "lm-lmserve")["data"]
      self.assertLessEqual(set(options), known)
      self.assertGreater(len(options), 8)

  def test_the_server_accepts_the_options(self):
    for name in ("claim", "sync"):
      options = charts.find(charts.render(charts.example(name))[0], "ConfigMap",
                            "lm-lmserve")["data"]
      options["LM_SERVER_STORE"] = str(self.directory / "store")
      output = self.run_program("lm_server", "--check-config", env=options)
      self.assertIn("drain-grace-seconds=5", output)

  def test_lm_store_accepts_its_arguments(self):
    objects, _ = charts.render(charts.example("sync"))
    local = str(self.directory / "local")
    places = {"/store": local, "bucket:models/store":
              str(self.directory / "store")}
    pull, sync = (
        [places.get(argument, argument)
         for argument in containers(objects)[name]["args"]]
        for name in ("pull", "sync"))
    output = self.run_program("lm_store", *pull)
    self.assertEqual(sorted(output.splitlines()),
                     ["de@stable = de@1", "pulled de@1", "pulled en@1"])
    with subprocess.Popen([PROGRAMS / "lm_store", *sync], text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
      shutil.rmtree(pathlib.Path(local) / "en", ignore_errors=True)
      process.terminate()
      process.communicate(timeout=60)
    self.assertIn(process.returncode, (0, -15))  # before it handles signals


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
