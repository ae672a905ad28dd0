# SPDX-License-Identifier: Apache-2.0
"""The processes that torchrun has started, or the only one without it."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn

from lmserve_torch.text import TrainingError


class Processes:
  """All processes of a training. Each has its part of every batch.

  Attributes:
    rank: The number of this process, from 0.
    is_first: Whether this process reports and writes files.
    device: The device of this process.
  """

  def __init__(self, device: str) -> None:
    """Connects to the other processes, for the device "auto", "cpu" or "cuda"."""
    gpus = torch.cuda.device_count()
    if device == "cuda" and gpus == 0:
      raise TrainingError("--device cuda: expected a GPU, found none that this "
                          "PyTorch can use")
    self._distributed = "WORLD_SIZE" in os.environ
    self._count = int(os.environ.get("WORLD_SIZE", 1))
    self.rank = int(os.environ.get("RANK", 0))
    self.is_first = self.rank == 0
    self.device = torch.device("cpu")
    if device == "cuda" or (device == "auto" and gpus > 0):
      local_rank = int(os.environ.get("LOCAL_RANK", 0))
      if local_rank >= gpus:
        raise TrainingError(f"torchrun --nproc-per-node: expected at most "
                            f"{gpus}, one for each GPU, found more")
      self.device = torch.device("cuda", local_rank)
      torch.cuda.set_device(self.device)
    if self._distributed:
      dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

  def wrap(self, network: nn.Module) -> nn.Module:
    """Returns the network with gradients that are means over the processes."""
    if not self._distributed:
      return network
    return nn.parallel.DistributedDataParallel(network,
                                               gradient_as_bucket_view=True)

  def part(self, streams: int) -> slice:
    """Returns this process's streams of a batch."""
    return slice(streams * self.rank // self._count,
                 streams * (self.rank + 1) // self._count)

  def __len__(self) -> int:
    return self._count

  def sum(self, *numbers: float | torch.Tensor) -> list[float]:
    """Returns the sum of each number over all processes."""
    sums = torch.stack([
        torch.as_tensor(number, dtype=torch.float64, device=self.device)
        for number in numbers])
    self.add_up(sums)
    return sums.tolist()

  def add_up(self, tensor: torch.Tensor) -> None:
    """Replaces a tensor by its sum over all processes."""
    if self._distributed:
      dist.all_reduce(tensor)

  def check_same(self, what: str, text: str) -> None:
    """Fails unless all processes, on whatever machines, have the same text."""
    texts = [text]
    if self._distributed:
      texts = [""] * len(self)
      dist.all_gather_object(texts, text)
    for rank, other in enumerate(texts):
      if other != texts[0]:
        raise TrainingError(f"{what}: expected in all processes\n  {texts[0]}\n"
                            f"found in process {rank}\n  {other}")

  def close(self) -> None:
    """Disconnects."""
    if self._distributed:
      dist.destroy_process_group()
