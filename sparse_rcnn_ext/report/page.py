"""The page of a report: one file that needs no other, for light and for dark screens."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from jinja2 import Environment

from .chart import Chart

_JPEG_QUALITY = 82

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
<nav>{% for section in sections %}<a href="#{{ section.key }}">{{ section.title }}</a>{% endfor %}</nav>
</header>
<main>
{%- for section in sections %}
<section id="{{ section.key }}">
<h2>{{ section.title }}</h2>
{%- if section.tiles %}
<dl>{% for name, value in section.tiles %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
{%- endif %}
{%- for line in section.notes %}
<p>{{ line }}</p>
{%- endfor %}
{%- if section.charts or section.tables %}
<div class="row">
{%- for chart in section.charts %}
<figure class="chart" id="{{ chart.name }}">{{ chart.svg | safe }}</figure>
{%- endfor %}
{%- for table in section.tables %}
<div class="scroll"><table>
<thead><tr>{% for cell in table.header %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{%- endfor %}
</div>
{%- endif %}
{%- for picture in section.pictures %}
<figure class="picture" id="{{ picture.name }}"><img alt="{{ picture.name }}" src="{{ picture.address }}"></figure>
{%- endfor %}
{%- for name, text in section.folded %}
<details><summary>{{ name }}</summary><pre>{{ text }}</pre></details>
{%- endfor %}
</section>
{%- endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Table:
    """Text in rows; the first column to the left, the others to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """An image in the page."""

    name: str
    address: str
    """It holds the image itself."""


@dataclass
class Section:
    """A part of the page with a heading; what it has is shown in this order."""

    key: str
    title: str
    tiles: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    pictures: list[Picture] = field(default_factory=list)
    folded: Sequence[tuple[str, str]] = ()


def embed_picture(path: Path) -> Picture:
    """A PNG as the page has it: as JPEG, a fifth of the size."""
    done, content = cv2.imencode('.jpg', cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise OSError(f'{path} cannot be encoded as JPEG')
    return Picture(path.stem, f'data:image/jpeg;base64,{base64.b64encode(content).decode()}')


def write_page(title: str, subtitle: str, sections: Sequence[Section], out_file: Path) -> None:
    """Write the page; every text is escaped."""
    page = Environment(autoescape=True).from_string(_PAGE)
    text = page.render(title=title, subtitle=subtitle, sections=sections, style=STYLE)
    # All at once, so that an interrupted writing leaves the page that was there.
    part = out_file.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    part.replace(out_file)


STYLE = """
:root { color-scheme: light dark; --ink: #1f2329; --faint: #6e7580; --grid: #e3e6ea; --paper: #ffffff;
  --card: #f5f6f8; --accent: #0072b2; --blue: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --faint: #9aa2ad; --grid: #343a42; --paper: #15181c; --card: #1e2228; --accent: #56b4e9;
    --blue: #2f95d6; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
header, main { max-width: 78rem; margin: 0 auto; padding: 0 1.2rem; }
h1 { margin: 1.6rem 0 0; font-size: 1.7rem; overflow-wrap: anywhere; }
header p { margin: .2rem 0 .8rem; color: var(--faint); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: .5rem 0; border-bottom: 1px solid var(--grid); }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.25rem; }
section p { margin: .3rem 0 .7rem; color: var(--faint); max-width: 60rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; font-size: 1.2rem; font-weight: 600; white-space: nowrap; }
figure { margin: 0 0 1rem; }
.row { display: flex; flex-wrap: wrap; gap: .9rem; align-items: flex-start; margin-bottom: 1rem; }
.chart { background: var(--card); border-radius: .5rem; padding: .8rem; margin: 0; max-width: 100%; }
.chart svg { display: block; max-width: 100%; height: auto; }
.picture img { display: block; max-width: 100%; height: auto; border-radius: .5rem; }
.scroll { overflow-x: auto; max-width: 100%; padding: .3rem .4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .28rem .9rem .28rem 0; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
td:nth-child(2):last-child, th:nth-child(2):last-child { text-align: left; }
th { color: var(--faint); font-weight: 500; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; background: var(--card); border-radius: .5rem; padding: .8rem; font-size: .82rem; }
@media print { nav { display: none; } section { break-inside: avoid; } }
"""
