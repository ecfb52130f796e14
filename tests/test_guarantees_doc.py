"""What docs/guarantees.md says stands in its tables, and what it shows is what the code makes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.acceptance import guarantees, guarantees_counts, guarantees_missed
from tests.acceptance.guarantees_plots import coverage_plot, looks_plot

PAGE = guarantees.PAGE.read_text()
Row = dict[str, str]


def table(name: str) -> list[Row]:
    """The lines of a table of the page, by its heads."""
    part = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", PAGE, re.S)
    assert part, name
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part[1].split("\n") if line]
    return [dict(zip(head, line, strict=True)) for line in lines]


def number(text: str) -> float:
    return float(text.rstrip("%").replace(",", "")) / (100 if text.endswith("%") else 1)


def test_the_examples_are_what_the_code_makes() -> None:
    assert guarantees.filled(PAGE, guarantees.examples()) == PAGE


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places for looks"):
        guarantees.filled("<!-- other -->\n<!-- end -->\n", {"looks": "| 1 |"})


def test_every_certificate_was_true_as_often_as_stated() -> None:
    rows = table("missed-coverage")
    assert {row["population"] for row in rows} == {f"{size:,}" for size in guarantees_missed.POPULATIONS}
    shown = [(row[f"true, of {stated}% stated"], stated / 100, row["cases a setting"])
             for row in rows for stated in (95, 99)]  # fmt: skip
    counted = table("counts-coverage")
    assert len(counted) == 9
    shown += [(row["true"], number(row["stated"]), row["cases"]) for row in counted]
    for true, stated, cases in shown:
        chance = 0 if cases == "exact" else 4 * (stated * (1 - stated) / number(cases)) ** 0.5
        assert number(true) >= stated - chance, (true, stated, cases)


def test_looks_stay_within_the_limits_that_the_page_names() -> None:
    for row in table("missed-looks"):
        assert number(row["times the least, fixed"]) <= 1.1
        assert max(number(row[name]) for name in ("any time", "a tenth there") if row[name]) <= 1.35
    good = [
        row for row in table("counts-looks") if (row["scores"], row["wrong claims are"]) == ("good", "of no category")
    ]
    assert {row["population"] for row in good} == {"20,000", "100,000", "1,000,000"}
    for row in good:
        assert number(row["looks at claimed"]) <= guarantees_counts.GOALS[round(1 - number(row["within"]), 2)]


def test_the_page_for_the_prosecutor_is_one_page() -> None:
    first = PAGE[: PAGE.index("## For the statistician")]
    assert len(first.split()) <= 720
    assert "for the prosecutor and the court to say" in first


def test_the_plots_of_a_quick_run_are_pictures_with_a_dot_for_each_setting() -> None:
    looks = guarantees_missed.economy_table(20)
    assert guarantees.looks_for_missed(looks).count("\n") == 1 + 3 * 2 * 4
    rows = [{"model": "good", "stated": 0.95, "covered": 0.97}, {"scheme": "fixed", "stated": 0.95, "covered": 0.96}]
    for plot, dots in ((looks_plot(looks), len(looks)), (coverage_plot(rows), 2)):
        assert sum(each.tag.endswith("circle") for each in ET.fromstring(plot).iter()) == dots


@pytest.mark.parametrize("name", ["coverage", "looks"])
def test_the_pictures_are_there(name: str) -> None:
    picture = ET.parse(guarantees.DOCS / "pictures" / f"guarantees-{name}.svg").getroot()
    assert sum(each.tag.endswith("circle") for each in picture.iter()) > 50
