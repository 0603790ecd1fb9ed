"""What the cells of a table hold: values, which each format turns into text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A name, or a few words."""

    text: str


@dataclass(frozen=True)
class AtLayer:
    """A layer, counted from 1; 0 for a method without layers."""

    layer: int


@dataclass(frozen=True)
class Number:
    """One number; NaN is left blank. `form` is a format specification."""

    value: float
    form: str = "z.2f"


@dataclass(frozen=True)
class MeanStd:
    """A mean and the standard deviation over examples.

    Args:
        above_floors: False for an explainer that is not significantly above every floor.
    """

    mean: float
    std: float
    above_floors: bool = True


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval.

    Args:
        low: NaN where there is no interval, as is `high`.
        group: letters shared by cells that are not significantly different.
        above_floors: as in `MeanStd`.
        form: the format specification of the mean.
    """

    mean: float
    low: float
    high: float
    group: str = ""
    above_floors: bool = True
    form: str = "z.2f"


@dataclass(frozen=True)
class Reliability:
    """The agreement of two halves of a method's random draws, with its 95% interval."""

    mean: float
    low: float
    high: float

    @property
    def of_all_draws(self) -> float:
        """What the Spearman-Brown formula predicts for all draws together."""
        return 2 * self.mean / (1 + self.mean)


@dataclass(frozen=True)
class BestLayer:
    """A mean, its group's letters, and the layer at which it was measured."""

    mean: float
    group: str
    layer: int


@dataclass(frozen=True)
class Count:
    """The smallest and the largest of the counts of several layers."""

    low: int
    high: int


@dataclass(frozen=True)
class PValue:
    """A p-value; NaN is left blank."""

    p: float


@dataclass(frozen=True)
class Same:
    """The explainer's scores are identical to the reference's."""


@dataclass(frozen=True)
class Undefined:
    """No example has a value."""


@dataclass(frozen=True)
class Empty:
    """Nothing belongs here."""


Cell = (
    Text | AtLayer | Number | MeanStd | Estimate | Reliability | BestLayer | Count | PValue | Same | Undefined | Empty
)
