"""Draw a robot: our own design, flat shapes with a dark outline, on a 256 x 256 canvas.

Everything stands at a fixed place so that a small model can learn it and a mouth or a blink can be redrawn
inside a fixed box: eyes in EYES_BOX, mouth in MOUTH_BOX, both on the 16-pixel grid of the latents.
"""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import skia
from numpy.typing import NDArray

from starter_look.robots import Robot

SIZE = 256
MOUTH_BOX = (80, 144, 176, 192)  # left, top, right, bottom
EYES_BOX = (64, 80, 192, 144)
INK = 0xFF2B2D42
PAINT = {
    "red": 0xFFE8453C,
    "orange": 0xFFF58A2C,
    "yellow": 0xFFFFCB3D,
    "green": 0xFF4DB553,
    "teal": 0xFF23BDB0,
    "blue": 0xFF3F86F4,
    "purple": 0xFF8A5CF0,
    "pink": 0xFFFF82B8,
    "white": 0xFFF6F6FA,
    "gray": 0xFF9DA8B5,
    "brown": 0xFF9B6A45,
    "black": 0xFF4A4F5E,
}
WALL = {
    "white": 0xFFFBF8F2,
    "blue": 0xFFB5DCFF,
    "green": 0xFFBFEBC0,
    "pink": 0xFFFFCFE0,
    "yellow": 0xFFFFEDA8,
    "purple": 0xFFD9C8FC,
    "orange": 0xFFFFCFA3,
    "gray": 0xFFD0D5DD,
}


def mix(one: int, other: int, share: float) -> int:
    """`one` with `share` of `other` in it; opaque ARGB."""
    channels = [
        round((one >> shift & 255) * (1 - share) + (other >> shift & 255) * share) << shift for shift in (16, 8, 0)
    ]
    return 0xFF000000 | sum(channels)


class Pen:
    """A canvas with the few strokes a robot needs."""

    def __init__(self, canvas: skia.Canvas) -> None:
        self.canvas = canvas

    def fill(self, path: skia.Path, color: int) -> None:
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Color=color))

    def line(self, path: skia.Path, width: float = 5, color: int = INK) -> None:
        self.canvas.drawPath(
            path,
            skia.Paint(
                AntiAlias=True,
                Color=color,
                Style=skia.Paint.kStroke_Style,
                StrokeWidth=width,
                StrokeCap=skia.Paint.kRound_Cap,
                StrokeJoin=skia.Paint.kRound_Join,
            ),
        )

    def part(self, path: skia.Path, color: int, width: float = 5) -> None:
        """A filled shape with the outline."""
        self.fill(path, color)
        self.line(path, width)

    def inside(self, path: skia.Path, inner: skia.Path, color: int) -> None:
        """`inner`, cut off at the border of `path`."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        self.fill(inner, color)
        self.canvas.restore()


def oval(x: float, y: float, rx: float, ry: float | None = None) -> skia.Path:
    ry = rx if ry is None else ry
    return skia.Path.Oval(skia.Rect(x - rx, y - ry, x + rx, y + ry))


def box(left: float, top: float, right: float, bottom: float, r: float = 0) -> skia.Path:
    return skia.Path.RRect(skia.Rect(left, top, right, bottom), r, r)


def svg(text: str) -> skia.Path:
    """A path in SVG's path language: absolute M, L, Q, C and Z."""
    builder = skia.PathBuilder()
    moves = {"M": builder.moveTo, "L": builder.lineTo, "Q": builder.quadTo, "C": builder.cubicTo}
    for command in re.findall(r"[MLQCZ][^MLQCZ]*", text):
        if command[0] == "Z":
            builder.close()
        else:
            moves[command[0]](*map(float, command[1:].split()))
    return builder.detach()


def polygon(points: list[tuple[float, float]], r: float) -> skia.Path:
    """A closed polygon with rounded corners of radius about `r`."""
    builder = skia.PathBuilder()
    n = len(points)
    for i, (x, y) in enumerate(points):
        (px, py), (nx, ny) = points[i - 1], points[(i + 1) % n]
        before, after = math.hypot(px - x, py - y), math.hypot(nx - x, ny - y)
        start = (x + (px - x) * r / before, y + (py - y) * r / before)
        end = (x + (nx - x) * r / after, y + (ny - y) * r / after)
        if i == 0:
            builder.moveTo(*start)
        else:
            builder.lineTo(*start)
        builder.quadTo(x, y, *end)
    builder.close()
    return builder.detach()


