"""Training on several one-thread processes that average their gradients."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of `count` processes that train together."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def add_up(self, values: Tensor) -> None:
        """Sum a tensor over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)

    def share(self, value: float) -> float:
        """The leader's value, for all."""
        if self.count == 1:
            return value
        answer = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(answer, 0)
        return float(answer)


def launch(work: Callable[..., None], arguments: tuple[Any, ...], *, count: int, device: str) -> None:
    """Call `work(worker, *arguments)` in `count` one-thread processes, or in this one where count is 1."""
    if count == 1:
        work(Worker(rank=0, count=1, device=torch.device(device)), *arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        spawn(  # type: ignore[no-untyped-call]
            _start, (count, f"file://{folder}/meeting", work, arguments), nprocs=count
        )


def _start(
    rank: int, count: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    work(Worker(rank=rank, count=count, device=torch.device("cpu")), *arguments)
    dist.destroy_process_group()
