"""What the README says is what the commands wrote."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def tables(path):
    """The Markdown tables of a file, each a list of lines."""
    found, inside = [], False
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            found = found + [[]] if not inside else found
            found[-1].append(line)
        inside = line.startswith("|")
    return found


def test_the_readmes_results_are_those_of_the_table_that_was_written():
    written = tables("docs/table.md")
    assert written[0] in tables("README.md") and written[1] in tables("README.md")


def test_every_page_that_is_named_exists():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for name in page.read_text(encoding="utf-8").split("`")[1::2]:
            if (
                name.endswith(".md")
                and " " not in name
                and "/" not in name.removeprefix("docs/")
                and "*" not in name
            ):
                assert any(
                    (folder / name).is_file() for folder in (ROOT, ROOT / "docs")
                ) or name in ("table.md", "words.md"), f"{page}: {name}"
