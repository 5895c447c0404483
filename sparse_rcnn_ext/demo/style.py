"""How the page looks."""

import gradio as gr

# Type faces of the visitor's own system: nothing is fetched from elsewhere.
THEME = gr.themes.Soft(
    primary_hue='emerald',
    neutral_hue='slate',
    font=['system-ui', 'Segoe UI', 'Roboto', 'Noto Sans', 'Liberation Sans', 'DejaVu Sans', 'sans-serif'],
    font_mono=['ui-monospace', 'Consolas', 'DejaVu Sans Mono', 'monospace'],
)

STYLE = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; width: 100% !important; }
#heading h1 { font-size: 1.9rem; font-weight: 700; letter-spacing: -0.02em; margin: 0.4rem 0 0.3rem; }
#heading p { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0; }
#heading span {
  border: 1px solid var(--border-color-primary);
  border-radius: 999px;
  color: var(--body-text-color-subdued);
  font-size: 0.85rem;
  padding: 0.1rem 0.7rem;
}
#picture { min-height: 420px; }
#picture img { height: auto; max-height: 76vh; object-fit: contain; width: 100%; }
#caption p { color: var(--body-text-color); font-size: 1rem; margin: 0; text-align: center; }
#note p { color: var(--body-text-color-subdued); font-size: 0.85rem; margin: 0; }
#note .problem { color: #c2410c; font-size: 0.95rem; font-weight: 600; }
.dark #note .problem { color: #fb923c; }
#table { font-size: 0.85rem; }
#table td, #table th { font-family: var(--font); font-variant-numeric: tabular-nums; }
#table td > *, #table th > * { padding-left: 0.5rem !important; padding-right: 0.3rem !important; }
"""
