"""One optimiser for all toybox models: Muon for matrices and kernels, Adam for the rest."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration. Source: Jordan et al. 2024, Muon."""
_ITERATIONS = 5
_RMS = 0.2
"""Root mean square of an update, so that one rate fits Muon and Adam. Source: Liu et al. 2025, 2.2."""


def orthogonalised(matrices: Float[Tensor, "matrix row col"]) -> Float[Tensor, "matrix row col"]:
    """The nearest semi-orthogonal matrices, roughly, by five Newton-Schulz steps."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x if wide else x.mT
    return result


class MuonAdam(torch.optim.Optimizer):
    """Muon on every parameter of two or more axes, Adam on vectors and on those named in `plain`."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        rate: float,
        plain: Iterable[torch.nn.Parameter] = (),
        plain_rate: float | None = None,
        momentum: float = 0.95,
        rank: int = 0,
        count: int = 1,
        exchange: Callable[[Tensor], None] | None = None,
    ) -> None:
        """Sort the parameters into groups of equal matrix shape, which are then handled in one batch.

        Args:
            parameters: What to train.
            rate: Learning rate of matrices.
            plain: Parameters that take Adam although they are matrices.
            plain_rate: Learning rate of Adam; by default `rate`.
            momentum: Of Muon.
            rank: This process's number; it orthogonalises every `count`-th matrix.
            count: How many processes share that work.
            exchange: Sums a tensor over the processes, in place.
        """
        self._rank, self._count, self._exchange = rank, count, exchange
        apart = {id(p) for p in plain}
        everything = [p for p in parameters if p.requires_grad]
        muon = [p for p in everything if p.ndim >= 2 and id(p) not in apart]
        adam = [p for p in everything if p.ndim < 2 or id(p) in apart]
        groups: list[dict[str, object]] = [{"params": adam, "muon": False, "base": plain_rate or rate}]
        for _, shape in sorted({(_flat(p), tuple(p.shape)) for p in muon}):
            alike = [p for p in muon if tuple(p.shape) == shape]
            groups.append({"params": alike, "muon": True, "base": rate})
        super().__init__([g for g in groups if g["params"]], {"momentum": momentum, "factor": 1.0})

    def set_factor(self, factor: float) -> None:
        """Scale all learning rates to `factor` times their base."""
        for group in self.param_groups:
            group["factor"] = factor

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients that are there, on every parameter."""
        muon = [group for group in self.param_groups if group["muon"]]
        for group in self.param_groups:
            if not group["muon"]:
                self._adam(group["params"], group["base"] * group["factor"])
        updates = [self._directions(group["params"], group["momentum"]) for group in muon]
        if self._exchange is not None and updates:
            flat = torch.cat([u.flatten() for u in updates])
            self._exchange(flat)
            updates = [
                f.view_as(u)
                for f, u in zip(torch.split(flat, [u.numel() for u in updates]), updates, strict=True)
            ]
        for group, update in zip(muon, updates, strict=True):
            parameters = group["params"]
            shaped = update.reshape(len(parameters), *parameters[0].shape).to(parameters[0].dtype)
            torch._foreach_add_(parameters, list(shaped.unbind()), alpha=-group["base"] * group["factor"])

    def _directions(
        self, parameters: list[torch.nn.Parameter], momentum: float
    ) -> Float[Tensor, "matrix row col"]:
        """Orthogonalised Nesterov momenta of matrices of one shape; zeros where another process works."""
        gradients = [g for p in parameters if (g := p.grad) is not None]
        for p in parameters:
            self.state[p].setdefault("mean", torch.zeros_like(p))
        means = [self.state[p]["mean"] for p in parameters]
        torch._foreach_mul_(means, momentum)
        torch._foreach_add_(means, gradients)
        rows, columns = _flat(parameters[0])
        out = torch.zeros(len(parameters), rows, columns, dtype=torch.bfloat16, device=parameters[0].device)
        own = range(self._rank, len(parameters), self._count)
        if own:
            ahead = torch.stack([gradients[i] + momentum * means[i] for i in own]).reshape(
                len(own), rows, columns
            )
            out[self._rank :: self._count] = orthogonalised(ahead.bfloat16()) * (
                _RMS * max(rows, columns) ** 0.5
            )
        return out

    def _adam(self, parameters: list[torch.nn.Parameter], rate: float) -> None:
        for p in parameters:
            state = self.state[p]
            if not state:
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
                state["count"] = torch.zeros(())
            assert p.grad is not None
            state["count"] += 1
            state["mean"].lerp_(p.grad, 0.1)
            state["square"].mul_(0.98).addcmul_(p.grad, p.grad, value=0.02)
            count = float(state["count"])
            denominator = (state["square"] / (1 - 0.98**count)).sqrt_().add_(1e-8)
            p.addcdiv_(state["mean"], denominator, value=-rate / (1 - 0.9**count))


def _flat(parameter: torch.nn.Parameter) -> tuple[int, int]:
    """Rows and columns of a kernel seen as a matrix."""
    return parameter.shape[0], parameter[0].numel()
