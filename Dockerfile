# What `make quickstart` does, in a container: docker build --tag sparse-rcnn . && docker run --shm-size 2g sparse-rcnn
FROM python:3.11-slim

# All else comes as wheels from PyPI; OpenCV is the headless one, which asks for no libGL.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 user && mkdir /app && chown user:user /app
USER user
WORKDIR /app

# First what the installation reads (it ends by importing the package), so that a change anywhere else does not repeat it.
# Where it has to be repeated, the wheels are there already.
COPY --chown=user:user Makefile pyproject.toml README.md ./
COPY --chown=user:user requirements/ requirements/
COPY --chown=user:user tools/setup/ tools/setup/
COPY --chown=user:user sparse_rcnn_ext/ sparse_rcnn_ext/
RUN --mount=type=cache,target=/home/user/.cache/pip,uid=1000 make install

COPY --chown=user:user . .
# Files of the last COPY may be younger than the installation; that does not make it out of date.
RUN touch .venv/.installed-onedl
ENV PATH=/app/.venv/bin:$PATH

CMD ["make", "quickstart"]
