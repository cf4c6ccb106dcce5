"""What an element's lines look like on an energy axis: one shape a shell, intensities by xraylib's cascades.

Each shape is a thin film's under the tube's continuum: the share of lines within a shell, as the detector sees
them. What absorbs lines of a shell differently (a thick film, varnish) is left to `uncertainty.SHAPE_ERROR`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.tables import FANO_KEV, USUAL_KEV, check_line, fwhm_kev, siegbahn, usual_line

_LOOKED_FOR = (
    "Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn As Se Br Rb Sr Zr Mo Ag Cd Sn Sb I Ba Au Hg Pb Bi"
)
ELEMENTS = tuple(_LOOKED_FOR.split())
"""What paintings are made of, and argon of the air: the elements that are looked for unasked. Each more,
however rare, takes counts from those whose lines it shares: vanadium lives on Ba Lb and Ti Kb."""

_LOWEST_KEV, _HIGHEST_KEV = 0.9, 38.0  # of lines; below, air and window leave nothing
_WEAKEST = 2e-4  # share of a shell's photons below which a line is passed over
_REACH = 5.0  # standard deviations a peak is drawn to
_CORE = 1.0  # FWHM to both sides of the main line in which shells are told apart

_LINES = (
    "KL2 KL3 KM2 KM3 KN2 KN3 L1M2 L1M3 L1N2 L1N3 L2M1 L2M4 L2N1 L2N4 L2O4 L3M1 L3M4 L3M5 L3N1 L3N4 L3N5 L3O45 "
    "L1M4 L1M5 L1O2 L1O3 L2M3 L2O1 L3M2 L3M3 L3O1 M1N2 M1N3 M1O3 M2N1 M2N4 M2O1 M2O4 M3N1 M3N4 M3N5 M3O1 M3O4 "
    "M3O5 M4N2 M4N3 M4N6 M4O2 M5N3 M5N6 M5N7 M5O3"
)
_TRANSITIONS = tuple(_LINES.split())
_FAMILIES = {
    "Ka": ("KL",), "Kb": ("KM", "KN"), "La": ("L3M4", "L3M5"), "Ll": ("L3M1",), "Ln": ("L2M1",),
    "Lb": ("L2M4", "L1M", "L3N", "L3O"), "Lg": ("L2N", "L2O", "L1N"), "Ma": ("M5N",), "Mb": ("M4N",),
}  # fmt: skip
_MAIN = {"K": "Ka", "L": "La", "M": "Ma"}
_TUBE_LINES = {"Rh": (20.165, 22.72), "Mo": (17.44, 19.61), "Ag": (22.10, 24.94), "Pd": (21.12, 23.82)}
ANODES = tuple(_TUBE_LINES)
"""Of tubes whose K lines are known, the usual one of scanners first."""

SILICON_KEV = 1.740
"""What a photon that loses a Si K photon out of the detector is counted lower by."""
_SILICON_EDGE_KEV = 1.839
_EDGES = {"K": ("K",), "L": ("L1", "L2", "L3", "K"), "M": ("M1", "M2", "M3", "M4", "M5", "L3", "K")}
_SOFTEST_KEV, _NODES = 1.0, 6  # of the tube's light; points of a quadrature between two edges
_BACKSCATTER = -0.93  # cosine of the usual angle between tube and detector
_COMPTON_SIGMA_KEV = 0.22  # Doppler broadening and spread of angles
_SCATTER_KEV = 0.75, 0.5  # below a tube's softest Compton peak, above its hardest line: any angle and width


@dataclass(frozen=True)
class Shell:
    """Lines of one shell of an element, or of the tube's light thrown back."""

    element: str
    """Chemical symbol; "tube" for scattered light."""
    shell: str
    """ "K", "L" or "M"; "Rayleigh" or "Compton" for scattered light."""
    lines: tuple[tuple[str, float, float], ...]
    """(transition, keV, share of the shell's photons as detected), the shares summing to one."""
    extra_kev: float = 0.0
    """Standard deviation beyond the detector's, keV."""
    anode: str = ""
    """Of the tube whose scattered light it is."""

    @property
    def main_kev(self) -> float:
        """Energy of the main family, mean by intensity, keV."""
        if self.shell not in _MAIN:
            return self.lines[0][1]
        chosen = [(kev, share) for name, kev, share in self.lines if _in(name, _MAIN[self.shell])]
        return sum(kev * share for kev, share in chosen) / sum(share for _, share in chosen)

    @property
    def name(self) -> str:
        """Element and main line, ``"Cr Ka"``."""
        return f"{self.element} {_MAIN.get(self.shell, self.shell)}"

    def share(self, line: str) -> float:
        """Share of a line or family, ``"Ka"``, in the shell's photons; 0 where it has none."""
        if line in _FAMILIES:
            return sum(share for name, _, share in self.lines if _in(name, line))
        import xraylib

        code = getattr(xraylib, f"{line.upper()}_LINE", None)
        return sum(s for name, _, s in self.lines if getattr(xraylib, f"{name}_LINE", None) == code)


