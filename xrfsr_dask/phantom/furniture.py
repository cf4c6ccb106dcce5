"""What stands in the room, from back to front: outlines, two tones each, direction of the strokes, contour.

Places are (y, x) as shares of the picture's height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

from xrfsr_dask.phantom.shapes import Shape, bar, convex, ellipse, union

Colour = tuple[int, int, int]

INK: Colour = (38, 44, 62)
BARK: Colour = (88, 50, 30)
OCHRE: Colour = (200, 140, 38)
GOLD: Colour = (222, 182, 52)
STRAW: Colour = (196, 160, 60)
BROWN: Colour = (150, 92, 44)
UMBER: Colour = (112, 66, 40)
CREAM: Colour = (234, 224, 164)
WHITE: Colour = (238, 236, 226)
RED: Colour = (184, 46, 38)
WINE: Colour = (150, 32, 36)
GREEN: Colour = (44, 104, 66)
PINE: Colour = (28, 76, 56)
LEAF: Colour = (150, 178, 62)
LEMON: Colour = (226, 214, 96)
SKY: Colour = (150, 184, 222)
NAVY: Colour = (58, 78, 148)
SLATE: Colour = (96, 122, 176)
ROSE: Colour = (206, 168, 150)


@dataclass(frozen=True)
class Item:
    """One thing to be painted."""

    shape: Shape
    colour: Colour
    tone: Colour
    """Second colour of its strokes."""
    degrees: float
    """Direction of its strokes, clockwise from the x axis."""
    contour: Colour | None = INK


class _Composer:
    """Turns shares of height and width into widths."""

    def __init__(self, aspect: float) -> None:
        self.aspect = aspect

    def at(self, y: float, x: float) -> tuple[float, float]:
        return y * self.aspect, x

    def area(self, *corners: tuple[float, float]) -> Shape:
        return convex(*(self.at(*c) for c in corners))

    def box(self, y0: float, y1: float, x0: float, x1: float) -> Shape:
        return self.area((y0, x0), (y0, x1), (y1, x1), (y1, x0))

    def stick(self, a: tuple[float, float], b: tuple[float, float], width: float) -> Shape:
        return bar(self.at(*a), self.at(*b), width)

    def round(self, y: float, x: float, ry: float, rx: float) -> Shape:
        return ellipse(self.at(y, x), ry * self.aspect, rx)


def furniture(aspect: float) -> list[Item]:
    """All items, back to front, for a picture whose height is `aspect` widths."""
    c = _Composer(aspect)
    groups = (_walls, _window, _pictures, _towel, _hooks, _table, _chair_behind, _bed, _chair_in_front)
    return [item for group in groups for item in group(c)]


def _walls(c: _Composer) -> list[Item]:
    door = c.area((0.02, 0.0), (0.06, 0.085), (0.60, 0.085), (0.72, 0.0))
    panel = [
        c.area((a, 0.015), (a + 0.015, 0.065), (b - 0.02, 0.065), (b, 0.015))
        for a, b in ((0.1, 0.3), (0.36, 0.58))
    ]
    right = c.area((0.0, 0.91), (0.0, 1.0), (0.70, 1.0), (0.60, 0.91))
    corners = [c.stick((0.0, 0.17), (0.47, 0.17), 0.003), c.stick((0.0, 0.72), (0.47, 0.72), 0.003)]
    skirting = [c.stick((0.47, 0.17), (0.47, 0.72), 0.006), c.stick((0.47, 0.17), (0.80, 0.0), 0.006)]
    skirting.append(c.stick((0.47, 0.72), (0.71, 1.0), 0.006))
    return [
        Item(door, SLATE, (120, 146, 196), 85),
        *(Item(p, (128, 150, 196), SLATE, 85) for p in panel),
        Item(right, (120, 146, 196), SLATE, 95),
        *(Item(k, NAVY, SLATE, 90, None) for k in corners),
        *(Item(s, BARK, UMBER, 0, None) for s in skirting),
    ]


def _window(c: _Composer) -> list[Item]:
    items = [Item(c.box(0.0, 0.345, 0.265, 0.415), GREEN, PINE, 90)]
    for row, (y0, y1) in enumerate(((0.0, 0.085), (0.105, 0.195), (0.215, 0.315))):
        for column, x0 in enumerate((0.28, 0.345)):
            tones = (LEMON, LEAF) if (row + column) % 2 else (LEAF, SKY if row == 0 else LEMON)
            items.append(Item(c.box(y0, y1, x0, x0 + 0.052), *tones, 80, PINE))
    items.append(Item(c.area((0.0, 0.235), (0.0, 0.265), (0.35, 0.265), (0.37, 0.235)), PINE, GREEN, 90))
    items.append(Item(c.area((0.0, 0.415), (0.0, 0.445), (0.37, 0.445), (0.345, 0.415)), PINE, GREEN, 90))
    items.append(Item(c.box(0.345, 0.362, 0.245, 0.435), SLATE, WHITE, 0))
    return items


def _pictures(c: _Composer) -> list[Item]:
    items = [
        Item(c.stick((0.03, 0.535), (0.09, 0.485), 0.002), INK, INK, 0, None),
        Item(c.stick((0.03, 0.535), (0.09, 0.585), 0.002), INK, INK, 0, None),
        Item(c.box(0.085, 0.225, 0.475, 0.60), OCHRE, BROWN, 0),
        Item(c.box(0.10, 0.165, 0.488, 0.587), SKY, ROSE, 5, BARK),
        Item(c.box(0.16, 0.21, 0.488, 0.587), LEAF, STRAW, 0, None),
        Item(c.round(0.155, 0.545, 0.025, 0.02), GREEN, PINE, 40, None),
        Item(c.box(0.11, 0.25, 0.19, 0.232), INK, (30, 34, 44), 90),
        Item(c.box(0.125, 0.235, 0.196, 0.226), WHITE, SKY, 70, None),
    ]
    for x, face in ((0.775, ROSE), (0.865, (196, 150, 120))):
        y = 0.02 + (x - 0.775) * 0.1
        items += [
            Item(
                c.area((y, x - 0.03), (y - 0.01, x + 0.032), (y + 0.125, x + 0.038), (y + 0.13, x - 0.022)),
                OCHRE,
                BROWN,
                80,
            ),
            Item(
                c.area(
                    (y + 0.014, x - 0.02), (y + 0.008, x + 0.023), (y + 0.11, x + 0.028), (y + 0.114, x - 0.013)
                ),
                SLATE,
                PINE,
                60,
                BARK,
            ),
            Item(c.round(y + 0.05, x + 0.003, 0.024, 0.0115), face, CREAM, 60),
            Item(
                c.area(
                    (y + 0.08, x - 0.009), (y + 0.08, x + 0.018), (y + 0.108, x + 0.024), (y + 0.11, x - 0.01)
                ),
                NAVY,
                WINE,
                70,
                None,
            ),
        ]
    for y, x in ((0.20, 0.70), (0.235, 0.80)):
        items.append(
            Item(
                c.area((y, x), (y - 0.015, x + 0.055), (y + 0.09, x + 0.07), (y + 0.105, x + 0.012)),
                LEMON,
                CREAM,
                20,
            )
        )
        for k in range(4):
            a = (y + 0.02 + 0.018 * k, x + 0.016 + 0.002 * k)
            items.append(Item(c.stick(a, (a[0] - 0.008, a[1] + 0.034), 0.0018), PINE, SLATE, 0, None))
    return items


def _towel(c: _Composer) -> list[Item]:
    cloth = union([c.area((0.13, 0.11), (0.13, 0.125), (0.46, 0.155), (0.50, 0.115), (0.40, 0.10))])
    stripes = [c.stick((0.16, 0.113 + 0.004 * k), (0.45, 0.112 + 0.012 * k), 0.0025) for k in range(3)]
    return [Item(cloth, (214, 206, 196), ROSE, 85), *(Item(s, RED, ROSE, 85, None) for s in stripes)]


def _hooks(c: _Composer) -> list[Item]:
    coats = [
        (c.area((0.24, 0.47), (0.235, 0.495), (0.37, 0.508), (0.39, 0.475), (0.36, 0.463)), SLATE, SKY),
        (c.area((0.24, 0.52), (0.235, 0.545), (0.33, 0.552), (0.34, 0.515)), NAVY, INK),
        (c.round(0.245, 0.585, 0.026, 0.024), STRAW, OCHRE),
    ]
    return [Item(c.box(0.225, 0.243, 0.455, 0.61), OCHRE, BROWN, 0), *(Item(s, a, b, 85) for s, a, b in coats)]


def _table(c: _Composer) -> list[Item]:
    legs = [
        ((0.40, 0.188), (0.575, 0.183)),
        ((0.43, 0.228), (0.64, 0.222)),
        ((0.43, 0.335), (0.60, 0.345)),
        ((0.40, 0.31), (0.52, 0.315)),
    ]
    jug = union([c.round(0.325, 0.235, 0.032, 0.017), c.box(0.275, 0.31, 0.228, 0.242)])
    return [
        *(Item(c.stick(a, b, 0.013), BROWN, UMBER, 85, BARK) for a, b in legs),
        Item(c.area((0.40, 0.182), (0.40, 0.342), (0.445, 0.345), (0.455, 0.215)), UMBER, BROWN, 0, BARK),
        Item(c.area((0.355, 0.17), (0.355, 0.33), (0.405, 0.36), (0.42, 0.20)), OCHRE, BROWN, 5, BARK),
        Item(jug, SKY, SLATE, 70),
        Item(c.round(0.375, 0.275, 0.014, 0.032), WHITE, SKY, 0),
        Item(c.round(0.345, 0.185, 0.03, 0.012), (120, 164, 150), SKY, 80),
        Item(c.stick((0.335, 0.302), (0.365, 0.302), 0.011), (120, 164, 150), PINE, 90),
        Item(c.stick((0.325, 0.318), (0.37, 0.318), 0.009), RED, BROWN, 90),
    ]


def _chair(c: _Composer, y: float, x: float, s: float) -> list[Item]:
    """A rush-seated chair whose seat's near left corner lies about (y, x); `s` scales it."""

    def p(dy: float, dx: float) -> tuple[float, float]:
        return y + s * dy, x + s * dx

    back = [((-0.42, 0.0), (0.0, 0.02)), ((-0.42, 0.10), (0.0, 0.13))]
    slats = [((-0.36, 0.0), (-0.37, 0.10)), ((-0.24, 0.01), (-0.25, 0.11)), ((-0.12, 0.015), (-0.13, 0.12))]
    legs = [
        ((0.0, 0.02), (0.34, 0.0)),
        ((0.06, 0.11), (0.42, 0.115)),
        ((0.0, 0.20), (0.36, 0.215)),
        ((-0.03, 0.12), (0.27, 0.125)),
    ]
    rungs = [
        ((0.17, 0.01), (0.22, 0.112)),
        ((0.22, 0.112), (0.17, 0.208)),
        ((0.27, 0.005), (0.32, 0.114)),
        ((0.31, 0.114), (0.26, 0.21)),
    ]
    seat = c.area(p(-0.06, 0.0), p(-0.08, 0.14), p(0.0, 0.225), p(0.075, 0.12), p(0.03, 0.0))
    w = 0.021 * s
    return [
        *(Item(c.stick(p(*a), p(*b), 0.7 * w), STRAW, OCHRE, 10, BARK) for a, b in rungs),
        *(Item(c.stick(p(*a), p(*b), w), GOLD, OCHRE, 85, BARK) for a, b in legs),
        *(Item(c.stick(p(*a), p(*b), 1.1 * w), GOLD, STRAW, 0, BARK) for a, b in slats),
        *(Item(c.stick(p(*a), p(*b), w), GOLD, STRAW, 85, BARK) for a, b in back),
        Item(seat, STRAW, LEMON, 35, BARK),
    ]


