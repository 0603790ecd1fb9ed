"""The linear models by which LIME, KernelSHAP and ContextCite approximate the network.

They implement the interface that Captum calls: fit, representation, and a call.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn import linear_model
from sklearn.preprocessing import StandardScaler
from torch import Tensor


@dataclass
class WeightedRegression:
    """Weighted least squares with an intercept that is not penalised.

    Args:
        ridge: penalty on the sum of squares of the coefficients.

    Attributes:
        coefficients: `[feature + 1]`, the intercept last; none before `fit`.
    """

    ridge: float = 0.0
    coefficients: Tensor | None = field(default=None, init=False)

    def fit(self, train_data: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Batches of features `[sample, feature]`, outputs `[sample]` and weights `[sample]`."""
        parts = [torch.cat(part).double() for part in zip(*train_data, strict=True)]
        # On the CPU: Captum's weights are there, and no solver of torch on a GPU takes a deficient rank
        features, outputs, weights = (part.cpu() for part in parts)
        design = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        root = weights[:, None].sqrt()
        penalty = torch.eye(design.shape[1], dtype=torch.float64) * self.ridge**0.5
        left = torch.cat([design * root, penalty[:-1].to(design)])
        right = torch.cat([outputs[:, None] * root, outputs.new_zeros(len(penalty) - 1, 1)])
        self.coefficients = torch.linalg.lstsq(left, right, driver="gelsd").solution[:, 0].to(parts[0].device)

    def representation(self) -> Tensor:
        """The coefficients without the intercept, `[feature]`."""
        if self.coefficients is None:
            raise ValueError("fit this model before asking for its coefficients")
        return self.coefficients[:-1]

    def __call__(self, features: Tensor) -> Tensor:
        """`[sample, feature] -> [sample]`."""
        return features.double() @ self.representation() + (0.0 if self.coefficients is None else self.coefficients[-1])


@dataclass
class Lasso:
    """Regression on standardised features with a penalty on the sizes of the coefficients; weights are not used.

    Args:
        alpha: the penalty, in relation to half the mean square error.

    Attributes:
        coefficients: `[feature]`, of the features as they are, zero for one that never varies; none before `fit`.
        intercept: none before `fit`.
    """

    alpha: float
    coefficients: Tensor | None = field(default=None, init=False)
    intercept: float = field(default=0.0, init=False)

    def fit(self, train_data: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Batches of features `[sample, feature]`, outputs `[sample]` and weights `[sample]`."""
        parts = [torch.cat(part).double().cpu() for part in zip(*train_data, strict=True)]
        features, outputs = parts[0].numpy(), parts[1].numpy()
        scaler, lasso = StandardScaler(), linear_model.Lasso(alpha=self.alpha, max_iter=100_000)
        lasso.fit(scaler.fit_transform(features), outputs)
        coefficients = np.asarray(lasso.coef_) / np.asarray(scaler.scale_)
        self.intercept = float(np.asarray(lasso.intercept_) - np.asarray(scaler.mean_) @ coefficients)
        self.coefficients = torch.from_numpy(coefficients)

    def representation(self) -> Tensor:
        """The coefficients without the intercept, `[feature]`."""
        if self.coefficients is None:
            raise ValueError("fit this model before asking for its coefficients")
        return self.coefficients

    def __call__(self, features: Tensor) -> Tensor:
        """`[sample, feature] -> [sample]`."""
        return features.double() @ self.representation().to(features.device) + self.intercept
