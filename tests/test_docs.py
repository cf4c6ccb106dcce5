"""What the pages print can be typed, what they link to is there, and the site is built without a warning."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import xrfsr_dask
from xrfsr_dask.cli.door import command_line, joined
from xrfsr_dask.result import XrfAccessor

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "xrfsr_dask/solver/METHOD.md", *DOCS]
WRITTEN = [page for page in PAGES if page.parent.name != "experiments"]


def commands(page: Path) -> list[str]:
    """Indented lines that run `xrfsr`, without their comments."""
    lines = re.findall(r"^    (?:.*&& )?(xrfsr [^#\n]*)", page.read_text(), re.MULTILINE)
    return [command.strip() for line in lines for command in line.split(";")]


ALL_COMMANDS = [(page.relative_to(ROOT).as_posix(), command) for page in WRITTEN for command in commands(page)]


def test_the_pages_print_every_command():
    assert {command.split()[1] for _, command in ALL_COMMANDS} >= set(command_line()) - {"xrfsr"}


@pytest.mark.parametrize(("page", "command"), ALL_COMMANDS)
def test_a_printed_command_is_one(page, command):
    command_line()["xrfsr"].parse_args(joined(shlex.split(command)[1:]))


@pytest.mark.parametrize("name", [name for name in command_line() if name != "xrfsr"])
def test_the_help_of_a_command_explains_every_word_and_ends_with_an_example(name):
    parser = command_line()[name]
    unexplained = [action.dest for action in parser._actions if not action.help]
    assert not unexplained
    words = shlex.split(parser.epilog.removeprefix("example: "))
    assert command_line()["xrfsr"].parse_args(joined(words[1:])).command == name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_printed_python_is_python(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        compile(block, str(page), "exec")


def test_the_architecture_page_draws_the_rooms_there_are():
    text = (ROOT / "docs/architecture.md").read_text()
    drawn = set(re.findall(r"^      (\w+)(?:/|\.py) ", text, re.MULTILINE))
    there = {path.stem for path in (ROOT / "xrfsr_dask").iterdir() if not path.name.startswith("__")}
    assert drawn == there


class Asked(HTMLParser):
    """What a page loads, and the names that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.names.add(given.get("id", ""))
        if tag in ("script", "img", "link", "iframe") and (address := given.get("src") or given.get("href")):
            self.loaded.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built so that a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "--keep-going", "-c", "docs", "-b", "html", ".", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.slow
def test_the_site_loads_nothing_from_the_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert not [address for address in Asked(page.read_text()).loaded if "//" in address]


@pytest.mark.slow
def test_the_reference_holds_every_public_name_and_command(site):
    names = Asked((site / "docs/reference/python.html").read_text()).names
    public = [f"xrfsr_dask.{name}" for name in xrfsr_dask.__all__ if name != "XrfsrError"]
    asked = [f"xrfsr_dask.result.XrfAccessor.{name}" for name in vars(XrfAccessor) if name[0] != "_"]
    assert names >= {*public, *asked, "xrfsr_dask.errors.XrfsrError"}
    headings = Asked((site / "docs/reference/command-line.html").read_text()).names
    assert headings >= set(command_line())


@pytest.mark.slow
def test_a_notebook_is_a_page_with_its_figures(site):
    page = (site / "notebooks/01_from_patches_to_hidden_layer.html").read_text()
    assert "From patches to the hidden layer" in page
    assert "# %%" not in page
    assert page.count("<img") == 4


@pytest.mark.slow
def test_the_tutorial_can_be_done(tmp_path):
    """All but what serves until it is stopped; the Python too, as printed."""
    page = ROOT / "docs/tutorial.md"
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    typed = [command for command in commands(page) if "browse" not in command]
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    steps = [["-m", "xrfsr_dask", *shlex.split(command)[1:]] for command in typed] + [["-c", block]]
    for words in steps:
        done = subprocess.run(
            [sys.executable, "-W", "error", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "Warning" not in done.stderr
    named = re.findall(r"`((?:demo|hidden)/[\w./-]+)`", page.read_text())
    assert len(named) >= 4
    for name in named:
        assert (tmp_path / name).exists(), name