def shells_on(energy_kev: np.ndarray, elements: Iterable[str], tube: str, tube_kv: float) -> list[Shell]:
    """Shells of `elements` whose main line lies on an axis, then the scattered lines of the tube's anode.

    Parameters
    ----------
    energy_kev : float array of shape (n_channel,), keV
    elements : chemical symbols
    tube : str
        Anode; one whose scattered K lines are unknown adds none.
    tube_kv : float, kV
    """
    low, high = max(float(energy_kev[0]), _LOWEST_KEV), min(float(energy_kev[-1]), tube_kv, _HIGHEST_KEV)
    names = list(elements)
    found = [shell for element in names for shell in _shells(element, tube_kv)]
    thrown_back = [s for s in _scattered(tube, tube_kv) if s.shell != "L" or tube not in names]
    return [s for s in found + thrown_back if low < s.main_kev < high]


def fitted_line(
    energy_kev: np.ndarray, element: str, line: str | None = None, *, tube: str = "Rh", tube_kv: float = 50.0
) -> tuple[str, str]:
    """Element and line as they are written, ``("Pb", "La")``; the usual line where none is named.

    Raises
    ------
    InputError
        It does not lie on the axis, or is none of the lines that are fitted together there: a shell is where
        its main line lies on the axis, below the tube's voltage, and is not lost in air.
    """
    line = usual_line(energy_kev, element) if line is None else line
    check_line(energy_kev, element, line)
    element, line = element.strip().capitalize(), siegbahn(line)
    energy = np.asarray(energy_kev, float)
    shells = [s for s in shells_on(energy, (element,), tube, tube_kv) if s.element == element]
    if any(shell.share(line) > 0 for shell in shells):
        return element, line
    there = [family for family in _FAMILIES if any(shell.share(family) > 0 for shell in shells)]
    instead = f"its {', '.join(there)} are" if there else "none of its lines is"
    raise InputError(
        f"{element} {line} is not among the lines that are fitted together on {energy[0]:.3f} to "
        f"{energy[-1]:.3f} keV, {instead}; in Python, background='linear' counts the window of a line."
    )


def share_of(element: str, line: str, shells: Iterable[Shell]) -> np.ndarray:
    """Share of a line in the photons of each shell, float64 (n_shell,); 0 for shells of other elements."""
    return np.array([shell.share(line) if shell.element == element else 0.0 for shell in shells])


def known_by(element: str, shells: Iterable[Shell]) -> Shell | None:
    """The shell an element is recognised by: K up to 20 keV, else L, else M; the first there is."""
    there = [shell for shell in shells if shell.element == element]
    usual = [s for s in there if s.shell != "K" or s.main_kev < USUAL_KEV]
    return next(iter(usual or there), None)


