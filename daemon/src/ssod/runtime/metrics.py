"""Prometheus metrics of this server, read from its state when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ssod import __version__
from ssod.core.refusals import days_left
from ssod.errors import SsodError
from ssod.service.node import Node
from ssod.service.tally import PHASES, Tally


class _NodeCollector(Collector):
    def __init__(self, node: Node, certificate_expires: Callable[[], float]) -> None:
        self._node = node
        self._certificate_expires = certificate_expires

    def collect(self) -> Iterator[GaugeMetricFamily]:
        node, state = self._node, self._node.state
        now = node.clock.monotonic()
        for name, text, value in (
            ("ssod_attached", "Whether this server reached the master within its last refresh.", node.attached),
            ("ssod_can_encrypt", "Whether this server may encrypt now.", node.can_encrypt),
            ("ssod_can_decrypt", "Whether this server holds a keyring.", node.keyring is not None),
            ("ssod_may_become_master", "Whether this server may become the master.", node.may_become_master),
            (
                "ssod_sealed_copy_current",
                "Whether the sealed copy on this server's disk holds the current secret.",
                node.key_id is not None and node.sealed_key_id == node.key_id,
            ),
            ("ssod_master_active", "Whether this server is the active master.", node.mastership == "active"),
            ("ssod_epoch", "Newest epoch that this server has seen.", state.epoch),
            ("ssod_database_reachable", "Whether the SSO database answered last.", state.database_lost is None),
            (
                "ssod_backed_up",
                "Whether the current secret has a verified backup.",
                bool(node.keyring and node.keyring.backed_up),
            ),
            (
                "ssod_certificate_expiry_timestamp_seconds",
                "When this server's certificate expires.",
                self._certificate_expires(),
            ),
            (
                "ssod_certificate_days_left",
                "Whole days until this server's certificate expires; negative when it has.",
                days_left(datetime.fromtimestamp(self._certificate_expires(), UTC), node.clock.now()),
            ),
            (
                "ssod_certificate_expires_soon",
                "Whether this server's certificate is overdue for its renewal.",
                node.certificate_warning() is not None,
            ),
            ("ssod_certificate_revoked", "Whether this server was removed: its certificate is refused.", node.removed is not None),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        if node.keyring is not None:
            yield GaugeMetricFamily(
                "ssod_secret_created_timestamp_seconds",
                "When the current master secret was generated.",
                value=datetime.fromisoformat(node.keyring.current.created_at).timestamp(),
            )
        if node.environment is not None and node.environment.backup is not None:
            yield GaugeMetricFamily(
                "ssod_backup_verified_timestamp_seconds",
                "When the newest backup of the current secret was verified.",
                value=node.environment.backup.verified_at.timestamp(),
            )
        if state.last_seen is not None:
            age = now - state.last_seen.monotonic
            yield GaugeMetricFamily("ssod_last_refresh_age_seconds", "Seconds since the master last answered.", value=age)
        info = GaugeMetricFamily("ssod_info", "This server: always 1.", labels=["server", "version", "key_id", "master"])
        info.add_metric([state.server, __version__, node.key_id or "", state.master or ""], 1)
        yield info


class _ValuesCollector(Collector):
    def __init__(self, values: dict[str, int]) -> None:
        self._values = values

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("ssod_values", "Values encrypted and decrypted.", labels=["operation"])
        for operation, count in self._values.items():
            family.add_metric([operation], count)
        yield family


class _RotationCollector(Collector):
    """What the master knows of its rotation. Another server knows nothing of it, and has no such series but the counter."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        tally = self._tally
        renewed = "Values that this server has re-encrypted under another master secret."
        yield CounterMetricFamily("ssod_rotation_values_renewed", renewed, value=tally.renewed)
        if tally.phase is not None:
            phase = GaugeMetricFamily("ssod_rotation_phase", "Which step a rotation is in: 1 for that one.", labels=["phase"])
            for each in PHASES:
                phase.add_metric([each], float(each == tally.phase))
            yield phase
        if tally.left is not None:
            yield GaugeMetricFamily("ssod_rotation_values_remaining", "Values under a retired master secret.", value=tally.left)
            damaged = "Values that did not open when this server last went through them, and were left as they were."
            yield GaugeMetricFamily("ssod_rotation_values_damaged", damaged, value=tally.damaged)


class Metrics:
    def __init__(self, node: Node, certificate_expires: Callable[[], float], tally: Tally) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(node, certificate_expires))
        self._registry.register(_RotationCollector(tally))
        # Counted by one thread, for every value: a plain number costs a tenth of a Counter with its lock.
        self._values = {"encrypt": 0, "decrypt": 0}
        self._registry.register(_ValuesCollector(self._values))
        self._refusals = Counter("ssod_refusals", "Requests refused, by problem.", ["problem"], registry=self._registry)
        self._told = Counter("ssod_events_told", "Events told to the webhook or the program.", registry=self._registry)
        self._failed = Counter("ssod_events_failed", "Events that could not be told to one of them.", registry=self._registry)

    def count(self, operation: str, values: int) -> None:
        self._values[operation] += values

    def observe(self, _path: str, error: SsodError | None) -> None:
        if error is not None:
            self._refusals.labels(error.problem).inc()

    def count_event(self, delivered: bool) -> None:
        (self._told if delivered else self._failed).inc()

    def render(self) -> tuple[bytes, str]:
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
