"""Serves the page to this machine, and to no other."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor

from .handlers import Handlers
from .page import STYLE, THEME, build_page, describe_limits

HOST = '127.0.0.1'


def serve(
    predictor: Predictor, model_name: str, port: int, score_thr: float, max_megabytes: int, max_pixels: int
) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Nothing of it stays on the disk.

    Args:
        predictor: Of a Sparse R-CNN.
        model_name: For the heading.
        port: Of the loopback interface.
        score_thr: The least score at first.
        max_megabytes: Of an upload; more is refused while it comes in.
        max_pixels: Of an image; more is refused before it is decoded.

    Raises:
        UserError: If the port is not to be had.
    """
    check_port(port)
    # gradio asks its own server whether it is up, and would ask a proxy for it.
    for name in ('NO_PROXY', 'no_proxy'):
        os.environ[name] = ','.join(filter(None, [os.environ.get(name), HOST]))
    with tempfile.TemporaryDirectory(prefix='sparse-rcnn-demo-') as folder, _stop_signal() as stop:
        os.environ['GRADIO_TEMP_DIR'] = folder
        handlers = Handlers(predictor, Path(folder), max_pixels)
        limits = describe_limits(max_megabytes, max_pixels)
        page = build_page(predictor, handlers, model_name, score_thr, limits)
        try:
            page.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=f'{max_megabytes}mb',
                theme=THEME,
                css=STYLE,
                footer_links=[],
                run_history=False,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                num_workers=0,
            )
        except OSError as error:
            raise UserError(_no_port(port, error)) from error
        print(f'Open http://{HOST}:{port} in a browser on this machine; Ctrl-C ends it.', flush=True)
        try:
            stop.wait()
        finally:
            page.close(verbose=False)


def check_port(port: int) -> None:
    """Raise UserError where a server cannot listen at this port of the loopback interface."""
    try:
        with socket.socket() as probe:
            # As servers do, so that a port which was in use a minute ago counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        raise UserError(_no_port(port, error)) from error


def _no_port(port: int, error: OSError) -> str:
    return f'--port {port} is not to be had ({error.strerror or error}): give another, such as {port + 1}'


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C and SIGTERM."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
