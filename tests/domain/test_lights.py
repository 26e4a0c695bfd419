import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.domain.lights import COLOURS, Light, distinguishable, name, parse_light
from baylight.errors import InputError

PART = st.integers(0, 255)
HALF = st.integers(50, 2550)
LIGHT = st.builds(Light, PART, PART, PART) | st.builds(Light, PART, PART, PART, HALF, HALF)


@pytest.mark.parametrize(
    ("light", "called"),
    [
        (Light(255, 0, 0), "red"),
        (Light(153, 0, 0), "red"),
        (Light(255, 0, 20), "red"),
        (Light(255, 50, 0), "orange"),
        (Light(255, 165, 0), "yellow"),  # orange on a screen, yellow on a lamp
        (Light(255, 100, 0), "yellow"),
        (Light(255, 255, 0), "yellow"),
        (Light(0, 255, 0), "green"),
        (Light(0, 53, 0), "dim green"),
        (Light(0, 255, 255), "cyan"),
        (Light(0, 0, 255), "blue"),
        (Light(100, 0, 180), "purple"),
        (Light(255, 0, 255), "purple"),
        (Light(255, 0, 165), "pink"),
        (Light(255, 0, 100), "pink"),
        (Light(255, 255, 255), "white"),
        (Light(40, 40, 40), "dim white"),
        (Light(0, 0, 0), "off"),
        (Light(0, 0, 0, 500, 500), "off"),
        (Light(0, 0, 255, 1000, 1000), "flashing blue"),
        (Light(0, 60, 0, 500, 500), "flashing dim green"),
    ],
)
def test_a12_a_light_is_called_what_people_called_it(light: Light, called: str):
    assert name(light) == called


@pytest.mark.parametrize("colour", COLOURS)
def test_each_known_colour_is_called_by_its_own_name(colour: str):
    assert name(COLOURS[colour]) == colour
    assert parse_light(colour) == COLOURS[colour]


@pytest.mark.parametrize(
    ("text", "light"),
    [
        ("red", Light(255, 0, 0)),
        (" Dim  Green ", Light(0, 53, 0)),
        ("#ff3200", Light(255, 50, 0)),
        ("#FF3200", Light(255, 50, 0)),
        ("flashing blue", Light(0, 0, 255, 1000, 1000)),
        ("blue, flashing", Light(0, 0, 255, 1000, 1000)),
        ("blue, flashing 500/250", Light(0, 0, 255, 500, 250)),
        ("#ff3200, flashing 500 / 250 ms", Light(255, 50, 0, 500, 250)),
    ],
)
def test_a_light_is_written_as_name_or_rgb(text: str, light: Light):
    assert parse_light(text) == light


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gren",
        "ff3200",
        "#ff32",
        "#ff32000",
        "#gg3200",
        "red,",
        "red, blinking",
        "red, flashing 0/500",
        "red, flashing 500/0",
        "red, flashing 500",
        "flashing",
        "flashing flashing red",
        "flashing red, flashing",
        "x" * 500,
    ],
)
def test_what_is_no_light_is_refused(text: str):
    with pytest.raises(InputError) as caught:
        parse_light(text)
    assert caught.value.code == "bad_light"
    assert len(caught.value.message) < 250


@given(st.text(max_size=30))
def test_any_text_is_a_light_or_refused(text: str):
    try:
        light = parse_light(text)
    except InputError:
        return
    assert light.on_ms >= 0
    assert light.off_ms >= 0


@given(LIGHT)
def test_what_is_written_out_is_read_back(light: Light):
    rhythm = f", flashing {light.on_ms}/{light.off_ms}" if light.off_ms else ""
    assert parse_light(light.rgb + rhythm) == light


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("green", "red", True),
        ("green", "dim green", False),
        ("yellow", "#ffa500", False),
        ("yellow", "orange", True),
        ("red", "orange", True),
        ("purple", "pink", True),
        ("blue", "flashing blue", True),
        ("blue, flashing 500/500", "blue, flashing 1000/1000", False),
        ("off", "flashing red", True),
        ("off", "off", False),
        ("white", "yellow", True),
        ("#ff1800", "#ff1c00", False),
        ("#ff1900", "#ff1a00", False),
    ],
)
def test_a_driver_distinguishes_lights_by_colour_and_flashing(one: str, other: str, apart: bool):
    assert distinguishable(parse_light(one), parse_light(other)) is apart


def test_colours_just_across_the_border_of_two_names_are_one_to_the_eye():
    red, orange = Light(255, 23, 0), Light(255, 28, 0)
    assert (name(red), name(orange)) == ("red", "orange")
    assert not distinguishable(red, orange)
    pink, also_red = Light(255, 0, 70), Light(255, 0, 60)
    assert (name(pink), name(also_red)) == ("pink", "red")
    assert not distinguishable(pink, also_red)


@given(LIGHT, LIGHT)
def test_distinguishable_is_symmetric_and_nothing_differs_from_itself(a: Light, b: Light):
    assert distinguishable(a, b) == distinguishable(b, a)
    assert not distinguishable(a, a)
    if distinguishable(a, b):
        assert name(a) != name(b)
