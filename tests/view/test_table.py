"""Tables read the same by eye and by machine."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from xrfsr_dask.metrics import row_sums
from xrfsr_dask.view.table import as_csv, as_json, as_markdown, as_text, metric_rows

ROWS = [
    {
        "region": "whole",
        "method": "cubic",
        "pixels": 117952,
        "rmse": 7.5467,
        "psnr_db": 39.459,
        "sam_deg": 14.1,
    },
    {"region": "hidden", "method": "paper", "pixels": 12, "rmse": 0.61, "psnr_db": np.inf, "sam_deg": np.nan},
]


def test_numbers_stand_to_the_right_with_their_points_in_line():
    assert as_text(ROWS).splitlines() == [
        "region  method   pixels  RMSE (counts)  PSNR (dB)  SAM (deg)",
        "------  ------  -------  -------------  ---------  ---------",
        "whole   cubic   117,952         7.5467      39.46      14.10",
        "hidden  paper        12         0.6100        inf          –",
    ]


def test_markdown_aligns_numbers_to_the_right():
    lines = as_markdown(ROWS).splitlines()
    assert lines[1] == "| ------ | ------ | ------: | ------------: | --------: | --------: |"
    assert lines[2] == "| whole  | cubic  | 117,952 |        7.5467 |     39.46 |     14.10 |"
    assert len({len(line) for line in lines}) == 1


def test_csv_keeps_full_precision():
    read = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert [row["method"] for row in read] == ["cubic", "paper"]
    assert float(read[0]["rmse"]) == ROWS[0]["rmse"]


def test_columns_that_only_some_rows_have_leave_gaps():
    rows = [{"element": "Pb", "cubic": 0.91}, {"element": "S", "cubic": None, "paper": 0.5}]
    assert as_text(rows).splitlines()[2:] == ["Pb       0.9100       –", "S             –  0.5000"]
    assert as_csv(rows).splitlines() == ["element,cubic,paper", "Pb,0.91,", "S,,0.5"]


def test_json_holds_no_infinities_and_no_numpy():
    found = {"n": np.int64(3), "curve": np.array([1.0, np.inf]), "rows": ROWS}
    read = json.loads(as_json(found))
    assert (read["n"], read["curve"]) == (3, [1.0, None])
    assert (read["rows"][1]["psnr_db"], read["rows"][1]["sam_deg"]) == (None, None)


def test_tables_of_methods_stand_beside_each_other_by_region():
    rng = np.random.default_rng(0)
    truth, labels = rng.random((40, 5)), np.repeat([0, 1], 20)
    tables = {
        name: row_sums(truth + shift, truth, labels, ("elsewhere", "hidden")).table()
        for name, shift in (("cubic", 2.0), ("paper", 1.0))
    }
    rows = metric_rows(tables)
    assert [(row["region"], row["method"]) for row in rows] == [
        (region, method) for region in ("whole", "elsewhere", "hidden") for method in ("cubic", "paper")
    ]
    assert [round(row["rmse"], 9) for row in rows] == [2.0, 1.0] * 3


def test_csv_has_full_precision_for_numbers_of_every_type_and_nothing_for_gaps():
    values = [1 / 3, np.float32(1 / 3), np.float64(2 / 3), float("nan"), np.int64(7), None, float("inf")]
    text = as_csv([{"rmse": value} for value in values]).splitlines()
    assert text[0] == "rmse"
    assert [float(word) for word in text[1:4]] == [1 / 3, float(np.float32(1 / 3)), 2 / 3]
    assert text[2] == "0.3333333432674408"
    assert text[4:] == ['""', "7", '""', "inf"]