def star(x: float, y: float, r: float) -> skia.Path:
    return polygon(
        [
            (
                x + math.sin(i * math.pi / 4) * (r if i % 2 == 0 else r * 0.4),
                y - math.cos(i * math.pi / 4) * (r if i % 2 == 0 else r * 0.4),
            )
            for i in range(8)
        ],
        r * 0.12,
    )


def heart(x: float, y: float, s: float) -> skia.Path:
    return svg(
        f"M{x} {y + s} C{x - 1.7 * s} {y - 0.1 * s} {x - 0.9 * s} {y - 1.25 * s} {x} {y - 0.4 * s} "
        f"C{x + 0.9 * s} {y - 1.25 * s} {x + 1.7 * s} {y - 0.1 * s} {x} {y + s} Z"
    )


def backdrop(pen: Pen, name: str) -> None:
    whole = box(0, 0, SIZE, SIZE)
    if name in WALL:
        pen.fill(whole, WALL[name])
        pen.fill(oval(128, 128, 118), mix(WALL[name], 0xFFFFFFFF, 0.45))
    elif name == "kitchen":
        pen.fill(whole, 0xFFFDF1DC)
        for row in range(6):
            for column in range(9):
                if (row + column) % 2 == 0:
                    pen.fill(box(column * 32 - 14, row * 32, column * 32 + 18, row * 32 + 32), 0xFFF8DFB8)
        pen.fill(box(0, 192, 256, 256), 0xFFC98A54)
        pen.fill(box(0, 192, 256, 202), 0xFFE6AE78)
    elif name == "garden":
        pen.fill(whole, 0xFFBDE6FF)
        pen.fill(oval(218, 38, 18), 0xFFFFDD66)
        pen.fill(oval(50, 250, 150, 92), 0xFF93D67A)
        pen.fill(oval(220, 262, 150, 92), 0xFF74C365)
        for x, y, color in (
            (20, 206, 0xFFFF7FA8),
            (48, 236, 0xFFFFFFFF),
            (236, 206, 0xFFFFD24A),
            (214, 238, 0xFFFF7FA8),
        ):
            pen.fill(oval(x, y, 7), color)
            pen.fill(oval(x, y, 2.6), 0xFFF29B2E)
    elif name == "beach":
        pen.fill(whole, 0xFFC9F0FF)
        pen.fill(oval(34, 36, 20), 0xFFFFC94D)
        pen.fill(box(0, 120, 256, 200), 0xFF4FB8E3)
        pen.fill(box(0, 140, 256, 146), 0xFF8AD4F0)
        pen.fill(oval(128, 262, 190, 74), 0xFFFBE2A8)
    elif name == "city":
        pen.fill(whole, 0xFF8C9AD6)
        for x, top, color in (
            (0, 96, 0xFF5B68A8),
            (32, 48, 0xFF6A78B8),
            (176, 64, 0xFF6A78B8),
            (216, 32, 0xFF5B68A8),
        ):
            pen.fill(box(x, top, x + 40, 256), color)
            for row in range(top + 12, 250, 32):
                pen.fill(box(x + 8, row, x + 28, row + 14, 2), 0xFFFFE08A)
    elif name == "space":
        pen.fill(whole, 0xFF454A94)
        pen.fill(oval(216, 52, 22), 0xFFF3A65A)
        pen.line(svg("M184 62 Q216 66 248 40"), 5, 0xFFFFE0B0)
        for x, y, r in (
            (28, 34, 6),
            (66, 20, 4),
            (22, 108, 4),
            (236, 126, 5),
            (18, 190, 6),
            (240, 200, 4),
            (182, 18, 4),
        ):
            pen.fill(star(x, y, r * 1.6), 0xFFFFF3C4)
    elif name == "snow":
        pen.fill(whole, 0xFFB9D3EE)
        pen.fill(polygon([(-40, 230), (44, 70), (130, 230)], 14), 0xFF8FAFD2)
        pen.fill(polygon([(130, 230), (218, 56), (300, 230)], 14), 0xFF9DBBDB)
        pen.fill(oval(128, 268, 200, 72), 0xFFFFFFFF)
        for x, y in ((24, 24), (70, 48), (190, 22), (238, 60), (16, 130), (240, 140), (104, 14)):
            pen.fill(oval(x, y, 4), 0xFFFFFFFF)


