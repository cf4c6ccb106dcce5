"""Choices of a user: whatever is given in place of one is taken as it is meant, or refused in one sentence."""

import dataclasses
from decimal import Decimal

import numpy as np
import pytest

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import (
    AddOptions,
    BedroomOptions,
    ChartOptions,
    EvaluateOptions,
    RunOptions,
    SolveOptions,
)

NONSENSE = [
    "2",
    "",
    None,
    True,
    10**400,
    10**5000,
    -(10**5000),
    float("nan"),
    float("inf"),
    2j,
    np.complex64(1),
    np.bool_(True),
    np.array([1.0, 2.0]),
    Decimal("NaN"),
    b"2",
    [2],
    {},
    object,
]
GIVEN = {EvaluateOptions: {"factor": 2}, AddOptions: {"at_mm": (0.0, 0.0)}}
MAY_BE_NONE = {"tile", "workers", "scheduler", "name", "transform_file", "calibration", "inside", "spot_mm"}
MAY_BE_NONE |= {"step_mm", "dwell_s"}
NOT_ONE_NUMBER = {"shape", "spots", "overlap_spots", "elements", "at_mm"}
TEXT = {"name", "transform_file", "calibration", "inside"}
SWITCHES = {"processes", "resample", "hidden"}


def fields():
    for kind in (SolveOptions, RunOptions, AddOptions, EvaluateOptions, ChartOptions, BedroomOptions):
        for field in dataclasses.fields(kind):
            if field.name not in NOT_ONE_NUMBER | {"resample", "hidden"}:
                yield pytest.param(kind, field.name, id=f"{kind.__name__}-{field.name}")


@pytest.mark.parametrize(("kind", "name"), list(fields()))
def test_what_is_no_value_of_an_option_is_refused_in_one_sentence(kind, name):
    for value in NONSENSE:
        if (
            (value is None and name in MAY_BE_NONE)
            or (isinstance(value, str) and name in TEXT)
            or (value is True and name in SWITCHES)
        ):
            continue
        with pytest.raises(OptionError) as caught:
            kind(**(GIVEN.get(kind, {}) | {name: value}))
        told = str(caught.value)
        assert len(told) < 400
        assert "\n" not in told
        assert told.endswith(".")


def test_numbers_of_numpy_are_taken_as_pythons_own():
    options = SolveOptions(
        atoms=np.int8(5), smoothness=np.float32(0.5), gamma=np.float64(1.5), seed=np.uint64(3), tolerance=0
    )
    assert [type(v) for v in (options.atoms, options.smoothness, options.gamma, options.seed)] == [
        int, float, float, int
    ]  # fmt: skip
    assert (options.gamma, options.tolerance) == (1.5, 0.0)
    assert type(RunOptions(workers=np.int64(2), memory=np.uint32(10**9)).workers) is int
    assert SolveOptions(seed=2**100).seed == 2**100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gamma": "2"}, r"gamma must be more than 1 and at most 1e6, got '2'\."),
        ({"gamma": 1}, r"gamma must be more than 1 and at most 1e6, got 1\."),
        ({"smoothness": 10**400}, "smoothness must be >= 0 and at most 1e6, got 1000000"),
        ({"atoms": "many"}, r"atoms must be a whole number, got 'many'\."),
        ({"atoms": 10**5000}, r"atoms must lie between 1 and 1000, got a value of type int that cannot be"),
        ({"iterations": 0}, r"iterations must be at least 1, got 0\."),
        ({"iterations": 10**30}, r"iterations must be at most 9223372036854775807, got 1000"),
        ({"method": None}, "unknown method None; choose one of: joint, paper"),
        ({"prox": ["paper"]}, r"prox must be 'paper' or 'simplex', got \['paper'\]"),
    ],
)
def test_a_refusal_says_what_is_wanted_and_what_was_given(change, words):
    with pytest.raises(OptionError, match=words):
        SolveOptions(**change)
