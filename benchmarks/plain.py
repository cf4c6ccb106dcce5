"""The paper's updates (15)-(21) transcribed line by line: whole arrays, whole spectra, float64, no tricks.

The yardstick for what the engine computes and for how long it takes.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.kernels.smoothness import difference, difference_adjoint


def abundance_step(Av, Anv, X, I, S, Dv, Dnv, Drgb, *, lam, gamma):
    """(15a)-(15c) with the paper's prox; A (ny, nx, m), X (n_lr, B), I (ny, nx, 3), S sparse (n_lr, n_hr)."""
    dv = gamma * np.linalg.norm(Drgb.T @ Drgb)
    dnv = gamma * np.linalg.norm(Dnv @ Dnv.T)
    Vv = Av - (Av @ Drgb - I) @ Drgb.T / (dv or 1.0)
    n = Av.shape[0] * Av.shape[1]
    Y = Anv.reshape(n, -1) @ Dnv + Av.reshape(n, -1) @ Dv
    data = (S.T @ (S @ Y - X)) @ Dnv.T
    smooth = difference_adjoint(difference(Anv @ Dnv)).reshape(n, -1) @ Dnv.T
    Vnv = Anv - ((data + lam * smooth) / (dnv or 1.0)).reshape(Anv.shape)
    V = np.maximum(np.concatenate([Vv, Vnv], axis=-1), 0)
    total = V.sum(axis=-1, keepdims=True)
    V = np.where(total > 0, V / np.where(total > 0, total, 1), 1 / V.shape[-1])
    return V[..., : Av.shape[-1]], V[..., Av.shape[-1] :]


def dictionary_steps(Av, Anv, X, I, S, Dv, Dnv, Drgb, *, lam, gamma, steps):
    """(17), (19), (21), each `steps` times, clipped to [0, 1]."""
    n = Av.shape[0] * Av.shape[1]
    V, N = Av.reshape(n, -1), Anv.reshape(n, -1)
    SV, SN = S @ V, S @ N
    LN = difference_adjoint(difference(Anv)).reshape(N.shape)
    T = N.T @ LN
    for _ in range(steps):
        Drgb = Drgb - V.T @ (V @ Drgb - I.reshape(n, -1)) / (gamma * np.linalg.norm(V.T @ V) or 1.0)
        Drgb = np.clip(Drgb, 0, 1)
    for _ in range(steps):
        Dv = np.clip(Dv - SV.T @ (SV @ Dv + SN @ Dnv - X) / (gamma * np.linalg.norm(SV.T @ SV) or 1.0), 0, 1)
    for _ in range(steps):
        size = gamma * np.linalg.norm(SN.T @ SN + lam * T) or 1.0
        gradient = SN.T @ (SN @ Dnv + SV @ Dv - X) + lam * T @ Dnv
        Dnv = np.clip(Dnv - gradient / size, 0, 1)
    return Dv, Dnv, Drgb


def objective(Av, Anv, X, I, S, Dv, Dnv, Drgb, *, lam):
    """(9a)."""
    n = Av.shape[0] * Av.shape[1]
    Y = Av.reshape(n, -1) @ Dv + Anv.reshape(n, -1) @ Dnv
    colours = np.square(I - Av @ Drgb).sum() if len(Dv) else 0.0
    smooth = sum(np.square(d).sum() for d in difference(Anv @ Dnv))
    return np.square(X - S @ Y).sum() + colours + lam * smooth