@cache
def head_path(name: str) -> skia.Path:
    if name == "round":
        return oval(128, 126, 86, 80)
    if name == "square":
        return box(46, 50, 210, 204, 30)
    if name == "hexagon":
        return polygon([(78, 48), (178, 48), (222, 127), (178, 206), (78, 206), (34, 127)], 18)
    if name == "egg":
        return svg(
            "M128 40 C176 40 214 96 214 140 C214 186 176 206 128 206 C80 206 42 186 42 140 C42 96 80 40 128 40 Z"
        )
    if name == "bucket":
        return polygon([(36, 54), (220, 54), (200, 206), (56, 206)], 20)
    return box(44, 58, 212, 206, 66)  # cat


def body(pen: Pen, robot: Robot, paint: int) -> None:
    pen.part(box(112, 196, 144, 226, 4), mix(0xFF9AA3B2, paint, 0.2))
    chest = svg("M54 270 L58 240 Q62 218 90 218 L166 218 Q194 218 198 240 L202 270 Z")
    pen.part(chest, paint)
    if robot.skin == "stripes":
        for x in (74, 104, 152, 182):
            pen.inside(chest, box(x - 5, 221, x + 5, 260), mix(paint, 0xFFFFFFFF, 0.55))
    pen.line(chest)
    if robot.wears == "tie":
        for side in (-1, 1):
            pen.part(polygon([(128, 228), (128 + side * 34, 212), (128 + side * 34, 246)], 7), 0xFFE23D6D, 4)
        pen.part(oval(128, 228, 9), 0xFFFF6F96, 4)
    elif robot.wears == "scarf":
        pen.part(box(148, 222, 174, 262, 6), 0xFFD94F3D, 4)
        pen.part(box(82, 206, 174, 232, 13), 0xFFF2644F, 4)
        for x in (104, 128, 152):
            pen.line(svg(f"M{x} 209 L{x - 4} 229"), 5, 0xFFFFD9A0)
    elif robot.wears == "badge":
        pen.part(oval(128, 240, 17), 0xFFFFF6E6, 4)
        pen.fill(heart(128, 240, 9), 0xFFE8335A)


def top(pen: Pen, robot: Robot, paint: int) -> None:
    if robot.head == "cat":
        for side in (-1, 1):
            x = 128 + side * 58
            ear = polygon([(x - 30 + side * 4, 92), (x + side * 20, 22), (x + 30 + side * 4, 96)], 12)
            pen.part(ear, paint)
            pen.fill(
                polygon([(x - 14 + side * 4, 84), (x + side * 15, 42), (x + 15 + side * 4, 86)], 8),
                0xFFFFB3C7,
            )
    if robot.top == "antenna":
        pen.line(svg("M128 60 L128 26"), 6)
        pen.part(oval(128, 20, 11), 0xFFFF5A5F, 4.5)
        pen.fill(oval(124, 16, 3.4), 0xFFFFFFFF)
    elif robot.top == "antennas":
        for side in (-1, 1):
            pen.line(svg(f"M{128 + side * 18} 62 Q{128 + side * 20} 36 {128 + side * 36} 24"), 5)
            pen.part(oval(128 + side * 37, 20, 9), 0xFFFFD23F, 4.5)
            pen.fill(oval(128 + side * 37 - 3, 17, 2.6), 0xFFFFFFFF)
    elif robot.top == "bulb":
        pen.part(oval(128, 28, 20, 22), 0xFFFFE873, 4.5)
        pen.line(svg("M120 40 L122 26 L128 33 L134 26 L136 40"), 3, 0xFFE08A1E)
        pen.fill(oval(119, 18, 4), 0xFFFFFFFF)
        pen.part(box(114, 44, 142, 64, 4), 0xFFAAB2C0, 4.5)
    elif robot.top == "propeller":
        pen.line(svg("M128 60 L128 24"), 6)
        for side, color in ((-1, 0xFFFF5A5F), (1, 0xFF3FA7F0)):
            pen.part(oval(128 + side * 27, 22, 25, 9), color, 4.5)
        pen.part(oval(128, 22, 7), 0xFFFFD23F, 4.5)
    elif robot.top == "crown":
        pen.part(
            polygon([(88, 64), (82, 16), (106, 34), (128, 8), (150, 34), (174, 16), (168, 64)], 5),
            0xFFFFCF3A,
            4.5,
        )
        for x, color in ((104, 0xFF3FA7F0), (128, 0xFFE8335A), (152, 0xFF3FA7F0)):
            pen.fill(oval(x, 45, 5), color)
    elif robot.top == "sprout":
        pen.line(svg("M128 60 Q126 44 128 32"), 6)
        for side in (-1, 1):
            x = 128 + side * 36
            pen.part(svg(f"M128 36 Q{128 + side * 6} 8 {x} 14 Q{128 + side * 32} 40 128 36 Z"), 0xFF6CCB5F, 4.5)


