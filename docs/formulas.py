"""Formulas of the pages as MathML, made when the site is built, so that pages load no script.

A formula that cannot be converted is a warning, which fails a strict build.
"""

import logging
import re
import unicodedata
from html import unescape
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# LaTeX that latex2mathml does not know, in its own words.
REWRITTEN = {
    r"(\\[bB]igg?[lrm]?)\\\|": r"\1‖",
    r"\\arg\s*\\(min|max)(?![a-zA-Z])": r"\\arg\1",
    r"\\(begin|end)\{aligned\}": r"\\\1{split}",
}
TAG = re.compile(r"\\tag\{(.*?)\}")
# Symbols that browsers would space or stretch as operators, though LaTeX does not.
ORDINARY, BARS, FENCES = "∞∂∇□\N{DOWN TACK}", "|‖", "|‖()[]{}⟨⟩"
LIMITS = {"max", "min", "arg\u2009max", "arg\u2009min", "sup", "inf"}
ALPHABETS = {"script": "SCRIPT", "double-struck": "DOUBLE-STRUCK", "bold": "BOLD"}
# Symbols that fit a line of a narrow screen.
LONG = 22
THIN = {"width": "0.167em"}

log = logging.getLogger("mkdocs.formulas")


def mathml(latex: str, display: str = "inline") -> str:
    r"""A formula as MathML that browsers space as LaTeX does; a `\tag` stands beside it.

    **Raises:** `ValueError` if a part of the formula is unknown.
    """
    source, tag = TAG.sub("", latex), TAG.search(latex)
    for pattern, replacement in REWRITTEN.items():
        source = re.sub(pattern, replacement, source)
    try:
        root = ElementTree.fromstring(convert(source, xmlns="", display=display))
    except Exception as error:  # the converter raises errors of many classes
        raise ValueError(f"formula {latex!r} cannot be converted: {error!r}") from error
    for element in root.iter():
        _token(element)
    for element in list(root.iter()):
        _layout(element)
    for element in root[0] if display == "block" else ():
        if element.tag == "msub" and element[0].text in LIMITS:
            element.tag = "munder"
    unknown = [text for text in root.itertext() if "\\" in text or "$" in text]
    if unknown or any(element.tag == "merror" for element in root.iter()):
        raise ValueError(f"formula {latex!r} has parts that cannot be converted: {unknown}")
    number = f'<span class="tag">({tag[1]})</span>' if tag else ""
    return ElementTree.tostring(root, encoding="unicode") + number


def on_page_content(html: str, page: Any, **_: object) -> str:
    """Replace the formulas of a page, each kept as LaTeX if it cannot be converted."""

    def typeset(match: re.Match[str]) -> str:
        kind, latex = match[1], unescape(match[2])
        try:
            formula = mathml(latex, "inline" if kind == "span" else "block")
        except ValueError as error:
            log.warning("%s: %s", page.file.src_uri, error)
            return match[0]
        if kind == "div":
            return f'<div class="formula">{formula}</div>'
        return f'<span class="long">{formula}</span>' if _is_long(formula) else formula

    return FORMULA.sub(typeset, html)


def _is_long(formula: str) -> bool:
    """Whether a formula in a line of text may be wider than a phone."""
    return len(re.findall(r"<m[ino]\b", formula)) > LONG


def _token(element: ElementTree.Element) -> None:
    """Class, spacing and alphabet of one symbol."""
    text = element.text or ""
    if element.tag not in ("mi", "mo", "mn") or not text:
        return
    if text in FENCES:
        element.tag = "mo"
        if "minsize" not in element.attrib:
            element.attrib.setdefault("stretchy", "false")
        if text in BARS:
            element.attrib.update(lspace="0", rspace="0")
    elif text in ORDINARY or _is_name(element):
        element.tag = "mi"
        element.attrib.pop("movablelimits", None)
    elif len(text) == 1 and unicodedata.category(text) == "Sm":
        element.tag = "mo"
    alphabet = ALPHABETS.get(element.attrib.get("mathvariant", ""))
    if alphabet:
        del element.attrib["mathvariant"]
        element.text = "".join(_letter(letter, alphabet) for letter in text)


def _layout(element: ElementTree.Element) -> None:
    """Accents and columns, and thin spaces about names of functions."""
    if element.tag == "mover" and element[1].tag == "mo":
        element.set("accent", "true")
        element[1].set("stretchy", "false")
    if align := element.attrib.pop("columnalign", None):
        element.set("style", f"text-align: {align}")
    if element.tag not in ("math", "mrow", "mtd", "mstyle"):
        return
    for before, after in pairwise(list(element)):
        if "mtable" in (before.tag, after.tag):
            for fence in (before, after):
                fence.attrib.pop("stretchy", None)
        names = [_is_name(_base(item)) for item in (before, after)]
        if any(names) and not {before.tag, after.tag} & {"mo", "mspace", "mtext"}:
            element.insert(list(element).index(after), ElementTree.Element("mspace", THIN))


def _base(element: ElementTree.Element) -> ElementTree.Element:
    return element[0] if element.tag in ("msub", "msup", "msubsup", "munder") else element


def _is_name(element: ElementTree.Element) -> bool:
    """Whether a symbol is the name of a function, such as `ln`."""
    text = element.text or ""
    return element.tag in ("mi", "mo") and len(text) > 1 and text.replace("\u2009", "").isalpha()


def _letter(letter: str, alphabet: str) -> str:
    """A letter or digit of a mathematical alphabet, of which some were in Unicode before."""
    name = unicodedata.name(letter).removeprefix("LATIN ").replace(" LETTER", "")
    try:
        return unicodedata.lookup(f"MATHEMATICAL {alphabet} {name}")
    except KeyError:
        return unicodedata.lookup(f"{alphabet} {name}")
