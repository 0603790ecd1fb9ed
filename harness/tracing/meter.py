"""What a method costs: seconds, and passes of the model, each method counted as if it ran alone."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

Part = TypeVar("Part")


@dataclass(frozen=True)
class Cost:
    """Work on a batch.

    Args:
        seconds: of the wall clock.
        forward: rows of tokens that ran through a whole model, padding variants counted like others.
        backward: rows whose logits a gradient went back from.

    What runs on parts of the model alone, such as one layer's arithmetic, counts in seconds and is no pass.
    """

    seconds: float = 0.0
    forward: int = 0
    backward: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.forward + other.forward, self.backward + other.backward)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds - other.seconds, self.forward - other.forward, self.backward - other.backward)


class Bill:
    """What a shared part costs: its `own` work, and the bills of all `parts` that went into it, itself among them."""

    def __init__(self):
        self.own = Cost()
        self.inside = Cost()  # of the parts that were made within it
        self.parts: set[Bill] = {self}


class Meter:
    """Counts while it is entered; `costs` then holds what was spent, by name."""

    def __init__(self):
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self._forward = self._backward = 0
        self._counted: WeakSet[nn.Module] = WeakSet()  # models whose rows are counted
        self._known: set[Bill] = set()  # of shared parts that the method being measured has paid for
        self._open: list[Bill] = []  # of those that are being made, the outermost first

    def __enter__(self) -> "Meter":
        # for all modules, not for the one model: some methods run a copy of it
        self._hook = register_module_forward_hook(self._ran)
        self._token = _OPEN.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        self._hook.remove()
        _OPEN.reset(self._token)

    @contextmanager
    def of(self, name: str, alone: bool = False) -> Iterator[None]:
        """Add to `name` what is spent inside.

        With `alone` also what the `shared` parts that it asks for have cost another before.
        """
        self._known, before = set(), self._now()
        self._borrowed = Cost()
        try:
            yield
        finally:
            self.costs[name] += self._now() - before + (self._borrowed if alone else Cost())

    @contextmanager
    def sharing(self) -> Iterator[Bill]:
        """Measure a shared part that is made now; the bill is right once this is left."""
        bill, before = Bill(), self._now()
        self._open.append(bill)
        try:
            yield bill
        finally:
            self._open.pop()
            whole = self._now() - before
            bill.own = whole - bill.inside
            self._known |= bill.parts
            for outer in self._open[-1:]:
                outer.inside += whole
                outer.parts |= bill.parts

    def charge(self, bill: Bill) -> None:
        """A shared part is asked for that is there already: whoever asks bears what it has not borne yet."""
        for part in bill.parts - self._known:
            self._borrowed += part.own
        self._known |= bill.parts
        for outer in self._open[-1:]:
            outer.parts |= bill.parts

    def _now(self) -> Cost:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # what was asked for before is done before the clock is read
        return Cost(time.perf_counter(), self._forward, self._backward)

    def _ran(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        logits = getattr(output, "logits", None)
        # a model around another gives logits of its own, made of the inner one's: those are counted already
        if isinstance(logits, Tensor) and not any(part in self._counted for part in module.modules() if part != module):
            self._counted.add(module)
            self._forward += len(logits)
            if logits.requires_grad:
                logits.register_hook(self._went_back)

    def _went_back(self, gradient: Tensor) -> None:
        self._backward += len(gradient)


_OPEN: ContextVar[Meter | None] = ContextVar("meter", default=None)


def made_once(kept: dict[Any, tuple[Part, Bill | None]], name: object, make: Callable[[], Part]) -> Part:
    """What `kept` holds under a name, made the first time; its cost is borne by every method that asks for it."""
    meter = _OPEN.get()
    if name in kept:
        part, bill = kept[name]
        if meter is not None and bill is not None:
            meter.charge(bill)
    elif meter is None:
        part = make()
        kept[name] = (part, None)
    else:
        with meter.sharing() as bill:
            part = make()
        kept[name] = (part, bill)
    return part


class shared(cached_property):  # noqa: N801  used like functools.cached_property
    """A cached property whose cost is borne by every method that asks for it, not by the first alone."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else made_once(vars(instance), self.attrname, lambda: self.func(instance))

    def __set__(self, _instance: Any, _value: Any) -> None:  # so that Python comes here for a value that is kept, too
        raise AttributeError(f"{self.attrname} is computed and cannot be set")
