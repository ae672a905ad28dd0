#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a software bill of materials in SPDX 2.3, as JSON.

    make_sbom.py VERSION DIRECTORY

Describes the files of a release in DIRECTORY: the Debian packages that its .deb
files need when they run, and those that its programs were compiled with, with the
versions that are installed here; and the Python packages that its wheels need. The
same input gives the same bytes; SOURCE_DATE_EPOCH is the time of the document.
"""

import datetime
import email.parser
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

SOURCES = pathlib.Path(__file__).resolve().parent.parent


def output(*command):
  return subprocess.run(command, check=True, capture_output=True,
                        text=True).stdout


def debian_version(name):
  """Returns the installed version of a Debian package, or None."""
  done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name],
                        capture_output=True, text=True)
  return done.stdout or None


def debian_licenses(name):
  """Returns the short names of licenses in the copyright file of a package."""
  path = pathlib.Path("/usr/share/doc", name, "copyright")
  if not path.exists():
    return []
  text = path.read_text(encoding="utf-8", errors="replace")
  return sorted(set(re.findall(r"^License: *(\S.*?) *$", text, re.M)))


def needs_of_deb(path):
  """Returns the packages that a .deb needs, the first of each alternative."""
  depends = output("dpkg-deb", "-f", path, "Depends")
  return {re.split(r"[ (:|]", need.strip())[0]
          for need in depends.split(",") if need.strip()}


def needs_of_wheel(path):
  """Returns the requirements of a wheel that are not optional."""
  with zipfile.ZipFile(path) as wheel:
    metadata = next(name for name in wheel.namelist()
                    if name.endswith(".dist-info/METADATA"))
    fields = email.parser.Parser().parsestr(wheel.read(metadata).decode())
  return {need for need in fields.get_all("Requires-Dist", [])
          if "extra ==" not in need}


def compiled_with():
  """Returns the Debian packages whose headers the programs contain."""
  text = (SOURCES / "scripts/install-packages").read_text(encoding="utf-8")
  names = re.search(r"^build=\((.*?)\)", text, re.M | re.S).group(1).split()
  return {name for name in names if name.endswith("-dev")}


class Document:
  """A document of SPDX under construction."""

  def __init__(self, version):
    self._packages = {}
    self._relationships = set()
    self._files = []
    self._version = version

  def add_file(self, path):
    """Adds a file of the release; returns its identifier."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    identifier = f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', path.name)}"
    self._files.append({
        "SPDXID": identifier,
        "name": path.name,
        "versionInfo": self._version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseDeclared": "Apache-2.0",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
    })
    self._relationships.add(("SPDXRef-DOCUMENT", "DESCRIBES", identifier))
    return identifier

  def add_debian(self, name, relationship, of):
    version = debian_version(name)
    if version is None or name.startswith("lmserve"):
      return
    identifier = f"SPDXRef-deb-{name.replace('+', '-plus')}"
    licenses = debian_licenses(name)
    self._packages[identifier] = {
        "SPDXID": identifier,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseComments": "Debian: " + (", ".join(licenses) or "not stated"),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:deb/debian/{name}@{version}"}],
    }
    self._relate(identifier, relationship, of)

  def add_python(self, requirement, of):
    name = re.split(r"[ <>=!~;\[]", requirement)[0]
    identifier = f"SPDXRef-pypi-{name}"
    self._packages[identifier] = {
        "SPDXID": identifier,
        "name": name,
        "versionInfo": requirement[len(name):].strip() or "any",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:pypi/{name.lower()}"}],
    }
    self._relate(identifier, "RUNTIME_DEPENDENCY_OF", of)

  def _relate(self, identifier, relationship, of):
    self._relationships.add((identifier, relationship, of))

  def json(self):
    created = datetime.datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    packages = self._files + [self._packages[key]
                              for key in sorted(self._packages)]
    digest = hashlib.sha256(json.dumps(packages).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"lmserve-{self._version}",
        "documentNamespace":
            f"https://lmserve.invalid/spdx/{self._version}-{digest[:32]}",
        "creationInfo": {
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: lmserve-make_sbom"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": element, "relationshipType": kind,
             "relatedSpdxElement": related}
            for element, kind, related in sorted(self._relationships)],
    }


def main():
  if len(sys.argv) != 3:
    sys.exit(__doc__)
  version, directory = sys.argv[1], pathlib.Path(sys.argv[2])
  document = Document(version)
  for path in sorted(directory.iterdir()):
    if path.suffix == ".deb":
      identifier = document.add_file(path)
      for name in needs_of_deb(path):
        document.add_debian(name, "RUNTIME_DEPENDENCY_OF", identifier)
      if not path.name.startswith("python3-"):
        for name in compiled_with():
          document.add_debian(name, "BUILD_DEPENDENCY_OF", identifier)
    elif path.suffix == ".whl":
      identifier = document.add_file(path)
      for requirement in needs_of_wheel(path):
        document.add_python(requirement, identifier)
    elif path.name.endswith((".tar.gz", ".tgz")):
      document.add_file(path)
  json.dump(document.json(), sys.stdout, indent=1)
  print()


if __name__ == "__main__":
  main()
