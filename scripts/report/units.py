"""Numbers as people read them."""

NOT_MEASURED = "not measured"
UNITS = (("s", 1e6), ("ms", 1e3), ("us", 1.0), ("ns", 1e-3))


def significant(value, digits=3):
    """At least `digits` significant digits, no exponent between 1e-4 and 1e7."""
    if value == 0:
        return "0"
    size = abs(value)
    if not 1e-4 <= size < 1e7:
        return f"{value:.{digits - 1}e}"
    whole = len(str(int(size))) if size >= 1 else 0
    if not whole:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(digits - whole, 0)}f}"


def unit_for(us):
    """The unit (name, microseconds in it) in which a time is at least 1."""
    return next(((n, s) for n, s in UNITS if abs(us) >= s), UNITS[-1])


def show_unit(name):
    return "µs" if name == "us" else name


def time(us, digits=3):
    if us is None:
        return NOT_MEASURED
    if us == 0:
        return "0 µs"
    name, size = unit_for(us)
    return f"{significant(us / size, digits)} {show_unit(name)}"


def ratio(value, digits=2):
    return NOT_MEASURED if value is None else f"{value:.{digits}f}×"


def interval(low, high, digits=2):
    return "" if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"


def rate(value):
    if value is None:
        return NOT_MEASURED
    for name, size in (("M", 1e6), ("K", 1e3)):
        if value >= size:
            return f"{significant(value / size)}{name}"
    return significant(value)


def size(n):
    if n is None or n < 0:
        return "unknown"
    for name, unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= unit:
            return f"{significant(n / unit)} {name}"
    return f"{n:.0f} B"


def error(value):
    return NOT_MEASURED if value is None else f"{value:.1e}"


def percent(share, digits=0):
    return NOT_MEASURED if share is None else f"{100 * share:.{digits}f} %"


def shorten(text, limit):
    return text if len(text) <= limit else text[:limit - 1] + "…"
