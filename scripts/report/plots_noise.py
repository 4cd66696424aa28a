"""Plots of what disturbs a measurement: untimed runs before it, the machine during it."""


import drawing
from drawing import CARD, MUTED
import plots


def panels(fig, n, height, gap, left=62, right=12, top=20):
    """n axes above each other; the lowest has the labels of the x axis."""
    whole = fig.get_size_inches()[1] * drawing.DPI
    made = []
    for i in range(n):
        above = top + i * (height + gap)
        ax = drawing.axes(fig, left, above, right, whole - above - height)
        ax.grid(False)
        ax.tick_params(axis="y", labelcolor=MUTED, labelsize=10)
        if i < n - 1:
            ax.tick_params(axis="x", labelbottom=False)
        made.append(ax)
    return made


def panel_figure(n, width, height, gap=24):
    """(figure, its n panels)"""
    fig = drawing.figure(width, 20 + 32 + n * height + (n - 1) * gap)
    return fig, panels(fig, n, height, gap)


def heading(ax, text):
    ax.text(0, 1.06, text, transform=ax.transAxes, va="bottom", size=11, weight="bold")


def warm_up(executors, width):
    """Untimed runs of every process, in the order run; rings are those before the steady state."""
    fig, made = panel_figure(len(executors), width, 54)
    names = [e.name for e in executors]
    longest = max(len(runs) for e in executors for runs, _ in e.warm_ups())
    for ax, e in zip(made, executors):
        colour = drawing.colour(e.name, names)
        low, high, log = drawing.time_range([us for runs, _ in e.warm_ups() for us in runs], 0.12)
        for runs, steady in e.warm_ups():
            points = plots.thin(runs)
            ax.plot([i + 1 for i, _ in points], [us for _, us in points], color=colour, lw=1, alpha=0.5)
            drawing.dots(ax, [i + 1 for i, _ in points if i >= steady],
                         [us for i, us in points if i >= steady], 4, colour)
            ax.plot([i + 1 for i, _ in points if i < steady], [us for i, us in points if i < steady],
                    ls="", marker="o", ms=5, mfc=CARD, mec=colour, mew=1.2)
        drawing.time_axis(ax.yaxis, low, high, log, 3)
        ax.set(ylim=(low, high), xlim=(0.5, longest + 0.5))
        heading(ax, e.name)
    made[-1].xaxis.set_major_locator(drawing.MaxNLocator(6, integer=True))
    made[-1].set_xlabel("untimed run", loc="right", labelpad=1)
    return fig


# What was read of the machine beside the samples: key, name, unit, what its numbers are divided by.
STATES = (("cpu_mhz", "CPU clock", "MHz", 1), ("temperature_c", "Temperature", "°C", 1),
          ("steal_us", "Taken by the hypervisor, per block", "ms", 1e3),
          ("context_switches", "Context switches against their will, per block", "", 1),
          ("migrations", "Migrations between processors, per block", "", 1))
GPU_STATES = (("sm_mhz", "GPU clock", "MHz", 1), ("power_w", "GPU power", "W", 1),
              ("temperature_c", "GPU temperature", "°C", 1))


def machine(measured, width, x_name):
    """measured: [(name, unit, [(executor, [(x, y)])])], one panel for each name."""
    fig, made = panel_figure(len(measured), width, 46)
    high_x = max(x for _, _, series in measured for _, points in series for x, _ in points)
    for ax, (name, unit, series) in zip(made, measured):
        names = [executor for executor, _ in series]
        values = [y for _, points in series for _, y in points]
        for executor, points in series:
            drawing.dots(ax, [x for x, _ in points], [y for _, y in points], 4.2,
                         drawing.colour(executor, names), 0.85)
        low, high = min(values), max(values)
        margin = max(0.12 * (high - low), 0.02 * abs(high), 1e-3)
        ax.set(ylim=(low - margin, high + margin), xlim=(-0.02 * high_x - 1e-9, 1.02 * high_x + 1e-9))
        ax.yaxis.set_major_locator(drawing.MaxNLocator(2, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(drawing.FuncFormatter(lambda v, _: f"{v:,.6g}"))
        heading(ax, f"{name}, {unit}" if unit else name)
    made[-1].set_xlabel(x_name, loc="right", labelpad=1)
    return fig
