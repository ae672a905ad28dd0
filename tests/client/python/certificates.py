# SPDX-License-Identifier: Apache-2.0
"""Makes self-signed certificates."""

import subprocess


def make_certificate(directory, name, host):
  """Writes NAME.pem, a certificate for `host`, and NAME.key, its key."""
  subprocess.run(
      ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
       "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
       "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem"],
      check=True, stderr=subprocess.DEVNULL)
