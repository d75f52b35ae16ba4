"""From the engine that was asked for to the one that evaluates an update; warnings say where they differ."""

import warnings

import torch

from metabalance.meta.algorithm import Algorithm, OuterGradient
from metabalance.meta.captured import CapturedEngine, CaptureError
from metabalance.meta.choice import choose_engine
from metabalance.meta.compiled import CompilationError, CompiledEngine
from metabalance.meta.engines import loop, vectorized
from metabalance.meta.functional import first_line
from metabalance.meta.update import Update

ENGINES = ("auto", "loop", "vectorized", "compiled", "captured")


class Dispatcher:
    """Evaluates outer gradients by the engine asked for; where it cannot, by the next best from then on.

    Parameters
    ----------
    engine : str
        One of ENGINES; "auto" is decided at the first update.
    updates : int or None
        How many updates there will be, if that is known.
    """

    def __init__(self, engine: str, updates: int | None) -> None:
        self.engine = engine
        self._is_free = engine == "auto"
        self._updates = updates
        self._compiled = CompiledEngine()
        self._captured = CapturedEngine()

    def __call__(self, algorithm: Algorithm, update: Update) -> OuterGradient:
        """Return the outer gradient of one update."""
        if self.engine == "auto":
            self.engine = choose_engine(algorithm.model, update, self._updates)
        if self.engine == "captured":
            try:
                return self._captured(algorithm, update)
            except CaptureError as error:
                reason = first_line(error)
            self.engine = "loop"
            warnings.warn(
                f"the meta step of {type(algorithm.model).__name__} cannot be recorded as a CUDA graph "
                f"({reason}): engine='loop' is used from now on; pass it to silence this warning",
                UserWarning,
                stacklevel=3,
            )
        if self.engine == "loop":
            return loop(algorithm, update)
        try:
            if self.engine == "compiled":
                try:
                    return self._compiled(algorithm, update)
                except CompilationError as error:
                    reason = first_line(error)
                fallback = choose_engine(algorithm.model, update, None) if self._is_free else "vectorized"
                # An error that is not the compiler's is raised here, and nothing is switched.
                outer = loop(algorithm, update) if fallback == "loop" else vectorized(algorithm, update)
                self.engine = fallback
                warnings.warn(
                    f"the update of {type(algorithm.model).__name__} cannot be compiled ({reason}): "
                    f"engine={fallback!r} is used from now on, which is slower. torch.compile needs a C++ "
                    f"compiler and Python's header files; pass engine={fallback!r} to silence this warning",
                    UserWarning,
                    stacklevel=3,
                )
                return outer
            return vectorized(algorithm, update)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if not self._is_free:
                error.add_note(
                    f"engine={self.engine!r} runs under torch.func.vmap; engine='loop' takes any model"
                )
                raise
            reason = first_line(error)
        outer = loop(algorithm, update)  # an error that is the model's own is raised here, in plain words
        self.engine = "loop"
        warnings.warn(
            f"{type(algorithm.model).__name__} cannot run under torch.func.vmap ({reason}): engine='loop' is "
            "used from now on, which is slower; pass engine='loop' to silence this warning",
            UserWarning,
            stacklevel=3,
        )
        return outer