def bow(pen: Pen) -> None:
    for side in (-1, 1):
        pen.part(polygon([(128, 46), (128 + side * 42, 22), (128 + side * 42, 70)], 12), 0xFFFF5C9A, 4.5)
    pen.part(oval(128, 46, 11), 0xFFFF93BD, 4.5)


def sides(pen: Pen, robot: Robot, paint: int) -> None:
    for side in (-1, 1):
        x = 128 + side * 96
        if robot.sides == "bolts":
            pen.part(box(x - 16, 104, x + 16, 148, 9), 0xFFAAB2C0)
            pen.fill(box(x - 9, 111, x + 9, 117, 3), 0xFFDDE2EA)
        elif robot.sides == "headphones":
            pen.part(box(x - 18, 92, x + 18, 162, 17), 0xFF3B4266)
            pen.fill(box(x + side * 3 - 4, 106, x + side * 3 + 4, 148, 4), 0xFFFF6B6B)


def head(pen: Pen, robot: Robot, paint: int) -> None:
    path = head_path(robot.head)
    pen.fill(path, mix(paint, INK, 0.16))
    pen.canvas.save()
    pen.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
    pen.canvas.translate(0, -11)  # the same shape moved up leaves a shadow along the chin
    pen.fill(path, paint)
    pen.canvas.restore()
    bright = mix(paint, 0xFFFFFFFF, 0.5)
    if robot.skin == "stripes":
        for x in (104, 152):
            pen.inside(path, box(x - 7, 30, x + 7, 84), bright)
    elif robot.skin == "spots":
        for x, y, r in (
            (92, 62, 8),
            (128, 66, 6),
            (164, 62, 8),
            (52, 128, 7),
            (204, 128, 7),
            (60, 172, 8),
            (196, 172, 8),
        ):
            pen.inside(path, oval(x, y, r), bright)
    pen.line(path)
    if robot.sides == "headphones":
        pen.line(svg("M30 112 C24 20 232 20 226 112"), 9, 0xFF3B4266)
    plate = box(60, 76, 196, 196, 44)
    pen.part(plate, mix(0xFFFFFAF2, paint, 0.10), 4)
    for x in (74, 182):
        pen.fill(oval(x, 152, 8, 6.5), 0xFFFF9EAD)


def shut(pen: Pen, x: float, y: float, half: float, color: int = INK, width: float = 6) -> None:
    """A happily closed eye."""
    pen.line(svg(f"M{x - half} {y + 4} Q{x} {y - half * 0.95} {x + half} {y + 4}"), width, color)


def pupil(pen: Pen, x: float, y: float, r: float) -> None:
    pen.fill(oval(x, y, r), INK)
    pen.fill(oval(x - r * 0.34, y - r * 0.36, r * 0.38), 0xFFFFFFFF)
    pen.fill(oval(x + r * 0.4, y + r * 0.4, r * 0.18), 0xFFFFFFFF)


