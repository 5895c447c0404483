"""The page of a report: one file that needs no other."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from jinja2 import Environment

from .chart import Chart
from .page_style import STYLE

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
