"""How a report's page looks, on light and on dark screens."""

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
