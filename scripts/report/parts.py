"""Pieces of the page that every section is made of."""

import markupsafe

import drawing

WIDE, NARROW, SMALL = 1090, 350, 440  # widths that drawings are made for


class Names:
    """Names for drawings that are unique on the page."""

    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return f"d{self.n}"


def table(head, rows, left=(), label="", marks=()):
    """Cells are text; columns in `left` hold sentences."""
    marks = list(marks) or [None] * len(rows)
    return {"head": head, "left": left, "label": label,
            "rows": [{"cells": cells, "mark": mark} for cells, mark in zip(rows, marks)]}


def figure(names, fig, title, text, alt, **more):
    """more: `key` [(colour, name)], `table`, `narrow_svg` (for narrow screens), `wide`,
    `said` (sentences under the drawing)."""
    return {"title": title, "text": text, "svg": svg(names, fig, alt), "key": (), "table": None,
            "narrow_svg": None, "wide": False, "said": (), **more}


def svg(names, fig, alt):
    return markupsafe.Markup(drawing.svg(fig, names(), alt))


def count(n, what):
    """`1 file`, `2 files`, `2 processes`."""
    return f"{n} {what}{'' if n == 1 else 'es' if what.endswith('s') else 's'}"