def eyes(pen: Pen, robot: Robot) -> None:
    closed, y = robot.lids == "shut", 113
    pair = (96, 160)
    if robot.eyes == "round":
        for x in pair:
            if closed:
                shut(pen, x, y, 18)
            else:
                pen.part(oval(x, y, 22, 25), 0xFFFFFFFF, 4)
                pupil(pen, x + (2 if x < 128 else -2), y + 2, 15)
    elif robot.eyes == "square":
        for x in pair:
            pen.part(box(x - 23, y - 22, x + 23, y + 22, 8), 0xFF2F8F9E, 4)
            if closed:
                pen.fill(box(x - 14, y - 2, x + 14, y + 5, 3), 0xFFD9FFF6)
            else:
                pen.fill(box(x - 11, y - 13, x + 11, y + 13, 4), 0xFFD9FFF6)
                pen.fill(box(x - 3, y - 7, x + 5, y + 7, 2), 0xFF1D5560)
    elif robot.eyes == "visor":
        pen.part(box(66, y - 25, 190, y + 25, 23), 0xFF2F3355, 4)
        for x in pair:
            if closed:
                shut(pen, x, y + 2, 13, 0xFF6FE8FF, 5.5)
            else:
                pen.fill(oval(x, y, 13, 16), 0xFF6FE8FF)
                pen.fill(oval(x - 4, y - 6, 4.5), 0xFFFFFFFF)
    elif robot.eyes == "goggles":
        pen.line(svg(f"M66 {y} L190 {y}"), 8)
        for x in pair:
            pen.part(oval(x, y, 28), 0xFFF0A13A, 4)
            pen.part(oval(x, y, 19), 0xFFE3F6FF, 4)
            if closed:
                shut(pen, x, y, 10, width=5)
            else:
                pupil(pen, x, y + 1, 11)
    elif robot.eyes == "sleepy":
        for x in pair:
            if closed:
                pen.line(svg(f"M{x - 18} {y} Q{x} {y + 17} {x + 18} {y}"), 6)
            else:
                lid = oval(x, y, 22, 25)
                pen.fill(lid, 0xFFFFFFFF)
                pen.inside(lid, oval(x, y + 8, 14), INK)
                pen.inside(lid, oval(x - 5, y + 8, 4.5), 0xFFFFFFFF)
                pen.inside(lid, box(x - 30, y - 30, x + 30, y - 2), 0xFFB9A8DE)
                pen.line(svg(f"M{x - 22} {y - 2} L{x + 22} {y - 2}"), 4)
                pen.line(lid, 4)
    elif robot.eyes == "heart":
        for x in pair:
            if closed:
                shut(pen, x, y, 18, 0xFFE8335A)
            else:
                pen.part(heart(x, y, 21), 0xFFF0426C, 4)
                pen.fill(oval(x - 9, y - 8, 4.5), 0xFFFFFFFF)
    elif closed:
        shut(pen, 128, y, 28, width=7)
    else:
        pen.part(oval(128, y, 28), 0xFFFFFFFF, 4.5)
        pen.fill(oval(128, y + 1, 21), 0xFF3FA7F0)
        pupil(pen, 128, y + 1, 15)


def mouth(pen: Pen, name: str) -> None:
    x, y, red, tongue = 128, 168, 0xFF8C2F45, 0xFFFF8A94
    if name == "closed":
        pen.line(svg(f"M{x - 18} {y} Q{x} {y + 4} {x + 18} {y}"), 5.5)
    elif name == "small":
        pen.part(oval(x, y, 9, 6.5), red, 4)
    elif name == "round":
        pen.part(oval(x, y, 13, 16), red, 4.5)
    elif name == "open":
        hole = oval(x, y, 22, 17)
        pen.fill(hole, red)
        pen.inside(hole, oval(x, y + 14, 15, 9), tongue)
        pen.line(hole, 4.5)
    elif name == "wide":
        hole = svg(
            f"M{x - 36} {y - 14} Q{x} {y - 20} {x + 36} {y - 14} Q{x + 34} {y + 19} {x} {y + 19} "
            f"Q{x - 34} {y + 19} {x - 36} {y - 14} Z"
        )
        pen.fill(hole, red)
        pen.inside(hole, box(x - 40, y - 20, x + 40, y - 8), 0xFFFFFFFF)
        pen.inside(hole, oval(x, y + 18, 22, 11), tongue)
        pen.line(hole, 4.5)
    elif name == "teeth":
        hole = box(x - 31, y - 12, x + 31, y + 12, 11)
        pen.fill(hole, 0xFFFFFFFF)
        pen.line(svg(f"M{x - 30} {y} L{x + 30} {y}"), 3)
        for at in (-15, 0, 15):
            pen.line(svg(f"M{x + at} {y - 11} L{x + at} {y + 11}"), 3)
        pen.line(hole, 4.5)
    else:  # smile
        pen.line(svg(f"M{x - 28} {y - 8} Q{x} {y + 24} {x + 28} {y - 8}"), 6)


def render(robot: Robot, size: int = SIZE) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB."""
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.scale(size / SIZE, size / SIZE)
    pen, paint = Pen(canvas), PAINT[robot.color]
    backdrop(pen, robot.backdrop)
    body(pen, robot, paint)
    top(pen, robot, paint)
    sides(pen, robot, paint)
    head(pen, robot, paint)
    if robot.top == "bow":
        bow(pen)
    eyes(pen, robot)
    mouth(pen, robot.mouth)
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3]
    return np.ascontiguousarray(pixels)
