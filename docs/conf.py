"""The documentation site, built by ``make docs``.

Its source folder is the repository: Markdown is taken in where it lies, so that a link works in both. Nothing
is copied: the command line and the notebooks become pages when they are read.
"""

import os
import re
from pathlib import Path

from xrfsr_dask import __version__
from xrfsr_dask.cli.door import command_line

project, author, version = "xrfsr_dask", "the authors of xrfsr_dask", __version__
copyright = "BSD-3-Clause"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
source_suffix = {".md": "markdown", ".py": "markdown"}
include_patterns = ["docs/**", "notebooks/*.py", "xrfsr_dask/solver/METHOD.md", "CHANGELOG.md"]
exclude_patterns = ["docs/*.py", ".*", "site", "demo", "experiments"]

html_theme, html_title = "furo", "xrfsr_dask"
html_show_sphinx = html_show_copyright = html_copy_source = False
highlight_language, default_role = "text", "literal"
myst_heading_anchors = 3
autodoc_typehints, autodoc_member_order = "none", "bysource"
napoleon_google_docstring = napoleon_use_param = napoleon_use_rtype = False


def setup(app):
    app.connect("source-read", as_page)
    app.connect("build-finished", open_at_the_root)


def as_page(app, name, source):
    """Markdown of what is none yet: notebooks, the words of the command line, tables without a heading."""
    if name.startswith("notebooks/"):
        source[0] = notebook(source[0])
    elif name == "docs/reference/command-line":
        source[0] += "".join(commands())
    elif name.startswith("docs/experiments/"):  # tables, linked to from docs/experiments.md
        tables = re.sub(r"^### ", "## ", source[0], flags=re.MULTILINE)
        source[0] = f"---\norphan: true\n---\n# {name.rpartition('/')[2].capitalize()}\n\n{tables}"


def notebook(text):
    """Cells of the percent format; after each the figures it saves, which ``make pictures`` keeps."""
    _, *cells = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    out = []
    for kind, cell in zip(cells[::2], cells[1::2], strict=True):
        if "markdown" in kind:
            out.append(re.sub(r"^# ?", "", cell, flags=re.MULTILINE))
            continue
        out.append(f"```python\n{cell.strip()}\n```\n")
        saved = re.findall(r'savefig\(folder / "([^"]+)"', cell)
        out += [f"![{Path(figure).stem}](../docs/figures/{figure})\n" for figure in saved]
    return "\n".join(out)


def commands():
    """A section for each command: what ``--help`` prints."""
    os.environ["COLUMNS"] = "100"
    for name, parser in command_line().items():
        yield f"\n## {name}\n\n```text\n{parser.format_help()}```\n"


def open_at_the_root(app, failure):
    if failure is None and app.builder.name == "html":
        page = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        (Path(app.outdir) / "index.html").write_text(page)
