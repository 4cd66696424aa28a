"""What every plot shares: matplotlib set up for the page, and its SVG made fit to stand in it.

A figure is drawn in the page's own pixels. Its colours are stand-ins which become CSS variables, so
that one drawing serves the light page, the dark one and paper; text stays text, in the page's font.
The same figure is the same bytes every time.
"""

import io
import logging
import os
import re
import warnings
import xml.etree.ElementTree as xml

os.environ["MPLBACKEND"] = "svg"  # one that names no module is an error at import
import matplotlib  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.patches import PathPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

import units

logging.getLogger("matplotlib").setLevel(logging.ERROR)

# Stand-ins: #RRGGBB in the drawing, var(--name) on the page (report.css).
INK, MUTED, GRID, CARD, BAND, BAD = (f"#0{i}0{i}0{i}" for i in range(1, 7))
SERIES = [f"#1{i}1{i}1{i}" for i in range(8)]
VARIABLES = dict(zip((INK, MUTED, GRID, CARD, BAND, BAD), ("ink", "muted", "grid", "card", "band", "bad")))
VARIABLES.update({stand_in: f"s{i}" for i, stand_in in enumerate(SERIES)})
BLUE, ORANGE, GREEN, SKY, VERMILLION, PURPLE, YELLOW, GREY = SERIES  # Okabe and Ito's, by report.css

# An executor has one colour wherever it appears.
COLOURS = {"mind": BLUE, "mind-kernels": SKY, "mind-vendor": PURPLE, "mind-avx2": SKY,
           "mind-avx512": PURPLE, "mind-scalar": GREY, "torch-eager": VERMILLION, "torch-jit": ORANGE,
           "torch-graph": PURPLE, "torch-aoti": YELLOW, "torch-compile": YELLOW, "torch-defaults": GREY,
           "onnxruntime": GREEN, "openvino": SKY}
OTHER_COLOURS = (GREEN, SKY, PURPLE, YELLOW, GREY)

DPI = 72  # matplotlib's SVG counts points: one is a pixel here

matplotlib.rcdefaults()  # whatever the user's own settings are
matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "mindbench", "text.parse_math": False, "font.size": 11,
    "font.family": "DejaVu Sans", "path.simplify": False, "axes.edgecolor": GRID, "axes.linewidth": 1,
    "axes.labelcolor": MUTED, "axes.labelsize": 11, "text.color": INK, "xtick.color": MUTED,
    "ytick.color": MUTED, "xtick.labelcolor": MUTED, "ytick.labelcolor": INK, "xtick.labelsize": 10.5,
    "ytick.labelsize": 11, "xtick.major.size": 4, "ytick.major.size": 0, "axes.grid": True,
    "axes.grid.axis": "x", "grid.color": GRID, "grid.linewidth": 1, "axes.axisbelow": True,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "legend.frameon": False,
})


def colour(executor, others=()):
    """The colour of an executor; one without a fixed colour has that of its place in `others`."""
    if executor in COLOURS:
        return COLOURS[executor]
    unknown = sorted(n for n in others if n not in COLOURS)
    return OTHER_COLOURS[unknown.index(executor) % len(OTHER_COLOURS)] if executor in unknown else GREY


def variable(stand_in):
    """The CSS variable's name."""
    return VARIABLES[stand_in]


def figure(width, height):
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


def axes(fig, left, top, right, bottom):
    """Axes with the given margins in pixels."""
    width, height = fig.get_size_inches() * DPI
    return fig.add_axes((left / width, bottom / height, (width - left - right) / width,
                         (height - top - bottom) / height))


def text_width(string, size=11):
    """Pixels, by a rule that suits the fonts of all systems: wide rather than narrow."""
    return 0.58 * size * len(string)


