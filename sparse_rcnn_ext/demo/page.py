"""The page: what stands where, and how it looks."""

from html import escape

import gradio as gr

from sparse_rcnn_ext.prediction import Predictor

from .handlers import IMAGE_FORMATS, Handlers
from .scene import COLUMNS

KEPT = 3600  # seconds that uploads, pictures and results are kept, at most


def build_page(predictor: Predictor, handlers: Handlers, model_name: str, score_thr: float, limits: str) -> gr.Blocks:
    """Lay the page out.

    Args:
        predictor: Of a Sparse R-CNN.
        handlers: What happens when an image is dropped or a slider moved.
        model_name: For the heading.
        score_thr: Where the slider of the score stands at first.
        limits: What the page takes, for people.
    """
    num_stages = predictor.model.num_test_stages
    with gr.Blocks(title='Sparse R-CNN', analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as page:
        gr.HTML(_heading(predictor, model_name), elem_id='heading')
        with gr.Row():
            with gr.Column(scale=8, min_width=420):
                picture = gr.Image(
                    show_label=False,
                    interactive=False,
                    buttons=['fullscreen'],
                    elem_id='picture',
                )
                caption = gr.HTML('<p>Drop an image, and see what the model finds in it.</p>', elem_id='caption')
            with gr.Column(scale=5, min_width=360):
                upload = gr.File(show_label=False, height=132, elem_id='upload')
                note = gr.HTML(f'<p>{escape(limits)}</p>', elem_id='note')
                stage = gr.Slider(
                    0,
                    num_stages,
                    value=num_stages,
                    step=1,
                    label='Stage',
                    info=f'from the proposals (0) to the detections ({num_stages})',
                    buttons=[],
                    elem_id='stage',
                )
                score = gr.Slider(
                    0,
                    1,
                    value=score_thr,
                    step=0.01,
                    label='Score',
                    info='the least of what counts as a detection',
                    buttons=[],
                    elem_id='score',
                )
                rest = gr.Checkbox(label='Outline all other boxes, too', container=False, elem_id='rest')
                table = gr.Dataframe(
                    headers=list(COLUMNS),
                    datatype=['str', *['number'] * (len(COLUMNS) - 1)],
                    column_count=len(COLUMNS),
                    type='array',
                    interactive=False,
                    column_widths=['28%', '16%', *['14%'] * 4],
                    max_height=290,
                    label='Boxes, in pixels of the image',
                    buttons=[],
                    elem_id='table',
                )
                with gr.Row():
                    results_file = gr.DownloadButton('Detections (JSON)', size='md', interactive=False, elem_id='json')
                    picture_file = gr.DownloadButton('Picture (JPEG)', size='md', interactive=False, elem_id='jpeg')

        session = gr.State(time_to_live=KEPT)
        knobs = [stage, score, rest]
        shown = [picture, caption, table, results_file, picture_file]
        upload.upload(
            handlers.upload,
            [upload, *knobs],
            # The upload field is emptied, ready for the next image.
            [upload, note, session, *shown],
            show_progress='minimal',
            show_progress_on=picture,
            api_visibility='private',
        )
        gr.on(
            [knob.input for knob in knobs],
            handlers.move,
            [session, *knobs],
            shown,
            # Of the many steps of a moving slider only the newest matters.
            trigger_mode='always_last',
            show_progress='hidden',
            api_visibility='private',
        )
    return page


def describe_limits(max_megabytes: int, max_pixels: int) -> str:
    """What the page takes, in one line."""
    formats = f'{", ".join(IMAGE_FORMATS[:-1])} or {IMAGE_FORMATS[-1]}'.replace('WEBP', 'WebP')
    sizes = f'up to {max_megabytes} MB and {max_pixels / 1e6:g} million pixels'
    return f'{formats}, {sizes}. It stays on the machine that runs this page.'


def _heading(predictor: Predictor, model_name: str) -> str:
    model = predictor.model
    kind = 'learned ' if model.rpn_head.are_learned else ''
    facts = (
        model_name,
        _count(len(predictor.classes), 'class', 'classes'),
        _count(model.rpn_head.num_proposals, f'{kind}proposal', f'{kind}proposals'),
        _count(model.num_test_stages, 'stage', 'stages'),
        str(next(model.parameters()).device),
    )
    spans = ''.join(f'<span>{escape(fact)}</span>' for fact in facts)
    return f'<h1>Sparse R-CNN</h1><p>{spans}</p>'


def _count(number: int, one: str, many: str) -> str:
    return f'{number} {one if number == 1 else many}'


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
