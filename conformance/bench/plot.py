#!/usr/bin/python3
"""Draws the table of a benchmark run: plot.py BENCH.JSON PICTURE.PNG.

Rows that libcrypto can do as well are shown as a share of its speed, the others in microseconds; below them the rates of several
clients against libcrypto's with as many, and memory. Further to the right is better everywhere.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import matplotlib.ticker  # noqa: E402

STYLES = {
    "raw-system": dict(color="#999999", marker="v", s=26, zorder=2),
    "strongroom": dict(color="#c8102e", marker="o", s=52, zorder=4),
    "softhsm2": dict(color="#0072b2", marker="^", s=30, zorder=3),
    "nss": dict(color="#e69f00", marker="s", s=26, zorder=3),
    "opencryptoki": dict(color="#009e73", marker="D", s=24, zorder=3),
}
ROW_INCHES = 0.2


def panel(axes, rows, peers, value, title, axis):
    """One dot for each peer of each row. The best is on the right, so times are drawn on a reversed axis."""
    for at, row in enumerate(rows):
        found = {name: value(row["peers"][name]) for name in peers if name in row["peers"]}
        found = {name: number for name, number in found.items() if number}
        if found:
            axes.plot([min(found.values()), max(found.values())], [at, at], color="#d0d0d0", lw=1, zorder=1)
        for name, number in found.items():
            axes.scatter(number, at, edgecolors="white", linewidths=0.5, **STYLES.get(name, dict(color="#777777", s=26)))
    axes.set_yticks(range(len(rows)), [row["row"] for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.grid(True, axis="x", color="#e6e6e6", lw=0.6, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel(axis, fontsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def plain(number, _):
    return f"{number:g}"


def duration(microseconds, _):
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1)):
        if microseconds >= size:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds:g} µs"


def size(kibibytes, _):
    return f"{kibibytes:,g} KiB"


def main(source, target):
    with open(source) as file:
        run = json.load(file)
    peers = [name for name in run["peers"] if name != "raw"]

    def with_raw(row):
        return any("of_raw" in peer for peer in row["peers"].values())

    timed = [row for row in run["rows"] if row["unit"] == "time"]
    compared = [row for row in timed if with_raw(row)]
    alone = [row for row in timed if not with_raw(row) and row["row"] != "idle-processor-time"]
    rates = [row for row in run["rows"] if row["unit"] == "rate" and with_raw(row)]
    memory = [row for row in run["rows"] if row["unit"] == "bytes"]

    def microseconds(peer):
        return peer["p50_ns"] / 1000 if "p50_ns" in peer else None

    right = [
        (rows, *rest)
        for rows, *rest in (
            (alone, microseconds, "What only a token does", "time of a call (p50), shorter to the right", duration),
            (rates, lambda p: p.get("of_raw"), "Several clients", "calls a second, of libcrypto's with as many clients", None),
            (memory, lambda p: p["bytes"] / 1024 if "bytes" in p else None, "Memory", "resident, less to the right", size),
        )
        if rows
    ]
    counts = [len(rows) + 4 for rows, *_ in right]
    height = max(len(compared) + 4, sum(counts), 8) * ROW_INCHES + 1.2
    figure = plt.figure(figsize=(14, height), dpi=110)
    columns = figure.add_gridspec(1, 2, wspace=0.42, left=0.15, right=0.985, top=1 - 0.85 / height, bottom=0.55 / height)

    if compared:
        axes = figure.add_subplot(columns[0, 0])
        panel(axes, compared, peers, lambda p: p.get("of_raw"), "Speed of one client, as a share of libcrypto's",
              "of libcrypto in the caller's own process, key at hand (p50); 1 = as fast")
        axes.axvline(1, color="#444444", lw=1, zorder=2)
        axes.xaxis.set_major_formatter(plain)
    if right:
        cells = columns[0, 1].subgridspec(len(right), 1, height_ratios=counts, hspace=4.2 / (sum(counts) / len(right)))
        for place, (rows, value, title, axis, falling) in enumerate(right):
            axes = figure.add_subplot(cells[place, 0])
            panel(axes, rows, peers, value, title, axis)
            axes.xaxis.set_major_formatter(falling or plain)
            axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
            if falling:
                axes.invert_xaxis()
            else:
                axes.axvline(1, color="#444444", lw=1, zorder=2)

    libcrypto = "; ".join(f"{name}: {' '.join(version.split()[:2])}" for name, version in run["libcrypto"].items())
    handles = [plt.Line2D([], [], linestyle="", marker=STYLES.get(name, {}).get("marker", "o"), markersize=7,
                          color=STYLES.get(name, {}).get("color", "#777777"), label=name) for name in peers]
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.985, 1), ncols=len(handles) or 1, fontsize=9, frameon=False)
    figure.text(0.01, 1 - 0.3 / height, f"{run['cores']} cores, {libcrypto}, Linux {run['kernel']}", fontsize=9,
                va="center", color="#444444")
    figure.savefig(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
