"""Every metric of the product, with its unit, meaning and labels; none is made elsewhere.

Besides there are those that the client library has of each process, `process_…`.

Prometheus' own rules: base units, `_total` for what only grows, and labels whose values are
bounded: never a path, a request id or the name of a pod. What configuration bounds, as policies
and receivers of alerts, is bounded once more where it is counted.
"""

from __future__ import annotations

from typing import Final

from collector.metric import Kind, Place, Spec

BUILD_INFO: Final = Spec(
    "build_info", Kind.GAUGE, Place.ALL, "1; the version that runs", ("version",)
)
TROUBLE: Final = Spec(
    "trouble",
    Kind.GAUGE,
    Place.LOOPS,
    "1 while `/readyz` names this reason",
    ("part", "reason"),
)
LOOP_SILENT: Final = Spec(
    "loop_silent_seconds",
    Kind.GAUGE,
    Place.LOOPS,
    "Since the last step of the loop; beyond `hang_s`, `/livez` fails",
    ("part",),
)
LAST_SUCCESS: Final = Spec(
    "last_success_timestamp_seconds",
    Kind.GAUGE,
    Place.LOOPS,
    "When lines were last written (write), due windows settled (settle), a message accepted "
    "(deliver), the cluster's policies compared (watch), by this process; unix time",
    ("stage",),
)

RECORDS: Final = Spec(
    "records_total", Kind.COUNTER, Place.COLLECTOR, "Records of Kafka that were read and written"
)
LINES_READ: Final = Spec(
    "lines_read_total",
    Kind.COUNTER,
    Place.COLLECTOR,
    "Lines in them; the sum of `lines_total` over its results",
)
LINES: Final = Spec(
    "lines_total",
    Kind.COUNTER,
    Place.COLLECTOR,
    "Lines by what became of them: stored, ignored, quarantined",
    ("result",),
)
LAG_RECORDS: Final = Spec(
    "consumer_lag_records",
    Kind.GAUGE,
    Place.COLLECTOR,
    "Records that a partition of this collector is behind its end, by the broker's word",
    ("topic", "partition"),
)
LAG_SECONDS: Final = Spec(
    "consumer_lag_seconds",
    Kind.GAUGE,
    Place.COLLECTOR,
    "Age of the last record read of a partition that is behind; 0: it is not behind",
    ("topic", "partition"),
)
STOPPED: Final = Spec(
    "partition_stopped",
    Kind.GAUGE,
    Place.COLLECTOR,
    "1: the partition waits for an operator; 0: it is read",
    ("topic", "partition"),
)
TRANSACTION: Final = Spec(
    "db_transaction_seconds",
    Kind.HISTOGRAM,
    Place.COLLECTOR,
    "Time of the transactions that write lines, from begin to commit, also of those that failed",
)
FENCED: Final = Spec(
    "fenced_writes_total",
    Kind.COUNTER,
    Place.COLLECTOR,
    "Writes that hit a partition of somebody else; nothing was written",
)
GAP_RECORDS: Final = Spec(
    "gap_records_total",
    Kind.COUNTER,
    Place.COLLECTOR,
    "Records that were passed over unread, as they end the process that unpacks them",
)

VERDICTS: Final = Spec(
    "verdicts_total",
    Kind.COUNTER,
    Place.VERIFIER,
    "Verdicts of windows that were settled for the first time",
    ("policy", "verdict"),
)
WINDOWS: Final = Spec(
    "windows_total",
    Kind.COUNTER,
    Place.VERIFIER,
    "Windows that were settled for the first time",
    ("policy", "statement"),
)
REVISIONS: Final = Spec(
    "revisions_total",
    Kind.COUNTER,
    Place.VERIFIER,
    "Corrections of settled windows, as by late lines",
    ("policy",),
)
TICK: Final = Spec(
    "tick_seconds", Kind.HISTOGRAM, Place.VERIFIER, "Time of one round of settling, as a whole"
)
LEASE: Final = Spec(
    "lease_held", Kind.GAUGE, Place.VERIFIER, "1: this verifier settles; 0: it stands by"
)
ALERT_ATTEMPTS: Final = Spec(
    "alert_attempts_total",
    Kind.COUNTER,
    Place.VERIFIER,
    "Attempts to send a message: delivered, retry, throttled, refused, gone, interrupted",
    ("endpoint", "outcome"),
)

CLUSTER_OBJECTS: Final = Spec(
    "cluster_objects",
    Kind.GAUGE,
    Place.VERIFIER,
    "Objects of the cluster that are followed; lacks where another replica follows them",
    ("kind",),
)
CLUSTER_REFUSED: Final = Spec(
    "cluster_refused",
    Kind.GAUGE,
    Place.VERIFIER,
    "Objects of the cluster that cannot be read as policies; `policy list` says why",
)
CLUSTER_FAILURES: Final = Spec(
    "cluster_failures_total",
    Kind.COUNTER,
    Place.VERIFIER,
    "Lists and watches of the cluster's API server that failed, also those that expired",
    ("kind",),
)

DATABASE_UP: Final = Spec(
    "database_up",
    Kind.GAUGE,
    Place.DATABASE,
    "1: the database answered when this was asked; 0: what comes from it lacks below",
)
WATERMARK_LAG: Final = Spec(
    "watermark_lag_seconds",
    Kind.GAUGE,
    Place.DATABASE,
    "Since when event time is not complete; lacks while nothing is known, or all is read for good",
)
SETTLED_LAG: Final = Spec(
    "settled_lag_seconds",
    Kind.GAUGE,
    Place.DATABASE,
    "Since when a policy is not settled",
    ("policy",),
)
INCIDENTS: Final = Spec(
    "incidents_open", Kind.GAUGE, Place.DATABASE, "Open incidents", ("kind", "severity")
)
ALERTS_PENDING: Final = Spec(
    "alerts_pending", Kind.GAUGE, Place.DATABASE, "Messages that wait to be sent", ("endpoint",)
)
ALERTS_OLDEST: Final = Spec(
    "alert_oldest_pending_seconds",
    Kind.GAUGE,
    Place.DATABASE,
    "Age of the oldest of them; 0: none waits",
    ("endpoint",),
)
ALERTS_GIVEN_UP: Final = Spec(
    "alerts_given_up_total",
    Kind.COUNTER,
    Place.DATABASE,
    "Messages that were given up for good; of Fluentd: copies that it does not have",
    ("endpoint",),
)
ENDPOINT_DISABLED: Final = Spec(
    "alert_endpoint_disabled",
    Kind.GAUGE,
    Place.DATABASE,
    "1: nothing is sent to it until somebody enables it",
    ("endpoint",),
)
QUARANTINE: Final = Spec(
    "quarantine_waiting",
    Kind.GAUGE,
    Place.DATABASE,
    "Quarantined lines that nobody read again, counted up to 10,000",
)

API_REQUESTS: Final = Spec(
    "api_requests_total",
    Kind.COUNTER,
    Place.API,
    "Requests by template of the route, `unmatched` without one",
    ("method", "route", "status"),
)
API_SECONDS: Final = Spec(
    "api_request_seconds",
    Kind.HISTOGRAM,
    Place.API,
    "Time of a request, to the last byte of its answer",
    ("route",),
)

SPECS: Final = tuple(found for found in tuple(globals().values()) if isinstance(found, Spec))
"""All of them, in the order above."""