def shapes(shells: list[Shell], energy_kev: np.ndarray, noise_kev2: float) -> np.ndarray:
    """Counts per channel of one detected photon of each shell, float64 (n_shell, n_channel)."""
    from scipy.special import ndtr

    width = float(energy_kev[1] - energy_kev[0])
    edges = np.append(energy_kev - 0.5 * width, energy_kev[-1] + 0.5 * width)
    lines = [
        (i, kev, share, shell.extra_kev) for i, shell in enumerate(shells) for _, kev, share in shell.lines
    ]
    out = np.zeros((len(shells), len(energy_kev)))
    if not lines:
        return out
    row, kev, share, extra = np.array(lines).T
    sigma = np.hypot(np.sqrt(noise_kev2 + FANO_KEV * kev), extra)
    first = np.maximum(np.searchsorted(edges, kev - _REACH * sigma) - 1, 0)
    last = np.minimum(np.searchsorted(edges, kev + _REACH * sigma), len(energy_kev))
    reach = np.maximum(last - first, 0)
    # the channels that each line reaches, one line after the other
    line = np.repeat(np.arange(len(lines)), reach)
    channel = first[line] + np.arange(reach.sum()) - np.repeat(np.cumsum(reach) - reach, reach)
    below, above = (ndtr((edges[channel + i] - kev[line]) / sigma[line]) for i in (0, 1))
    np.add.at(out, (row[line].astype(int), channel), share[line] * (above - below))
    return out


def escapes(shells: list[Shell], energy_kev: np.ndarray, noise_kev2: float) -> np.ndarray:
    """Counts per channel that escape adds to one detected photon of each shell, float64 (n_shell, n_channel).

    A photon that loses a Si K photon out of the detector is counted that much lower.
    """
    lost = iter(escaping([kev for shell in shells for _, kev, _ in shell.lines]).tolist())
    lines = [
        [(name, kev - SILICON_KEV, share * next(lost)) for name, kev, share in shell.lines] for shell in shells
    ]
    seen = [
        dataclasses.replace(shell, lines=tuple(line for line in own if line[2]))
        for shell, own in zip(shells, lines, strict=True)
    ]
    return shapes(seen, energy_kev, noise_kev2)


def cores(shells: list[Shell], energy_kev: np.ndarray, noise_kev2: float) -> np.ndarray:
    """The channels around each shell's main line, where it competes with others; bool (n_shell, n_channel)."""
    kev = np.array([shell.main_kev for shell in shells])
    half = np.array(
        [_CORE * fwhm_kev(e, noise_kev2) + shell.extra_kev for e, shell in zip(kev, shells, strict=True)]
    )
    half = np.maximum(half, 0.51 * abs(float(energy_kev[1] - energy_kev[0])))
    return np.asarray(np.abs(energy_kev - kev[:, None]) <= half[:, None])


@functools.lru_cache(maxsize=4096)
def _shells(element: str, tube_kv: float) -> tuple[Shell, ...]:
    import xraylib

    try:
        number = xraylib.SymbolToAtomicNumber(element)
    except ValueError as error:
        raise InputError(f"'{element}' is no chemical element; write its symbol, such as 'Pb'.") from error
    out = []
    for letter in "KLM":
        lines = list(_lines(number, letter, tube_kv))
        total = sum(share for _, _, share in lines)
        lines = [(name, kev, share) for name, kev, share in lines if share > _WEAKEST * total]
        total = sum(share for _, _, share in lines)
        shell = Shell(element, letter, tuple((name, kev, share / total) for name, kev, share in lines))
        if shell.share(_MAIN[letter]) > 0:
            out.append(shell)
    return tuple(out)


def _lines(number: int, letter: str, tube_kv: float) -> Iterator[tuple[str, float, float]]:
    """Lines of one shell: transition, keV, relative photons detected."""
    import xraylib

    excitation, photons = _continuum(number, letter, tube_kv)
    spectrum = list(zip(excitation.tolist(), photons.tolist(), strict=True))
    for name in (name for name in _TRANSITIONS if name.startswith(letter)):
        code = getattr(xraylib, f"{name}_LINE")
        try:
            kev = xraylib.LineEnergy(number, code)
        except ValueError:  # this element has no such line
            continue
        if _LOWEST_KEV < kev < _HIGHEST_KEV:
            made = sum(n * _production(number, code, e) for e, n in spectrum)
            if made > 0:
                yield name, float(kev), made * _detected(kev)


