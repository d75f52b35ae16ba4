"""Parameters that an estimator hands on: those of the network's class and of the optimizer's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from sklearn.base import BaseEstimator

FREE_PREFIXES = ("module__", "optimizer__")


class FreeParameters(BaseEstimator):
    """An estimator whose constructor takes ``module__…`` and ``optimizer__…`` parameters, skorch's way."""

    _free_parameters: Mapping[str, Any] = MappingProxyType({})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of the module and the optimizer included."""
        return {**super().get_params(deep=deep), **self._free_parameters}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, ``module__…`` and ``optimizer__…`` included."""
        free = {
            name: value
            for name, value in params.items()
            if name.startswith(FREE_PREFIXES) or name in self._free_parameters
        }
        super().set_params(**{name: value for name, value in params.items() if name not in free})
        self._keep_free_parameters({**self._free_parameters, **free})
        return self

    def check_free_parameters(self) -> None:
        """Raise TypeError for a parameter that nothing takes."""
        for name in self._free_parameters:
            if not name.startswith(FREE_PREFIXES):
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}; arguments of the network or the "
                    "optimizer start with module__ or optimizer__"
                )

    def _keep_free_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take the constructor's extra arguments; scikit-learn wants them checked in `fit`, not here."""
        if parameters:
            self._free_parameters = parameters

    def options_for(self, part: str) -> dict[str, Any]:
        """Return the ``module__…`` or ``optimizer__…`` parameters, without the prefix."""
        prefix = part + "__"
        return {n.removeprefix(prefix): v for n, v in self._free_parameters.items() if n.startswith(prefix)}
