"""The API's Prometheus metrics: one list of names with help texts.

Names end up in alert rules and dashboards (deploy/), which a test holds against this list.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from api.params import ENDPOINT

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PREFIX = "msgmetrics_api_"
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

REQUESTS = Counter(PREFIX + "requests", "Requests by status and route", ["status", "route"], registry=REGISTRY)
SECONDS = Histogram(
    PREFIX + "request_seconds", "Time to answer a request", ["route"], buckets=SECONDS_BUCKETS, registry=REGISTRY
)
IN_FLIGHT = Gauge(PREFIX + "queries_in_flight", "Questions being answered from ClickHouse", registry=REGISTRY)
RATE_LIMITED = Counter(
    PREFIX + "rate_limited",
    "Questions refused since their organization, or all of them by group, ask too much at once",
    registry=REGISTRY,
)
KEYS = Counter(PREFIX + "key_lookups", "Keys looked up, by what knew them: cache or store", ["from"], registry=REGISTRY)
ANSWERS = Counter(
    PREFIX + "answers",
    "Answers, by where they came from: cache (read a moment ago), shared (with who asked the same) or store",
    ["from"],
    registry=REGISTRY,
)
READY = Gauge(PREFIX + "ready", "1 when ClickHouse answered at the time of this scrape", registry=REGISTRY)

ROUTES = ("/", ENDPOINT, "/openapi.json", "/docs", "/schemas/message-event.json")
ASSETS, OTHER = "/assets/", "other"

# Looking a series up by its labels costs more than counting it; made here, it also exists from the start.
KEYS_FROM_CACHE, KEYS_FROM_STORE = KEYS.labels("cache"), KEYS.labels("store")
ANSWERS_FROM_CACHE, ANSWERS_SHARED, ANSWERS_FROM_STORE = map(ANSWERS.labels, ("cache", "shared", "store"))
SECONDS.labels(ENDPOINT)
for _status in ("200", "503"):  # ratios of these need both from the start
    REQUESTS.labels(_status, ENDPOINT)


def route_of(path: str) -> str:
    """The route that a path belongs to. All unknown paths share one label, so that clients cannot make up series."""
    if path in ROUTES:
        return path
    return ASSETS if path.startswith(ASSETS) else OTHER


@cache
def _counters(status: int, route: str) -> tuple[Counter, Histogram]:
    """The series of a request."""
    return REQUESTS.labels(str(status), route), SECONDS.labels(route)


def answered(path: str, status: int, seconds: float) -> None:
    """Count a request."""
    requests, took = _counters(status, route_of(path))
    requests.inc()
    took.observe(seconds)
