"""A few routines of SciPy's LAPACK without Python's lock.

SciPy's own wrappers hold the lock as long as they work, so that tasks in threads factor their matrices one
after the other. `scipy.linalg.cython_lapack` has the same routines as C functions, and `ctypes` lets go of the
lock.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np
from numba.extending import get_cython_function_address

_LETTER = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}
_BLOCK = 64  # columns that are reduced together


def factor(A: np.ndarray) -> bool:
    """Cholesky's factor of a symmetric matrix in its own place; whether it is positive definite.

    Parameters
    ----------
    A : float32 or float64 array of shape (n, n), C order
        Becomes the transpose of the lower factor; what lies below its diagonal is left as it was.
    """
    n = len(_square(A))
    return _call("potrf", A.dtype, "L", n, A, n) == 0


def solved(factored: np.ndarray, B: np.ndarray) -> np.ndarray:
    """``K^-1 B`` (n, k), a new array of the factor's type, for K as `factor` left it."""
    n = len(_square(factored))
    X = np.array(B, factored.dtype, order="F")
    _call("potrs", factored.dtype, "L", n, X.shape[1], factored, n, X, n)
    return X


def solve_lower(L: np.ndarray, B: np.ndarray) -> None:
    """Put ``L^-1 B`` in the place of B.

    Parameters
    ----------
    L : float array of shape (n, n), C order
        Lower triangle; what lies above is not read.
    B : array of shape (n, k) of the same type, Fortran order
    """
    n = len(_square(L))
    if B.dtype != L.dtype or not B.flags.f_contiguous:
        raise ValueError("B must be of L's type and in Fortran order.")
    if _call("trtrs", L.dtype, "U", "T", "N", n, B.shape[1], L, n, B, n):  # as LAPACK sees it, L is turned
        raise np.linalg.LinAlgError("a triangular matrix has a zero on its diagonal.")


def tridiagonal(K: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A symmetric matrix in tridiagonal form ``Q^T K Q``, and ``Q^T Z``.

    Parameters
    ----------
    K : float64 array of shape (n, n)
    Z : float64 array of shape (n, k)

    Returns
    -------
    diagonal (n,), below (n - 1,), turned (n, k) : float64
    """
    n, k = Z.shape
    reduced, turned = np.array(K, np.float64, order="F"), np.array(Z, np.float64, order="F")
    diagonal, below, reflectors = np.empty(n), np.empty(n), np.empty(n)
    work = np.empty(_BLOCK * max(n, k, 1))
    _call("sytrd", work.dtype, "L", n, reduced, n, diagonal, below, reflectors, work, work.size)
    _call("ormtr", work.dtype, "L", "L", "T", n, k, reduced, n, reflectors, turned, n, work, work.size)
    return diagonal, below[: n - 1], turned


def eigenvalues(diagonal: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Eigenvalues (n,) of a tridiagonal matrix, float64, rising."""
    out, rest = np.array(diagonal, np.float64), np.array(below, np.float64)
    if _call("sterf", out.dtype, len(out), out, rest):
        raise np.linalg.LinAlgError("eigenvalues of a tridiagonal matrix were not found.")
    return out


def _square(A: np.ndarray) -> np.ndarray:
    if A.ndim != 2 or A.shape[0] != A.shape[1] or not A.flags.c_contiguous:
        raise ValueError(f"a square matrix in C order was expected, got shape {A.shape}.")
    return A


def _call(name: str, dtype: np.dtype, *given: str | int | np.ndarray) -> int:
    """Call a routine with letters, sizes and arrays, which LAPACK takes by their places; its ``info``."""
    held = [_c(value) for value in (*given, 0)]
    places = [one.ctypes.data if isinstance(one, np.ndarray) else ctypes.addressof(one) for one in held]
    _routine(_LETTER[dtype] + name, len(places))(*places)
    info = held[-1]
    assert isinstance(info, ctypes.c_int)
    return info.value


def _c(value: str | int | np.ndarray) -> ctypes.c_char | ctypes.c_int | np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return ctypes.c_char(value.encode()) if isinstance(value, str) else ctypes.c_int(value)


@functools.cache
def _routine(name: str, n: int) -> Callable[..., None]:
    address = get_cython_function_address("scipy.linalg.cython_lapack", name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n)(address)
