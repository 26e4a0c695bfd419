import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLASS_A: _ClassVar[DeviceClass]
    CLASS_B: _ClassVar[DeviceClass]
    CLASS_C: _ClassVar[DeviceClass]

CLASS_A: DeviceClass
CLASS_B: DeviceClass
CLASS_C: DeviceClass

class DeviceQueueItem(_message.Message):
    __slots__ = (
        "id",
        "dev_eui",
        "confirmed",
        "f_port",
        "data",
        "object",
        "is_pending",
        "f_cnt_down",
        "is_encrypted",
        "expires_at",
    )
    ID_FIELD_NUMBER: _ClassVar[int]
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    F_PORT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    IS_PENDING_FIELD_NUMBER: _ClassVar[int]
    F_CNT_DOWN_FIELD_NUMBER: _ClassVar[int]
    IS_ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    dev_eui: str
    confirmed: bool
    f_port: int
    data: bytes
    object: _struct_pb2.Struct
    is_pending: bool
    f_cnt_down: int
    is_encrypted: bool
    expires_at: _timestamp_pb2.Timestamp
    def __init__(
        self,
        id: _Optional[str] = ...,
        dev_eui: _Optional[str] = ...,
        confirmed: _Optional[bool] = ...,
        f_port: _Optional[int] = ...,
        data: _Optional[bytes] = ...,
        object: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...,
        is_pending: _Optional[bool] = ...,
        f_cnt_down: _Optional[int] = ...,
        is_encrypted: _Optional[bool] = ...,
        expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...,
    ) -> None: ...

class EnqueueDeviceQueueItemRequest(_message.Message):
    __slots__ = ("queue_item", "flush_queue")
    QUEUE_ITEM_FIELD_NUMBER: _ClassVar[int]
    FLUSH_QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue_item: DeviceQueueItem
    flush_queue: bool
    def __init__(
        self, queue_item: _Optional[_Union[DeviceQueueItem, _Mapping]] = ..., flush_queue: _Optional[bool] = ...
    ) -> None: ...

class EnqueueDeviceQueueItemResponse(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class FlushDeviceQueueRequest(_message.Message):
    __slots__ = ("dev_eui",)
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    dev_eui: str
    def __init__(self, dev_eui: _Optional[str] = ...) -> None: ...

class FlushDeviceQueueResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDeviceQueueItemsRequest(_message.Message):
    __slots__ = ("dev_eui", "count_only")
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    COUNT_ONLY_FIELD_NUMBER: _ClassVar[int]
    dev_eui: str
    count_only: bool
    def __init__(self, dev_eui: _Optional[str] = ..., count_only: _Optional[bool] = ...) -> None: ...

class GetDeviceQueueItemsResponse(_message.Message):
    __slots__ = ("total_count", "result")
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    total_count: int
    result: _containers.RepeatedCompositeFieldContainer[DeviceQueueItem]
    def __init__(
        self, total_count: _Optional[int] = ..., result: _Optional[_Iterable[_Union[DeviceQueueItem, _Mapping]]] = ...
    ) -> None: ...

class TenantListItem(_message.Message):
    __slots__ = ("id", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("limit", "offset")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    def __init__(self, limit: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("total_count", "result")
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    total_count: int
    result: _containers.RepeatedCompositeFieldContainer[TenantListItem]
    def __init__(
        self, total_count: _Optional[int] = ..., result: _Optional[_Iterable[_Union[TenantListItem, _Mapping]]] = ...
    ) -> None: ...

class Application(_message.Message):
    __slots__ = ("id", "name", "tenant_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    tenant_id: str
    def __init__(
        self, id: _Optional[str] = ..., name: _Optional[str] = ..., tenant_id: _Optional[str] = ...
    ) -> None: ...

class GetApplicationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetApplicationResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class ApplicationListItem(_message.Message):
    __slots__ = ("id", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ListApplicationsRequest(_message.Message):
    __slots__ = ("limit", "offset", "tenant_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    tenant_id: str
    def __init__(
        self, limit: _Optional[int] = ..., offset: _Optional[int] = ..., tenant_id: _Optional[str] = ...
    ) -> None: ...

class ListApplicationsResponse(_message.Message):
    __slots__ = ("total_count", "result")
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    total_count: int
    result: _containers.RepeatedCompositeFieldContainer[ApplicationListItem]
    def __init__(
        self,
        total_count: _Optional[int] = ...,
        result: _Optional[_Iterable[_Union[ApplicationListItem, _Mapping]]] = ...,
    ) -> None: ...

class Device(_message.Message):
    __slots__ = ("dev_eui", "name", "application_id", "is_disabled")
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    IS_DISABLED_FIELD_NUMBER: _ClassVar[int]
    dev_eui: str
    name: str
    application_id: str
    is_disabled: bool
    def __init__(
        self,
        dev_eui: _Optional[str] = ...,
        name: _Optional[str] = ...,
        application_id: _Optional[str] = ...,
        is_disabled: _Optional[bool] = ...,
    ) -> None: ...

class GetDeviceRequest(_message.Message):
    __slots__ = ("dev_eui",)
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    dev_eui: str
    def __init__(self, dev_eui: _Optional[str] = ...) -> None: ...

class GetDeviceResponse(_message.Message):
    __slots__ = ("device", "last_seen_at", "class_enabled")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    CLASS_ENABLED_FIELD_NUMBER: _ClassVar[int]
    device: Device
    last_seen_at: _timestamp_pb2.Timestamp
    class_enabled: DeviceClass
    def __init__(
        self,
        device: _Optional[_Union[Device, _Mapping]] = ...,
        last_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...,
        class_enabled: _Optional[_Union[DeviceClass, str]] = ...,
    ) -> None: ...

class DeviceListItem(_message.Message):
    __slots__ = ("dev_eui", "name", "description", "device_profile_name")
    DEV_EUI_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    dev_eui: str
    name: str
    description: str
    device_profile_name: str
    def __init__(
        self,
        dev_eui: _Optional[str] = ...,
        name: _Optional[str] = ...,
        description: _Optional[str] = ...,
        device_profile_name: _Optional[str] = ...,
    ) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ("limit", "offset", "application_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    application_id: str
    def __init__(
        self, limit: _Optional[int] = ..., offset: _Optional[int] = ..., application_id: _Optional[str] = ...
    ) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("total_count", "result")
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    total_count: int
    result: _containers.RepeatedCompositeFieldContainer[DeviceListItem]
    def __init__(
        self, total_count: _Optional[int] = ..., result: _Optional[_Iterable[_Union[DeviceListItem, _Mapping]]] = ...
    ) -> None: ...
