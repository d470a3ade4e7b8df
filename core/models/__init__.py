"""The rows. One file a noun; import them from here."""

from core.models.alert import Alert
from core.models.audit import AuditEntry, AuditHead, BegunDeed
from core.models.awaited import Awaited
from core.models.channel import Channel, Delivery, Mute
from core.models.config import Config, Destination, ScheduledRun
from core.models.download import BuiltDownload
from core.models.gate_key import GateKey
from core.models.host import Host
from core.models.instance import InstanceValue, Node
from core.models.job import Job, JobLog
from core.models.ping import Ping, PingTarget
from core.models.point import Copy, Point
from core.models.report import Report
from core.models.restore import Restore
from core.models.storage import RepositoryRecord, Storage, StorageSample
from core.models.token import ApiToken, KeptAnswer
from core.models.user import LoginFailure, LoginSession, User

__all__ = [
    "Alert",
    "ApiToken",
    "AuditEntry",
    "AuditHead",
    "Awaited",
    "BegunDeed",
    "BuiltDownload",
    "Channel",
    "Config",
    "Copy",
    "Delivery",
    "Destination",
    "GateKey",
    "Host",
    "InstanceValue",
    "Job",
    "JobLog",
    "KeptAnswer",
    "LoginFailure",
    "LoginSession",
    "Mute",
    "Node",
    "Ping",
    "PingTarget",
    "Point",
    "Report",
    "RepositoryRecord",
    "Restore",
    "ScheduledRun",
    "Storage",
    "StorageSample",
    "User",
]
