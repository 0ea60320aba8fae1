"""Memory and arithmetic by shapes: the peak of live tensors while code runs, exact and the same on any
machine.

With models on torch's meta device nothing is computed, so that full-size models are measured in seconds. What
an allocator or a kernel's workspace adds is not seen.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every tensor made inside the block until it is freed; weights made before are not
    counted.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        before = {_key(each) for each in tree_leaves((args, kwargs or {})) if isinstance(each, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor) and _key(each) not in before | self._known:
                self._count(each)
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        size = storage.nbytes()
        self._known.add(key)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


class FlashAttention(TorchFunctionMode):
    """Attention without its matrix, as every GPU kernel has it; on the meta device torch would make it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention and args[0].device.type == "meta":
            query, _, value = args[:3]
            return torch.empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype, device="meta")
        return func(*args, **(kwargs or {}))


def peak_bytes(work: Callable[[], Any]) -> int:
    """Most bytes of tensors alive at once while `work` runs."""
    with torch.inference_mode(), FlashAttention(), LiveTensors() as live:
        work()
    return int(live.peak)


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
