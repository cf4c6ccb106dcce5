"""The dictionary steps (17), (19), (21) and the objective, on the small matrices of METHOD (M2) only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.kernels.projection import project_box


@dataclass(frozen=True)
class Dictionaries:
    """Endmembers of both layers and colours of the visible one, entries in [0, 1]."""

    Dv: np.ndarray
    """(n_v, n_channel) float64."""
    Dnv: np.ndarray
    """(n_nv, n_channel) float64."""
    Drgb: np.ndarray
    """(n_v, n_band) float64."""


@dataclass(frozen=True)
class Statistics:
    """Sums over the whole painting that the dictionary steps need, float64; A = [Av, Anv], gains included."""

    P: np.ndarray
    """(n, n): (S A)^T (S A), the blocks Pvv, Pvn, Pnn of (M2)."""
    Q: np.ndarray
    """(n, n_channel): (S A)^T X, the blocks Qv, Qn."""
    R: np.ndarray
    """(n_v, n_v): Av^T Av."""
    Ri: np.ndarray
    """(n_v, n_band): Av^T I."""
    T: np.ndarray
    """(n_nv, n_nv): Anv^T L Anv."""
    xx: float
    """|X|^2."""
    ii: float
    """|I|^2."""


@dataclass(frozen=True)
class Objective:
    """Value of (9) and its parts, in scaled units."""

    data: float
    """|X - S Y|^2."""
    photograph: float
    """|I - Av Drgb|^2."""
    smoothness: float
    """lam |G Anv Dnv|^2."""

    @property
    def total(self) -> float:
        """The objective (9)."""
        return self.data + self.photograph + self.smoothness


def spot_statistics(SA: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """P, Q and |X|^2 of some spots: SA (n_spot, n) with the gain in it, X (n_spot, n_channel), float32."""
    wide = SA.astype(np.float64)
    return wide.T @ wide, (SA.T @ X).astype(np.float64), float(np.square(X, dtype=np.float64).sum())


def update_dictionaries(
    D: Dictionaries, sums: Statistics, *, lam: float, gamma: float, steps: int
) -> Dictionaries:
    """Lines 4-6 of Algorithm 1: Drgb by (17), Dv by (19), Dnv by (21), each iterated to convergence."""
    n_v = len(D.Dv)
    Pvv, Pvn, Pnn = sums.P[:n_v, :n_v], sums.P[:n_v, n_v:], sums.P[n_v:, n_v:]
    Qv, Qn = sums.Q[:n_v], sums.Q[n_v:]
    Drgb = minimise_in_box(D.Drgb, sums.R, sums.Ri, gamma=gamma, steps=steps)
    Dv = minimise_in_box(D.Dv, Pvv, Qv - Pvn @ D.Dnv, gamma=gamma, steps=steps)
    Dnv = minimise_in_box(D.Dnv, Pnn + lam * sums.T, Qn - Pvn.T @ Dv, gamma=gamma, steps=steps)
    return Dictionaries(Dv=Dv, Dnv=Dnv, Drgb=Drgb)


def minimise_in_box(
    D: np.ndarray,
    G: np.ndarray,
    Q: np.ndarray,
    *,
    gamma: float,
    steps: int,
    tolerance: float = 1e-6,
    upper: float = 1.0,
) -> np.ndarray:
    """Minimise ``<D, G D> / 2 - <D, Q>`` over entries in [0, `upper`].

    All three dictionary problems have this form. Projected gradient with step ``1 / (gamma |G|_F)``, the
    paper's, made faster by inertia that restarts whenever it points uphill (Beck and Teboulle 2009;
    O'Donoghue and Candes 2015), until a step moves D by less than `tolerance` of its norm.

    Parameters
    ----------
    D : float64 array of shape (m, n)
        Where to start.
    G : float64 array of shape (m, m), positive semi-definite
    Q : float64 array of shape (m, n)
    """
    lipschitz = gamma * float(np.linalg.norm(G))
    if lipschitz == 0:
        return D
    ahead, t = D, 1.0
    for _ in range(steps):
        new = project_box(ahead - (G @ ahead - Q) / lipschitz, upper)
        move = new - D
        if float(np.vdot(ahead - new, move)) > 0:
            t = 1.0
        t_new = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        ahead, D, t = new + ((t - 1.0) / t_new) * move, new, t_new
        if float(np.linalg.norm(move)) <= tolerance * float(np.linalg.norm(D)):
            break
    return D


def objective(D: Dictionaries, sums: Statistics, *, lam: float) -> Objective:
    """The objective (9) and its parts from the statistics alone (METHOD, section 5)."""
    both = np.concatenate([D.Dv, D.Dnv])
    data = sums.xx - 2.0 * np.vdot(sums.Q, both) + np.vdot(sums.P, both @ both.T)
    photograph = 0.0  # without visible atoms the photograph has no term (28)
    if len(D.Dv):
        photograph = sums.ii - 2.0 * np.vdot(sums.Ri, D.Drgb) + np.vdot(sums.R, D.Drgb @ D.Drgb.T)
    smooth = lam * np.vdot(sums.T, D.Dnv @ D.Dnv.T)
    return Objective(*(max(float(part), 0.0) for part in (data, photograph, smooth)))
