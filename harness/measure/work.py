"""How much of a run's work is done: for a progress bar that can be believed."""

from collections import defaultdict
from collections.abc import Iterable

from harness.measure.methods import Methods

# Passes of the model, roughly, by what a method declares as its cost
PASSES = {"no pass": 0.05, "few passes": 3.0, "layer arithmetic": 3.0, "passes by step": 60.0}
BY_TOKEN = {"passes by token": 1.0, "passes by step and token": 30.0, "passes by set of tokens": 10.0}
DEEP = 300.0  # passes by step and layer
Step = tuple[str, str]  # the kind of a method and its name


class Work:
    """The steps of a run, each method on each batch: guessed at first, then by the seconds that they take."""

    def __init__(self, methods: Methods, batches: Iterable[tuple[int, int]]):
        """`batches` are those to come, each as its number of examples and of tokens in each."""
        self._methods = methods
        self._spent: dict[Step, float] = defaultdict(float)  # seconds
        self._used: dict[Step, float] = defaultdict(float)  # guessed work behind them
        self._left: dict[Step, float] = defaultdict(float)  # guessed work to come
        for examples, tokens in batches:
            for kind in ("explainer", "reference", "metric"):
                for name in getattr(methods, f"{kind}s"):
                    self._left[kind, name] += self._guess((kind, name), examples, tokens)

    def did(self, step: Step, examples: int, tokens: int, seconds: float) -> None:
        """A method has finished a batch."""
        guess = self._guess(step, examples, tokens)
        self._spent[step] += seconds
        self._used[step] += guess
        self._left[step] -= guess

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        spent = sum(self._spent.values())
        if not spent:
            return 0.0
        usual = spent / sum(self._used.values())
        rates = {step: self._spent[step] / self._used[step] if self._used[step] else usual for step in self._left}
        left = sum(max(0.0, work) * rates[step] for step, work in self._left.items())
        return spent / (spent + left)

    def _guess(self, step: Step, examples: int, tokens: int) -> float:
        kind, name = step
        times = len(self._methods.explainers) if kind == "metric" else 1
        cost = getattr(getattr(self._methods, f"{kind}s")[name], "cost", "few passes")
        passes = PASSES.get(cost) or (BY_TOKEN[cost] * tokens if cost in BY_TOKEN else DEEP)
        return times * examples * tokens * passes
