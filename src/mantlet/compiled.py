"""Compiling the few loops that must be fast (numba), once on a machine where a cache can be kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])

inner: Callable[[Function], Function] = numba.njit(error_model="numpy", nogil=True)
"""For a function that only kernels call: compiled with them, and cached with them. Never fastmath: hashes are exact."""


def kernel(*arguments: numba.types.Type) -> Callable[[Function], Function]:
    """Compiles a function now, for these argument types, so that none is compiled inside a worker's box."""

    def compile_(function: Function) -> Function:
        compiled: Function
        try:
            compiled = numba.njit(arguments, error_model="numpy", nogil=True, cache=True)(function)
        except (RuntimeError, OSError):  # numba finds no folder that it may write to, or the disk is full
            compiled = numba.njit(arguments, error_model="numpy", nogil=True)(function)
        return compiled

    return compile_
