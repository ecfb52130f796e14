"""Compiling the few loops that must be fast (numba), once on a machine where a cache can be kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba
import numpy as np

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


@inner
def ones(word: np.uint64) -> np.int64:
    """How many bits are set, adding pairs, nibbles and bytes (Warren, Hacker's Delight, 5-1)."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


LANES = np.uint64(0x0001000100010001)
"""One in each of four lanes of 16 bits: what to multiply a number of 16 bits by."""
TOPS = np.uint64(0x8000800080008000)
"""The top bit of each lane."""


@inner
def beyond(word: np.uint64, bias: np.uint64) -> np.uint64:
    """The top bit of each of four lanes of 16 bits: whether more are set in it than `bias` allows for, which is 0x7FFF
    less the most, in each lane."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    word = (word + (word >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    more: np.uint64 = (word + bias) & TOPS
    return more
