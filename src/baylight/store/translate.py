"""Violated constraints as errors that name what to change. A rule of the data is a constraint with a name of ours."""

from __future__ import annotations

import asyncpg

from baylight.domain.bounded_json import too_big
from baylight.errors import BaylightError, ConflictError, InputError

_CONFLICTS = {
    "reservations_no_overlap": ("space_taken", "the space is already reserved for part of that time"),
    "reservations_request_id": ("request_id_used", "this request_id belongs to another reservation"),
    "overrides_one_per_space": ("override_exists", "the space already has an override for part of that time"),
    "overrides_one_per_location": ("override_exists", "the location already has an override for part of that time"),
    "spaces_code_live": ("code_used", "another space has this code"),
    "sensor_devices_dev_eui_key": ("dev_eui_used", "a sensor with this DevEUI is registered"),
    "display_devices_dev_eui_key": ("dev_eui_used", "a display with this DevEUI is registered"),
    "device_assignments_one_space_per_device": (
        "device_in_use",
        "the device is or was on another space during that time",
    ),
    "device_assignments_one_device_per_space": ("role_taken", "the space has another device in this role"),
    "devices_lifecycle_step": ("lifecycle_step", "this step may not follow the device's present lifecycle state"),
    "overrides_location_fk": (
        "location_in_use",
        "overrides were set on the location: it cannot be deleted, because their history needs it",
    ),
    "locations_sibling_name": ("name_used", "there is already a location of this kind and name"),
}
_INPUTS = {
    "valid_times": ("bad_times", "the end must be after the start"),
    "valid_duration": ("too_long", "a reservation lasts at most one day"),
    "v2_valid_duration": ("too_long", "until the contract stage V2's table refuses more than 24 hours"),
    "sensor_devices_type_fk": ("unknown_device_type", "the device type is not in the catalogue"),
    "display_devices_type_fk": ("unknown_device_type", "the device type is not in the catalogue"),
    "sensor_devices_dev_eui": ("bad_dev_eui", "a DevEUI has 16 lower-case hex digits"),
    "display_devices_dev_eui": ("bad_dev_eui", "a DevEUI has 16 lower-case hex digits"),
    "sensor_devices_application_id": ("bad_application_id", "an application id has no #, + and control characters"),
    "display_devices_application_id": ("bad_application_id", "an application id has no #, + and control characters"),
    "display_devices_fport": ("bad_f_port", "an FPort is 1 to 223"),
    "device_tests_deadline": ("bad_times", "`wait` and `within` of a test are more than 0"),
    "locations_no_cycle": ("location_cycle", "a location cannot lie below itself"),
    "v2_holds_less": (
        "too_long_for_v2",
        "while V2 is migrated, a building has at most 100 characters, a floor 20 and a zone 50",
    ),
    "valid_gps": ("bad_position", "latitude and longitude go together, -90 to 90 and -180 to 180"),
}


def translate(error: asyncpg.PostgresError) -> BaylightError | None:
    """Return the error for the caller, or None if a caller cannot violate the constraint."""
    name = getattr(error, "constraint_name", None)
    if name in _CONFLICTS:
        code, message = _CONFLICTS[name]
        return ConflictError(code, message, constraint=name)
    if name in _INPUTS:
        code, message = _INPUTS[name]
        return InputError(code, message, constraint=name)
    if name is not None and name.endswith("_bounded"):
        return too_big(name.removesuffix("_bounded"))
    return None