def _continuum(number: int, letter: str, tube_kv: float) -> tuple[np.ndarray, np.ndarray]:
    """Kramers' continuum, its soft end lost in the window and the optics: (keV, relative photons).

    Between the absorption edges of a shell, where what is made of it leaps, by Gauss and Legendre.
    """
    import xraylib

    edges = []
    for name in _EDGES[letter]:
        try:
            edges.append(float(xraylib.EdgeEnergy(number, getattr(xraylib, f"{name}_SHELL"))))
        except ValueError:  # this element has no such shell
            continue
    ends = sorted({e for e in edges if _SOFTEST_KEV < e < tube_kv} | {_SOFTEST_KEV, tube_kv})
    nodes, weights = _quadrature()
    low, high = np.array(ends[:-1])[:, None], np.array(ends[1:])[:, None]
    energy = (0.5 * (low + high) + 0.5 * (high - low) * nodes).ravel()
    width = (0.5 * (high - low) * weights).ravel()
    return energy, width * (tube_kv / energy - 1.0) * np.exp(-((6.0 / energy) ** 2))


# One by one: of xraylib's arrays each is spread over all cores, which wait for one another.
def _production(number: int, code: int, excitation_kev: float) -> float:
    import xraylib

    try:
        return float(xraylib.CS_FluorLine_Kissel_Cascade(number, code, excitation_kev))
    except ValueError:  # below the edge of the shell
        return 0.0


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


def _detected(kev: float) -> float:
    """Efficiency of a silicon drift detector, 0.45 mm thick, behind 12.5 um of beryllium."""
    import xraylib

    window = math.exp(-xraylib.CS_Total(4, kev) * 1.85 * 12.5e-4)
    return window * -math.expm1(-xraylib.CS_Total(14, kev) * 2.33 * 0.045)


def escaping(kev: ArrayLike) -> np.ndarray:
    """Counts in the escape peaks of lines by those in their own peaks, float64 (n,).

    Reed and Ware, J. Phys. E 5 (1972) 582.
    """
    import xraylib
    import xraylib_np

    energy = np.maximum(np.asarray(kev, float), _SILICON_EDGE_KEV)
    ratio = xraylib.CS_Total(14, SILICON_KEV) / xraylib_np.CS_Total(np.array([14]), energy)[0]
    share = 0.5 * xraylib.FluorYield(14, xraylib.K_SHELL) * (1 - 1 / xraylib.JumpFactor(14, xraylib.K_SHELL))
    lost = share * (1.0 - ratio * np.log1p(1.0 / ratio))
    return np.where(energy > _SILICON_EDGE_KEV, lost / (1.0 - lost), 0.0)


def _scattered(tube: str, tube_kv: float) -> Iterator[Shell]:
    """Lines of the tube's anode as the painting throws them back, its L lines as they come."""
    for i, kev in enumerate(_TUBE_LINES.get(tube, ())):
        yield Shell("tube", "Rayleigh", ((f"{tube}{i}", kev, 1.0),), anode=tube)
        yield Shell("tube", "Compton", ((f"{tube}{i}", _compton(kev), 1.0),), _COMPTON_SIGMA_KEV, tube)
    for shell in _shells(tube, tube_kv) if tube else ():
        if shell.shell == "L":
            yield dataclasses.replace(shell, element="tube", anode=tube)


def is_scatter(kev: float, anode: str) -> bool:
    """Whether K lines of a tube may be thrown back with this energy, at any angle."""
    if anode not in _TUBE_LINES:
        return False
    softest, hardest = min(_TUBE_LINES[anode]), max(_TUBE_LINES[anode])
    return _compton(softest) - _SCATTER_KEV[0] <= kev <= hardest + _SCATTER_KEV[1]


def _compton(kev: float) -> float:
    """Energy of a photon of the tube that an electron has thrown back."""
    return kev / (1.0 + kev / 511.0 * (1.0 - _BACKSCATTER))


def _in(transition: str, family: str) -> bool:
    return transition.startswith(_FAMILIES[family])