def _chair_behind(c: _Composer) -> list[Item]:
    return _chair(c, 0.44, 0.385, 0.42)


def _chair_in_front(c: _Composer) -> list[Item]:
    return _chair(c, 0.68, 0.035, 0.72)


def _bed(c: _Composer) -> list[Item]:
    head = [c.area((0.28, 0.50), (0.255, 0.585), (0.28, 0.67), (0.46, 0.67), (0.46, 0.50))]
    posts = [((0.26, 0.497), (0.50, 0.497)), ((0.26, 0.672), (0.45, 0.672))]
    pillows = [c.round(0.325, 0.555, 0.044, 0.048), c.round(0.318, 0.632, 0.04, 0.045)]
    sheet = c.area((0.345, 0.51), (0.335, 0.67), (0.42, 0.78), (0.60, 0.64), (0.52, 0.52))
    cover = c.area((0.40, 0.545), (0.375, 0.70), (0.48, 0.84), (0.66, 0.64), (0.55, 0.555))
    rail = c.area((0.46, 0.492), (0.49, 0.505), (0.76, 0.618), (0.79, 0.605), (0.53, 0.485))
    return [
        *(Item(h, OCHRE, GOLD, 0, BARK) for h in head),
        *(Item(c.stick(a, b, 0.02), OCHRE, BROWN, 85, BARK) for a, b in posts),
        Item(sheet, CREAM, WHITE, 40, BARK),
        *(Item(p, CREAM, WHITE, 20, STRAW) for p in pillows),
        Item(cover, RED, WINE, 50),
        Item(rail, OCHRE, GOLD, 60, BARK),
        *_footboard(c),
    ]


def _footboard(c: _Composer) -> list[Item]:
    board = c.area(
        (0.37, 0.61), (0.315, 0.70), (0.305, 0.76), (0.34, 0.85), (0.40, 0.90), (0.74, 0.90), (0.77, 0.61)
    )
    planks = [c.stick((0.35, x), (0.68, x + 0.004), 0.0022) for x in (0.665, 0.72, 0.775, 0.83, 0.872)]
    base = c.area((0.67, 0.61), (0.655, 0.90), (0.735, 0.90), (0.765, 0.61))
    posts = [((0.345, 0.605), (0.83, 0.61)), ((0.325, 0.905), (0.765, 0.908))]
    return [
        Item(board, OCHRE, (190, 122, 34), 88, BARK),
        *(Item(p, UMBER, BROWN, 88, None) for p in planks),
        Item(base, OCHRE, GOLD, 0, BARK),
        *(Item(c.stick(a, b, 0.033), OCHRE, GOLD, 85, BARK) for a, b in posts),
    ]