def dots(ax, xs, ys, size, colour, alpha=1.0):
    """Round dots as one path: a thousand of them in a few kilobytes."""
    vertices = [(x, y) for x, y in zip(xs, ys) for _ in range(2)]
    if not vertices:
        return
    codes = [Path.MOVETO, Path.LINETO] * (len(vertices) // 2)
    patch = PathPatch(Path(vertices, codes), facecolor="none", edgecolor=colour, linewidth=size,
                      capstyle="round", alpha=alpha)
    ax.add_patch(patch)


# Ticks in a decade, from many to few.
_SUBS = ((1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.2, 2.4, 2.6, 2.8, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
         (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
         (1, 1.5, 2, 3, 4, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))


def log_ticks(low, high, most):
    """Two or more round numbers in [low, high], about `most` at most."""
    for subs in _SUBS:
        ticks = [t for t in LogLocator(subs=subs, numticks=40).tick_values(low, high) if low <= t <= high]
        if len(ticks) <= most:
            break
    if len(ticks) > most:
        ticks = ticks[::-(-len(ticks) // most)]
    return ticks if len(ticks) >= 2 else MaxNLocator(most).tick_values(low, high)


def time_range(values, share):
    """(low, high, logarithmic) of an axis with a margin of that share on both sides: logarithmic where
    the values are far apart."""
    low, high = min(values), max(values)
    if low > 1e-6 and high / low > 5:
        margin = (high / low) ** share
        return low / margin, high * margin, True
    margin = max(share * (high - low), 1e-3 * abs(high), 1e-6)
    return low - margin, high + margin, False


def time_axis(axis, low_us, high_us, log, most=6):
    """Ticks in one unit, or on a logarithmic axis each in its own."""
    if log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        ticks = [t for t in log_ticks(low_us, high_us, most) if low_us <= t <= high_us]
        axis.set_ticks(ticks, labels=[units.time(t, 2) for t in ticks])
        return
    name, size = units.unit_for(max(high_us, 1e-3))
    axis.set_major_locator(MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / size:,.6g} {units.show_unit(name)}"))


def ratio_axis(ax, low, high, most=8):
    """Logarithmic, the ticks in times."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = sorted({*log_ticks(low, high, most), 1.0})
    ticks = [t for t in ticks if low <= t <= high and (t == 1 or abs(t - 1) > 0.04 * high)]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(ticks, labels=[f"{t:.3g}×" for t in ticks])


# ---- SVG ----

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
xml.register_namespace("", SVG)
xml.register_namespace("xlink", XLINK)
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT = re.compile(r"font: (?:[a-z]+ )*?(bold |[67]00 )?(?:[a-z]+ )*(\d[\d.]*px) [^;]+")  # before 3.10
_FAMILY = re.compile(r"font-family: [^;]+(; )?")


def _style(value):
    value = _FONT.sub(lambda m: ("font-weight: 700; " if m[1] else "") + f"font-size: {m[2]}", value)
    value = _FAMILY.sub("", value)
    return _COLOUR.sub(lambda m: f"var(--{VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], value)


def _references(root):
    """Names that something in the drawing refers to."""
    return {name for node in root.iter() for key, value in node.attrib.items()
            if key == f"{{{XLINK}}}href" or "url(#" in value
            for name in re.findall(r"#([\w.-]+)", value)}


def _finish(node, name, used):
    """One element: its id made unique or left out, its style the page's."""
    gid = node.attrib.pop("id", "")
    if gid in used:
        node.set("id", f"{name}-{gid}")
    elif gid.startswith("note:"):
        title = xml.Element(f"{{{SVG}}}title")
        title.text = gid.removeprefix("note:")
        node.insert(0, title)
    if node.get("transform", "").startswith("rotate(-0 "):
        del node.attrib["transform"]
    for key, value in node.attrib.items():
        if key == f"{{{XLINK}}}href":
            value = value.replace("#", f"#{name}-", 1)
        if key == "style":
            value = _style(value)
        if key in ("d", "x", "y"):
            value = _round(value)
        node.set(key, value.replace("url(#", f"url(#{name}-"))


def svg(fig, name, alt):
    """The figure as an <svg> element; `name` is unique on the page, `alt` says what it shows. A gid
    of "note:TEXT" becomes a <title>, shown when the mark is pointed at."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # the font that text is measured by lacks glyphs; the page's font is another
        warnings.filterwarnings("ignore", message="Glyph")
        FigureCanvasSVG(fig).print_svg(buffer,
                                       metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    root = xml.fromstring(buffer.getvalue())
    _, _, width, height = root.get("viewBox").split()
    for child in list(root):
        if child.tag == f"{{{SVG}}}metadata" or child.find(f"{{{SVG}}}style") is not None:
            root.remove(child)
    used = _references(root)
    for node in list(root.iter()):
        _finish(node, name, used)
        for text in ("text", "tail"):
            if not (getattr(node, text) or "").strip():
                setattr(node, text, None)
    for node in list(root.iter()):
        for child in list(node):
            if child.tag == f"{{{SVG}}}g" and not len(child):
                node.remove(child)
    root.attrib.clear()
    for key, value in (("viewBox", f"0 0 {width} {height}"), ("role", "img"), ("aria-label", alt),
                       ("style", f"--w: {float(width):.0f}px")):
        root.set(key, value)
    return xml.tostring(root, encoding="unicode")


def _round(path):
    path = " ".join(path.split())
    return re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), path)
