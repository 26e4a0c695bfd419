"""docs/reference/device-types.md says what the catalogue says."""

from pathlib import Path

import pytest

from baylight.codecs.catalogue import DeviceType, load_catalogue

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/device-types.md").read_text("utf-8")


@pytest.mark.parametrize("device_type", load_catalogue(), ids=lambda device_type: device_type.code)
def test_each_type_is_listed_as_it_is(device_type: DeviceType):
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{device_type.code}` |")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[1] == f"{device_type.manufacturer} {device_type.model}"
    if device_type.category == "display":
        assert cells[2] == str(device_type.default_config["f_port"])
        return
    hours = device_type.uplink_interval_s * device_type.silent_after_intervals / 3600
    assert cells[2:5] == [device_type.capabilities["occupied"], device_type.capabilities["free"], f"{hours:g} h"]
