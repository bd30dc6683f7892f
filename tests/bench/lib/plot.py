"""The report as an SVG: a panel of bars for each benchmark, and the claims below."""
from html import escape

WIDTH, LABEL, BAR, ROW, GAP = 860, 270, 400, 22, 34
OURS, OTHERS, TRACK, INK, FAINT = "#1f6f8b", "#b8bfc6", "#eef0f2", "#1d2329", "#6b747c"


def text(x, y, words, size=12, anchor="start", fill=INK, weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">'
            f"{escape(words)}</text>")


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def panel(benchmark, top):
    """Bars of one unit share their scale; a thin line spans the lowest and the highest value."""
    parts = [text(20, top + 14, benchmark["title"], 14, weight="bold")]
    y = top + 24
    greatest = {}
    for series in benchmark["series"]:
        greatest[series["unit"]] = max(greatest.get(series["unit"], 0), *(abs(value) for value in series["values"]))
    for series in benchmark["series"]:
        scale = BAR / (greatest[series["unit"]] or 1)
        # what is less than 0 has no bar, only its number
        low, high = (max(0, bound(series["values"])) * scale for bound in (min, max))
        middle = y + ROW / 2 - 2
        colour = OURS if series["name"].startswith("debrief") else OTHERS
        parts += [
            text(LABEL - 8, y + 13, series["name"], 12, "end"),
            f'<rect x="{LABEL}" y="{y}" width="{BAR}" height="{ROW - 6}" fill="{TRACK}"/>',
            f'<rect x="{LABEL}" y="{y}" width="{max(0, series["median"]) * scale:.1f}" height="{ROW - 6}" fill="{colour}"/>',
            f'<path d="M{LABEL + low:.1f} {middle:.1f}H{LABEL + high:.1f}" stroke="{INK}" stroke-width="1"/>',
            text(LABEL + BAR + 8, y + 13, f"{number(series['median'])} {series['unit']}"),
        ]
        y += ROW
    return parts, y + GAP


def claims(document, top):
    parts = [text(20, top + 14, "Targets", 14, weight="bold")]
    y = top + 24
    for claim in document["claims"]:
        target = "" if claim["target"] is None else f"{claim['bound']} {number(claim['target'])} {claim['unit']}"
        verdict = "" if claim["reached"] is None else "reached" if claim["reached"] else "not reached"
        parts += [text(20, y + 13, claim["text"]),
                  text(560, y + 13, f"{number(claim['value'])} {claim['unit']}", anchor="end", weight="bold"),
                  text(660, y + 13, target, anchor="end", fill=FAINT),
                  text(680, y + 13, verdict, fill="#2b7a3d" if claim["reached"] else "#a8341f")]
        y += ROW
    return parts, y + GAP


def draw(document):
    machine = document["machine"]
    parts = [text(20, 28, "Debrief and its peers, side by side", 18, weight="bold"),
             text(20, 48, f"{machine['date']}, {machine['cores']} cores, {machine['cpu']}; medians of {machine['rounds']} "
                  f"rounds of {machine['secs']} s, taken in turn; the line spans lowest and highest", 11, fill=FAINT)]
    y = 74
    for benchmark in document["benchmarks"]:
        if benchmark["series"]:
            drawn, y = panel(benchmark, y)
            parts += drawn
    drawn, y = claims(document, y)
    parts += drawn
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
            f'font-family="system-ui, sans-serif"><rect width="{WIDTH}" height="{y}" fill="#fff"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
