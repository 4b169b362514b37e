import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEY = re.compile(r"(?<=[\[ ])[A-Z][A-Za-z]+(?:19|20)\d\d[a-z]?(?=[\],])")


def entries() -> list[str]:
    text = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    return re.findall(r"^@\w+\{(\w+),$", text, flags=re.MULTILINE)


def test_every_key_cited_in_the_sources_is_in_the_bibliography():
    known = set(entries())
    places = ("gpupatch/**/*.py", "kernels/*.cu*", "notebooks/*.ipynb", "docs/*.md", "README.md")
    sources = [file for place in places for file in ROOT.glob(place)]
    cited = {source: set(KEY.findall(source.read_text(encoding="utf-8"))) for source in sources}
    missing = {source.name: keys - known for source, keys in cited.items() if keys - known}
    assert any(cited.values())
    assert missing == {}


def test_the_bibliography_lists_nothing_twice():
    keys = entries()
    assert len(keys) == len(set(keys))
