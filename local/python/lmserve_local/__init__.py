# SPDX-License-Identifier: Apache-2.0
"""Language models of lmserve inside a Python process, without a server.

    from lmserve_local import Model
    model = Model.open("store", "en")          # or Model.from_arpa("en.arpa.gz")
    model.score("the cat is small .")          # ln P
    state = model.start("the cat")
    rows = model.next_log_probs([state])       # float32 [1, V]
    log_probs, states = model.extend([state], ["is"])

lmserve_local.kenlm has the classes of the module kenlm; install_as_kenlm() makes
`import kenlm` find them. Adapters for other packages, which they import, are
lmserve_local.pyctcdecode, lmserve_local.torchaudio and lmserve_local.transformers.
"""

from lmserve_local._core import Model, State, States
from lmserve_local._version import __version__

__all__ = ["Model", "State", "States", "__version__", "install_as_kenlm"]

Model.__module__ = __name__
State.__module__ = __name__
States.__module__ = __name__


def install_as_kenlm() -> None:
  """Makes `import kenlm` return lmserve_local.kenlm in this process.

  Call it before the packages that import kenlm are imported. Raises RuntimeError
  if another module of this name was imported already.
  """
  import sys

  from lmserve_local import kenlm

  other = sys.modules.setdefault("kenlm", kenlm)
  if other is not kenlm:
    raise RuntimeError("kenlm: expected that it was not imported yet, found "
                       f"{getattr(other, '__file__', other)}")
