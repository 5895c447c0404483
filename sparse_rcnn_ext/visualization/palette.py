"""Colours that people with any kind of colour vision tell apart (Okabe and Ito, https://jfly.uni-koeln.de/color/)."""

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
GREY: Color = (90, 90, 90)


def color_of(index: int) -> Color:
    """The colour of a class or track; they repeat after seven, so a name or number must stand beside the box."""
    return PALETTE[index % len(PALETTE)]


def ink_on(background: Color) -> Color:
    """Black or white, whichever reads better on ``background``.

    The border is where both have the same contrast by WCAG 2 (relative luminance 0.179), see
    https://www.w3.org/TR/WCAG21/#dfn-relative-luminance; a power of 2.2 stands for the curve of sRGB.
    """
    red, green, blue = ((value / 255) ** 2.2 for value in background)
    return BLACK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else WHITE
