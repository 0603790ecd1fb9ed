"""What a method costs, in seconds and passes of the model, each method counted as if it ran alone."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from harness.tables import Cost

Made = TypeVar("Made")


class Bill:
    """The cost of a result that several methods use: its `own` work, and the bills of all results that went into it."""

    def __init__(self):
        self.own = Cost()
        self.inside = Cost()  # of the results that were made within it
        self.bills: set[Bill] = {self}  # its own among them


class Meter:
    """Counts while it is entered; `costs` then holds what was spent, by kind (see `tables.KINDS`) and name."""

    def __init__(self):
        self.costs: dict[tuple[str, str], Cost] = defaultdict(Cost)
        self._forward = self._backward = 0
        self._counted: WeakSet[nn.Module] = WeakSet()  # models whose rows are counted
        self._known: set[Bill] = set()  # results that the method being measured has paid for
        self._open: list[Bill] = []  # results that are being computed, the outermost first

    def __enter__(self) -> "Meter":
        # of all modules, not of the one model: some methods run a copy of it
        self._hook = register_module_forward_hook(self._ran)
        self._token = _OPEN.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        self._hook.remove()
        _OPEN.reset(self._token)

    @property
    def passes(self) -> tuple[int, int]:
        """Rows that ran forward and backward so far."""
        return self._forward, self._backward

    @passes.setter
    def passes(self, passes: tuple[int, int]) -> None:
        self._forward, self._backward = passes

    @contextmanager
    def of(self, kind: str, name: str, alone: bool = False) -> Iterator[None]:
        """Add to the costs of `name` what is spent inside.

        With `alone`, also what the `metered` results that it uses have cost another method before.
        """
        self._known, before = set(), self._now()
        self._borrowed = Cost()
        try:
            yield
        finally:
            self.costs[kind, name] += self._now() - before + (self._borrowed if alone else Cost())

    @contextmanager
    def sharing(self) -> Iterator[Bill]:
        """Measure a result that is computed now; the bill is complete once this is left."""
        bill, before = Bill(), self._now()
        self._open.append(bill)
        try:
            yield bill
        finally:
            self._open.pop()
            whole = self._now() - before
            bill.own = whole - bill.inside
            self._known |= bill.bills
            for outer in self._open[-1:]:
                outer.inside += whole
                outer.bills |= bill.bills

    def charge(self, bill: Bill) -> None:
        """Charge a method that uses an existing result with what it has not been charged yet."""
        for one in bill.bills - self._known:
            self._borrowed += one.own
        self._known |= bill.bills
        for outer in self._open[-1:]:
            outer.bills |= bill.bills

    def _now(self) -> Cost:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # so that the clock is read after all earlier work
        return Cost(time.perf_counter(), self._forward, self._backward)

    def _ran(self, module: nn.Module, _inputs: object, output: object) -> None:
        logits = getattr(output, "logits", None)
        # a module around a model returns logits too, made from the inner one's, which are counted already
        if isinstance(logits, Tensor) and not any(
            inner in self._counted for inner in module.modules() if inner != module
        ):
            self._counted.add(module)
            self._forward += len(logits)
            if logits.requires_grad:
                logits.register_hook(self._went_back)

    def _went_back(self, gradient: Tensor) -> None:
        self._backward += len(gradient)


_OPEN: ContextVar[Meter | None] = ContextVar("meter", default=None)


def made_once(kept: dict[Any, tuple[Made, Bill | None]], name: object, make: Callable[[], Made]) -> Made:
    """What `kept` holds under a name, computed the first time; every method that uses it is charged its cost."""
    meter = _OPEN.get()
    if name in kept:
        result, bill = kept[name]
        if meter is not None and bill is not None:
            meter.charge(bill)
    elif meter is None:
        result = make()
        kept[name] = (result, None)
    else:
        with meter.sharing() as bill:
            result = make()
        kept[name] = (result, bill)
    return result


@contextmanager
def uncounted() -> Iterator[None]:
    """Count no pass for what is done inside, which concerns a small part of the model; seconds count."""
    meter = _OPEN.get()
    before = None if meter is None else meter.passes
    try:
        yield
    finally:
        if meter is not None and before is not None:
            meter.passes = before


class metered(cached_property):  # noqa: N801  used like functools.cached_property
    """A cached property whose cost is charged to every method that uses it, not only to the first."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else made_once(vars(instance), self.attrname, lambda: self.func(instance))

    # Having it, Python calls `__get__` even for a value that is kept
    def __set__(self, _instance: object, _value: object) -> None:
        raise AttributeError(f"{self.attrname} is computed and cannot be set")
