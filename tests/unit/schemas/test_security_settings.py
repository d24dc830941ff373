"""Settings of TLS, SASL and secrets: contradictions are refused with the remedy, secrets are never shown."""

import traceback
from pathlib import Path

import pytest

from deploy.cli.main import cli
from schemas.connection import connect, redact
from schemas.endpoint import Endpoint
from schemas.settings import PREFIX, SETTINGS, SettingsError, read_settings
from tests.support.commands import COMMANDS


def problems(**given: str) -> str:
    with pytest.raises(SettingsError) as error:
        read_settings({PREFIX + name: value for name, value in given.items()})
    return str(error.value)


SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SASL, "KAFKA_SASL_USERNAME and MSGMETRICS_KAFKA_SASL_PASSWORD are both needed for SCRAM-SHA-512"),
        ({**SASL, "KAFKA_SASL_USERNAME": "u"}, "both needed"),
        ({**SASL, "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_OAUTH_TOKEN_FILE is needed"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        ({"KAFKA_SSL_CAFILE": "/no/such/file"}, "must name a file that this process may read"),
        ({"KAFKA_SSL_CERTFILE": __file__}, "KAFKA_SSL_KEYFILE belong together"),
        ({"CLICKHOUSE_URL": "https://h", "CLICKHOUSE_SSL_KEYFILE": __file__}, "CLICKHOUSE_SSL_KEYFILE belong together"),
        ({"CLICKHOUSE_SSL_CAFILE": __file__}, "are for https; MSGMETRICS_CLICKHOUSE_URL begins with http://"),
        ({"CLICKHOUSE_URL": "chdb:///x", "CLICKHOUSE_CLUSTER": "c"}, "CLUSTER needs ClickHouse servers"),
        ({"CLICKHOUSE_CLUSTER": "a b; DROP"}, "must be the name of a cluster"),
    ],
)
def test_settings_of_security_that_cannot_work_are_refused_at_start(given: dict[str, str], said: str) -> None:
    assert said in problems(**given)


def test_what_belongs_together_is_accepted(tmp_path: Path) -> None:
    given = {
        **SASL,
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_OAUTH_TOKEN_FILE": __file__,
        "KAFKA_SSL_CAFILE": __file__,
        "CLICKHOUSE_URL": "https://u@h:8443/d",
        "CLICKHOUSE_SSL_CAFILE": __file__,
        "CLICKHOUSE_SSL_CERTFILE": __file__,
        "CLICKHOUSE_SSL_KEYFILE": __file__,
        "CLICKHOUSE_CLUSTER": "metrics",
    }
    settings = read_settings({PREFIX + name: value for name, value in given.items()})
    assert settings.clickhouse == Endpoint("https://u@h:8443/d", "", __file__, __file__, __file__, "metrics")


SECRETS = [setting for setting in SETTINGS if setting.secret]


def test_no_secret_is_printed_with_the_settings() -> None:
    given = {s.variable: "https://user:hunter2@h/d" if s.name.endswith("URL") else "hunter2" for s in SECRETS}
    settings = read_settings(given)
    assert len(SECRETS) >= 3
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.clickhouse) + f"{settings!r}"
    assert settings.clickhouse.password == "hunter2"


def test_no_secret_is_in_the_traceback_of_a_refusal() -> None:
    given = {s.variable: "ftp://user:hunter2@h" for s in SECRETS} | {PREFIX + "API_PORT": "x"}
    with pytest.raises(SettingsError) as refused:
        read_settings(given)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("setting", SECRETS, ids=lambda s: s.name)
def test_every_secret_may_come_from_a_file(tmp_path: Path, setting: object) -> None:
    from schemas.settings import Setting

    assert isinstance(setting, Setting)
    value = "https://u:p@h/d" if setting.name.endswith("URL") else "from the file"
    (tmp_path / "secret").write_text(value + "\n")
    found = read_settings({setting.variable + "_FILE": str(tmp_path / "secret")})
    assert getattr(found, setting.name.lower()) == value


def test_no_command_takes_a_secret_as_an_argument_where_ps_would_show_it() -> None:
    """Keys are named by id or prefix, and everything else secret comes from the environment or a file."""
    everything = {"msgmetrics": cli, **COMMANDS}
    found = [f"{words} {name}" for words, c in everything.items() for p in c.params for name in (p.name, *p.opts)]
    assert {"msgmetrics --dev", "keys create --scope"} <= set(found)
    assert not [name for name in found if any(word in name for word in ("password", "secret", "token"))]


HIDDEN = "kept-hidden"
BROKEN = [
    f"{mark}{HIDDEN}" for mark in ("/", "?", "#", "12/", "12?", "12#", "/@", "[", "]", "[::1]/", " ", "\t", "\u2100")
]


@pytest.mark.parametrize("password", [*BROKEN, *(f"{HIDDEN}{broken}" for broken in BROKEN)], ids=ascii)
@pytest.mark.parametrize("rest", ["@h:8123/d", "@h", "@h:1/", "@[::1]:8123/d"])
def test_a_password_that_could_be_read_as_another_part_of_the_url_is_refused_unseen(password: str, rest: str) -> None:
    check_refused_unseen(f"http://u:{password}{rest}")


@pytest.mark.parametrize("rest", ["", "/", "/d"])
def test_a_password_in_the_place_of_the_port_is_refused_unseen(rest: str) -> None:
    check_refused_unseen(f"http://u:{HIDDEN}{rest}")


def check_refused_unseen(url: str) -> None:
    told = problems(CLICKHOUSE_URL=url)
    assert told.startswith("MSGMETRICS_CLICKHOUSE_URL must be http(s)://user:password@")
    assert "percent-encoded" in told
    for ask in (Endpoint, connect, redact):
        with pytest.raises(ValueError) as error:
            ask(url)
        told += "".join(traceback.format_exception(error.value))
    assert HIDDEN not in told.replace(Path(__file__).name, "")


@pytest.mark.parametrize("password", ["a:b", "p@ss", "%2F%3F%23", "ä", "a&b=c;d", "\\", "~!$*()"])
def test_a_password_that_can_be_read_in_one_way_only_is_taken_and_not_shown(password: str) -> None:
    url = f"https://u:{password}@h:8443/d"
    assert read_settings({PREFIX + "CLICKHOUSE_URL": url}).clickhouse == Endpoint(url)
    assert redact(url) == "https://h:8443/d"


@pytest.mark.parametrize("secret", [s.name for s in SECRETS])
def test_a_secret_that_is_not_utf8_is_refused_and_no_byte_of_it_is_shown(secret: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"http://u:\xff@h")
    told = problems(**{secret + "_FILE": str(tmp_path / "file")})
    assert told == problems(**{secret: "http://u:\udcff@h"}) == f"{PREFIX}{secret} must be UTF-8"
