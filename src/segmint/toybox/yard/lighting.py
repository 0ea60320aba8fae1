"""Sun, sky and lamps, and the light that a surface sends to the viewer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator

from segmint.toybox.yard import tracing
from segmint.toybox.yard.bodies import Light
from segmint.toybox.yard.palette import Colour
from segmint.toybox.yard.solids import Points, Values
from segmint.toybox.yard.surroundings import Sky
from segmint.toybox.yard.tracing import Placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The lights of one scene."""

    sun: Float32[np.ndarray, "3"]
    """Unit vector towards it."""
    sun_light: Colour
    sun_blur: float
    sky: Sky
    fill: Float32[np.ndarray, "3"]
    """Unit vector towards a second, weak light that casts no shadow."""
    fill_light: Colour
    haze: float
    """Share of the light that is lost over one viewing distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points3:
    """Surface points as the light finds them."""

    place: Points
    normal: Points
    view: Points
    """Unit vectors from the viewer."""
    albedo: Light
    gloss: Values
    glow: Values
    hidden: Values


def weather(rng: Generator, *, walled: bool) -> Weather:
    """A time of day: clear noon, a low warm sun, or an overcast sky."""
    kind = str(rng.choice(["clear", "low", "overcast"], p=[0.5, 0.25, 0.25]))
    height = np.radians(rng.uniform(*{"clear": (32, 62), "low": (16, 30), "overcast": (40, 70)}[kind]))
    # Before a wall the sun is behind the viewer, or it would not light the yard.
    around = rng.uniform(np.pi * 0.62, np.pi * 1.38) if walled else rng.uniform(0, 2 * np.pi)
    sun = _direction(float(around), float(height))
    zenith, horizon, light, strength, clouds, blur = {
        "clear": (
            (0.16, 0.34, 0.78),
            (0.62, 0.76, 0.95),
            (1.0, 0.93, 0.82),
            2.3,
            rng.uniform(0.1, 0.5),
            0.07,
        ),
        "low": ((0.22, 0.28, 0.52), (0.95, 0.66, 0.46), (1.0, 0.68, 0.40), 2.1, rng.uniform(0.2, 0.6), 0.10),
        "overcast": ((0.62, 0.68, 0.76), (0.82, 0.85, 0.88), (1.0, 0.98, 0.95), 0.8, 0.75, 0.35),
    }[kind]
    brightness = float(rng.uniform(0.8, 1.15))
    lit = rng.random() < 0.5
    tint = rng.uniform((0.6, 0.6, 0.6), (1.0, 0.9, 1.0))
    return Weather(
        sun=sun,
        sun_light=np.asarray(light, np.float32) * np.float32(strength * brightness),
        sun_blur=float(blur * rng.uniform(0.7, 1.5)),
        sky=Sky(
            zenith=np.asarray(zenith, np.float32) * np.float32(brightness),
            horizon=np.asarray(horizon, np.float32) * np.float32(brightness),
            clouds=float(clouds),
            shift=(float(rng.uniform(0, 9)), float(rng.uniform(0, 9))),
        ),
        fill=_direction(float(around + rng.uniform(1.2, 5.0)), float(rng.uniform(0.2, 0.8))),
        fill_light=np.asarray(tint, np.float32) * np.float32(0.4 if lit else 0.0),
        haze=float(rng.uniform(0.0, 0.05)),
    )


def reflected(
    points: Points3, things: Sequence[Placed], weather: Weather, *, bounce: Colour, wall_z: float, unit: float
) -> Light:
    """Light that surface points send to the viewer.

    Args:
        points: What is seen.
        things: What throws shadows.
        weather: The lights.
        bounce: Mean albedo of the ground, which lights things from below.
        wall_z: Where the wall stands; far away if there is none.
        unit: Scale of the scene, for how far corners darken.
    """
    lifted = points.place + points.normal * np.float32(0.006 * unit)
    facing = np.maximum(weather.sun @ points.normal, 0)
    direct = facing.copy()
    lit = np.flatnonzero(facing > 0.01)
    direct[lit] *= tracing.sunlight(things, lifted[:, lit], weather.sun, blur=weather.sun_blur)
    direct *= 1 - points.hidden
    room = tracing.openness(things, lifted, points.normal, wall_z=wall_z, unit=unit)
    room = room * (1 - points.hidden)
    up = 0.5 + 0.5 * points.normal[1]
    above = 0.62 * weather.sky.zenith + 0.5 * weather.sky.horizon
    below = bounce * (0.35 * weather.sun_light * weather.sun[1] + 0.5 * weather.sky.horizon)
    ambient = (above[:, None] * up + below[:, None] * (1 - up)) * room
    fill = weather.fill_light[:, None] * (np.maximum(weather.fill @ points.normal, 0) * room)
    diffuse = points.albedo * (weather.sun_light[:, None] * direct + ambient + fill)
    result: Light = (
        diffuse + _shine(points, weather, direct=direct, room=room) + points.albedo * points.glow * 2
    )
    return result


def lamplight(points: Points3, place: Float32[np.ndarray, "3"], strength: Colour, *, unit: float) -> Light:
    """Light from a lamp near by, which falls with the square of the distance."""
    towards = place[:, None] - points.place
    square = (towards * towards).sum(0) + np.float32((0.25 * unit) ** 2)
    facing = np.maximum((towards * points.normal).sum(0), 0) / np.sqrt(square)
    result: Light = points.albedo * strength[:, None] * (facing * np.float32(unit**2) / square)
    return result


def _shine(points: Points3, weather: Weather, *, direct: Values, room: Values) -> Light:
    """Highlights of the sun, reflections of the sky. Source: Blinn 1977; Schlick 1994."""
    out = np.zeros_like(points.albedo)
    index = np.flatnonzero(points.gloss > 0.05)
    view, normal, gloss = points.view[:, index], points.normal[:, index], points.gloss[index]
    half = weather.sun[:, None] - view
    half /= np.sqrt((half * half).sum(0))
    power = np.exp2(3 + 6 * gloss)
    spot = np.maximum((half * normal).sum(0), 0) ** power * power * 0.02 * gloss
    cosine = np.clip(-(view * normal).sum(0), 0, 1)
    mirror = gloss * (0.04 + 0.5 * (1 - cosine) ** 5)
    away = view + 2 * cosine * normal
    sky = weather.sky.seen(away, weather.sun, weather.sun_light) * np.clip(away[1] * 3 + 0.4, 0.08, 1)
    out[:, index] = weather.sun_light[:, None] * spot * direct[index] + sky * mirror * room[index]
    return out


def _direction(around: float, height: float) -> Float32[np.ndarray, "3"]:
    flat = np.cos(height)
    return np.asarray((np.sin(around) * flat, np.sin(height), np.cos(around) * flat), np.float32)
