"""Alertmanager: who is told, what messages say, what is muted; by the real amtool, Alertmanager and Prometheus."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml

from deploy import alertmanager
from deploy.alertmanager import Alertmanager
from deploy.collector.check import ConfigurationError
from deploy.generating import ROOT, write
from deploy.ports import free_settings
from deploy.process import http_get, wait_until
from deploy.stack import running_role
from otel_setup.catalogue import build
from otel_setup.game_model import LIAP_TUI
from settings import Settings, SettingsError, parse
from tests.support.backends import running_alertmanager
from tests.support.peers import require

FULL = {
    "page": {
        "pagerduty_routing_key_file": "keys/pagerduty",
        "pagerduty_url": "https://events.eu.pagerduty.com/v2/enqueue",
        "slack_api_url_file": "keys/slack",
        "slack_channel": "#pages",
    },
    "ticket": {"email_to": "one@example.com,two@example.com", "webhook_url": "https://tickets.example.com/in"},
    "deadman": {"webhook_url_file": "/run/secrets/heartbeat"},
    "teams": {"platform": {"page": {"webhook_url": "https://platform.example.com/in"}}},
    "mail": {"server": "mail.example.com:587", "sender": "a@example.com", "username": "a", "password_file": "keys/m"},
}
SOON = 30.0
Labels = Mapping[str, str]


def settings_with(receivers: Mapping[str, object]) -> Settings:
    """Settings on free ports that are quick to tell."""
    return free_settings(parse({"alertmanager": {"group_wait_seconds": 1, "heartbeat_seconds": 1, **receivers}}))


def written(folder: Path, settings: Settings) -> Path:
    """The configuration in a folder."""
    write(alertmanager.files(settings), folder)
    return folder / "alertmanager.yml"


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([require("amtool"), *arguments], check=False, capture_output=True, text=True)


def rules() -> list[dict[str, Any]]:
    """Every committed alert."""
    files = sorted((ROOT / "alerts" / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


# --- the configuration


@pytest.mark.parametrize("receivers", [{}, FULL], ids=["as committed", "every kind of receiver"])
def test_amtool_accepts_configuration_and_templates(receivers: Mapping[str, object], tmp_path: Path) -> None:
    checked = amtool("check-config", written(tmp_path, parse({"alertmanager": receivers})))
    assert checked.returncode == 0, checked.stderr
    assert " - 1 templates" in checked.stdout


def test_amtool_would_refuse_a_broken_template(tmp_path: Path) -> None:
    file = written(tmp_path, Settings())
    messages = tmp_path / "alertmanager-messages.tmpl"
    messages.write_text(messages.read_text().replace("{{ end }}", "", 1))
    assert amtool("check-config", file).returncode != 0


ROUTES = [
    ({"severity": "critical", "team": "game"}, "page"),
    ({"severity": "critical", "team": "platform"}, "page-platform"),
    ({"severity": "critical"}, "page"),
    ({"severity": "warning", "team": "game"}, "ticket"),
    ({"severity": "warning", "team": "platform"}, "ticket"),
    ({"severity": "none", "team": "platform"}, "deadman"),
    ({"severity": "catastrophic"}, "ticket"),
    ({}, "ticket"),
]


@pytest.mark.parametrize(("labels", "receiver"), ROUTES)
def test_every_severity_and_team_has_its_receiver(labels: Labels, receiver: str, tmp_path: Path) -> None:
    file = written(tmp_path, parse({"alertmanager": FULL}))
    given = [f"{name}={value}" for name, value in labels.items()]

    def goes_to(name: str) -> bool:
        tested = amtool("config", "routes", "test", f"--config.file={file}", f"--verify.receivers={name}", *given)
        return tested.returncode == 0

    assert goes_to(receiver)
    assert not goes_to("page" if receiver != "page" else "ticket"), "else amtool verifies nothing"


def test_every_label_of_a_rule_that_routes_is_routed_above() -> None:
    seen = {(rule["labels"]["severity"], rule["labels"]["team"]) for rule in rules()}
    assert seen <= {(labels.get("severity"), labels.get("team")) for labels, _ in ROUTES}


@pytest.mark.parametrize(
    ("receivers", "problem"),
    [
        ({"page": {"slack_channel": "#games"}}, "page: slack_channel needs slack_api_url_file"),
        ({"ticket": {"email_to": "one@example.com"}}, "ticket: email_to needs alertmanager.mail.server"),
        ({"page": {"pagerduty_url": "https://pd.example.com"}}, "page: pagerduty_url needs pagerduty_routing_key_file"),
        ({"teams": {"plattform": {}}}, "no alert is of a team 'plattform'; there are game, platform"),
        ({"mail": {"username": "a"}}, "mail: username and password_file belong together"),
    ],
)
def test_receivers_that_cannot_work_are_refused(receivers: Mapping[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        alertmanager.config(parse({"alertmanager": receivers}))
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slack_channel", "{{ .Hostile }}"),
        ("webhook_url", "https://example.com/{{ .Hostile }}"),
        ("webhook_url_file", "one\ntwo"),
        ("email_to", "one@example.com, two@example.com"),
    ],
)
def test_what_a_template_would_take_for_its_own_is_no_setting(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"alertmanager.page.{key}: expected"):
        parse({"alertmanager": {"page": {key: value}}})


# --- messages

DATA = {
    "receiver": "page",
    "status": "firing",
    "groupLabels": {"alertname": "HighErrorRate", "job": "games/liap-tui"},
    "commonLabels": {"alertname": "HighErrorRate", "job": "games/liap-tui", "severity": "warning"},
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighErrorRate", "severity": "warning", "team": "game"},
            "annotations": {
                "summary": "Transitions and actions fail.",
                "description": "games/liap-tui: 2.50 a second fail.",
                "runbook_url": "http://docs.example.com/HighErrorRate.md",
                "dashboard_url": "http://grafana.example.com/d/game-overview?viewPanel=1002",
            },
            "startsAt": "2030-01-31T20:00:00+01:00",
            "endsAt": "0001-01-01T00:00:00Z",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "HighErrorRate", "severity": "warning", "team": "game"},
            "annotations": {
                "summary": "Transitions and actions fail.",
                "description": "games/arena: 1.50 a second fail.",
                "runbook_url": "http://docs.example.com/HighErrorRate.md",
                "dashboard_url": "http://grafana.example.com/d/game-overview?viewPanel=1002",
            },
            "startsAt": "2030-01-31T18:00:00Z",
            "endsAt": "2030-01-31T18:30:01Z",
        },
    ],
}
TEXT = """\
1 firing, 1 resolved

FIRING warning, team game, since 2030-01-31 19:00:00 UTC
Transitions and actions fail.
games/liap-tui: 2.50 a second fail.
Runbook: http://docs.example.com/HighErrorRate.md
Dashboard: http://grafana.example.com/d/game-overview?viewPanel=1002

RESOLVED warning, team game, since 2030-01-31 18:00:00 UTC until 2030-01-31 18:30:01 UTC
Transitions and actions fail.
games/arena: 1.50 a second fail.
Runbook: http://docs.example.com/HighErrorRate.md
Dashboard: http://grafana.example.com/d/game-overview?viewPanel=1002
"""


def rendered(name: str, data: Mapping[str, object], folder: Path) -> str:
    """What amtool makes of a template."""
    (folder / "data.json").write_text(json.dumps(data))
    messages = ROOT / "backends" / "alertmanager-messages.tmpl"
    done = amtool(
        *("template", "render", f"--template.glob={messages}", f"--template.data={folder / 'data.json'}"),
        f'--template.text={{{{ template "{name}" . }}}}',
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_message_lists_every_alert_with_its_links_and_times(tmp_path: Path) -> None:
    assert rendered("game.text", DATA, tmp_path).strip() == TEXT.strip()
    assert rendered("game.title", DATA, tmp_path).strip() == "HighErrorRate (games/liap-tui): 1 firing, 1 resolved"


@pytest.mark.parametrize(
    ("status", "severity", "color"),
    [("firing", "critical", "danger"), ("firing", "warning", "warning"), ("resolved", "critical", "good")],
)
def test_a_slack_message_has_the_color_of_what_it_says(status: str, severity: str, color: str, tmp_path: Path) -> None:
    data = {**DATA, "status": status, "commonLabels": {"severity": severity}}
    assert rendered("game.color", data, tmp_path).strip() == color


# --- the real Alertmanager


class Ears:
    """An HTTP server that takes whatever is posted to it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        ears = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                ears.heard.append((self.path, body))
                answer = b'{"status": "success", "ok": true}'
                self.send_response(202 if self.path == "/pagerduty" else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def at(self, path: str) -> list[dict[str, Any]]:
        """What came to a path, so far."""
        return [body for at, body in self.heard if at == path]

    def wait(self, path: str, count: int = 1) -> list[dict[str, Any]]:
        """The messages of a path once there are so many."""
        return wait_until(lambda: self.at(path), lambda seen: len(seen) >= count, SOON, f"{count} come to {path}")


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    with serving(made.server):
        yield made


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321, RFC 4954) as a client needs that sends one mail."""

    def handle(self) -> None:
        heard = cast("MailServer", self.server)
        self.wfile.write(b"220 mail.example.com\r\n")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if verb == "EHLO":
                self.wfile.write(b"250-mail.example.com\r\n250 AUTH PLAIN\r\n")
            elif verb == "AUTH":
                heard.passwords.append(base64.b64decode(rest.partition(" ")[2]).split(b"\0")[2].decode())
                self.wfile.write(b"235 ok\r\n")
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part)
                heard.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
                self.wfile.write(b"250 ok\r\n")
            else:
                self.wfile.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.passwords: list[str] = []
        super().__init__(("127.0.0.1", 0), Mail)


def post(store: Alertmanager, *alerts: Labels, over: bool = False) -> None:
    """What Prometheus would send; the annotations are made of the name."""
    body = [
        {
            "labels": labels,
            "annotations": {
                "summary": f"{labels['alertname']} is so.",
                "description": "It is quite so.",
                "runbook_url": f"http://docs.example.com/{labels['alertname']}.md",
                "dashboard_url": "http://grafana.example.com/d/game-overview?viewPanel=1002",
            },
            "startsAt": "2020-01-31T18:00:00Z",
            **({"endsAt": "2020-01-31T18:30:00Z"} if over else {}),
        }
        for labels in alerts
    ]
    answer = httpx.post(f"{store.url}/api/v2/alerts", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text


def muted(store: Alertmanager) -> dict[str, bool]:
    """Alerts by their name, and whether something mutes them."""
    return {alert["labels"]["alertname"]: alert["status"]["state"] == "suppressed" for alert in store.alerts()}


PAGE = {"alertname": "CollectorLosing", "severity": "critical", "team": "platform", "job": "otelcol"}
TICKET = {"alertname": "HighErrorRate", "severity": "warning", "team": "game", "job": "games/liap-tui"}


@pytest.mark.peer("alertmanager")
def test_every_kind_of_receiver_gets_the_message(ears: Ears, tmp_path: Path) -> None:
    mail = MailServer()
    for name, secret in {
        "slack": f"{ears.url}/slack",
        "key": "0123456789abcdef0123456789abcdef",
        "hook": f"{ears.url}/secret-hook",
        "password": "swordfish",
    }.items():
        (tmp_path / name).write_text(secret)
    settings = settings_with(
        {
            "page": {
                "slack_api_url_file": str(tmp_path / "slack"),
                "slack_channel": "#pages",
                "pagerduty_routing_key_file": str(tmp_path / "key"),
                "pagerduty_url": f"{ears.url}/pagerduty",
                "webhook_url_file": str(tmp_path / "hook"),
            },
            "ticket": {"webhook_url": f"{ears.url}/tickets", "email_to": "one@example.com"},
            "mail": {
                "server": f"127.0.0.1:{mail.server_address[1]}",
                "sender": "alerts@example.com",
                "username": "alerts",
                "password_file": str(tmp_path / "password"),
                "require_tls": False,
            },
        }
    )
    since = "since 2020-01-31 18:00:00 UTC"
    with serving(mail), running_alertmanager(tmp_path, settings) as store:
        post(store, PAGE, TICKET)
        (slack,) = ears.wait("/slack")[0]["attachments"]
        assert (slack["title"], slack["color"]) == ("CollectorLosing (otelcol): 1 firing", "danger")
        assert slack["title_link"] == "http://docs.example.com/CollectorLosing.md"
        assert slack["text"].splitlines()[:3] == [
            f"*FIRING critical, team platform, {since}*",
            "CollectorLosing is so.",
            "It is quite so.",
        ]
        assert "<http://docs.example.com/CollectorLosing.md|Runbook> · <http://grafana.example.com/" in slack["text"]
        paged = ears.wait("/pagerduty")[0]
        assert (paged["routing_key"], paged["event_action"]) == ("0123456789abcdef0123456789abcdef", "trigger")
        assert (paged["payload"]["summary"], paged["payload"]["severity"]) == (slack["title"], "critical")
        assert (
            f"FIRING critical, team platform, {since}\nCollectorLosing is so."
            in (paged["payload"]["custom_details"]["message"])
        )
        assert [link["href"] for link in paged["links"]] == [
            "http://docs.example.com/CollectorLosing.md",
            "http://grafana.example.com/d/game-overview?viewPanel=1002",
        ]
        assert [alert["labels"] for alert in ears.wait("/secret-hook")[0]["alerts"]] == [PAGE]

        (ticket,) = ears.wait("/tickets")
        (alert,) = ticket["alerts"]
        assert (ticket["receiver"], ticket["status"], alert["labels"]) == ("ticket", "firing", TICKET)
        assert alert["annotations"]["summary"] == "HighErrorRate is so."
        assert alert["annotations"]["runbook_url"] == "http://docs.example.com/HighErrorRate.md"
        (letter,) = wait_until(lambda: mail.mails, bool, SOON, "mail comes")
        assert (letter["Subject"], letter["To"]) == ("HighErrorRate (games/liap-tui): 1 firing", "one@example.com")
        text = letter.get_body(("plain",))
        assert text is not None
        assert f"FIRING warning, team game, {since}\nHighErrorRate is so." in text.get_content().replace("\r\n", "\n")
        assert mail.passwords == ["swordfish"]
        assert "swordfish" not in (tmp_path / "alertmanager" / "alertmanager.yml").read_text()


@pytest.mark.peer("alertmanager")
def test_what_is_muted_is_not_told_and_what_is_not_is(ears: Ears, tmp_path: Path) -> None:
    receivers = {kind: {"webhook_url": f"{ears.url}/{kind}"} for kind in ("page", "ticket")}
    burn = {"alertname": "ActionLatencyBudgetBurn", "job": "games/liap-tui", "team": "game"}
    with running_alertmanager(tmp_path, settings_with(receivers)) as store:
        post(store, {**burn, "severity": "critical", "long": "1h", "action_type": "declare"})
        ears.wait("/page")
        same = {**burn, "severity": "warning", "long": "1d", "action_type": "declare"}
        other = {**burn, "severity": "warning", "long": "1d", "action_type": "play_pieces"}
        post(store, same, other)
        told = [alert["labels"] for message in ears.wait("/ticket") for alert in message["alerts"]]
        assert told == [other]


@pytest.mark.peer("alertmanager")
def test_watchdog_is_told_again_and_again_and_its_end_is_not(ears: Ears, tmp_path: Path) -> None:
    settings = settings_with({"deadman": {"webhook_url": f"{ears.url}/alive"}})
    watchdog = {"alertname": "Watchdog", "severity": "none", "team": "platform"}
    with running_alertmanager(tmp_path, settings) as store:
        post(store, watchdog)
        ears.wait("/alive", 3)
        post(store, watchdog, over=True)
        wait_until(store.alerts, lambda on: on == [], SOON, "Watchdog is over")
        # Whoever is told of anything by now is told after its end.
        post(store, {**watchdog, "alertname": "Other"})
        wait_until(lambda: ears.at("/alive")[-1]["groupLabels"]["alertname"], "Other".__eq__, SOON, "another is told")
        assert {message["status"] for message in ears.at("/alive")} == {"firing"}


LIAP, ARENA = {"job": "games/liap-tui"}, {"job": "games/arena"}
ONE, TWO = {"instance": "one"}, {"instance": "two"}
TO_JAEGER = {"job": "otelcol", "instance": "c:8888", "exporter": "otlp_grpc/jaeger", "data_type": "traces"}
TO_HUB = {"job": "otelcol", "instance": "c:8888", "exporter": "otlp_http/hub", "data_type": "logs"}
# The labels are those that the rules' expressions leave.
INHIBITED: list[tuple[str, Labels, dict[str, Labels], dict[str, Labels]]] = [
    ("CollectorDown", {"job": "otelcol"},
     {"GameServersSilent": LIAP, "GameServerStalled": {**LIAP, **ONE}, "TelemetrySilent": {}, "CanarySilent": {}},
     {"HighErrorRate": ARENA, "CanaryCannotPlay": {}}),
    ("HubDown", {"job": "hub"}, {"CollectorQueueFilling": TO_HUB}, {"CollectorQueueFull": TO_HUB}),
    ("HubDown", {"job": "hub"}, {}, {"CollectorQueueFilling": TO_JAEGER}),
    ("GameServersSilent", LIAP, {"HighErrorRate": LIAP, "ConnectionBudgetBurn": LIAP},
     {"ReconnectStorm": ARENA, "ServerTelemetryLost": {**LIAP, **ONE}, "CollectorLosing": {"exporter": "x"}}),
    ("GameServerStalled", {**LIAP, **ONE}, {"EventLoopLagging": {**LIAP, **ONE}, "TooManyTasks": {**LIAP, **ONE}},
     {"GarbageCollectionPauses": {**LIAP, **TWO}, "PhaseStuck": {**LIAP, "state": "turn"}}),
    ("MemoryExhaustionPredicted", {**LIAP, **ONE}, {"HighMemoryUsage": {**LIAP, **ONE}}, {"NoActiveGames": LIAP}),
    ("MemoryExhaustionPredicted", {**LIAP, **ONE}, {}, {"HighMemoryUsage": {**LIAP, **TWO}}),
    ("CollectorQueueFull", TO_JAEGER, {"CollectorQueueFilling": TO_JAEGER}, {"HubMissesEvents": {"job": "hub"}}),
    ("CollectorQueueFull", TO_JAEGER, {}, {"CollectorQueueFilling": TO_HUB}),
]  # fmt: skip


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """An Alertmanager that tells nobody."""
    with running_alertmanager(tmp_path_factory.mktemp("quiet"), free_settings()) as store:
        yield store


@pytest.mark.peer("alertmanager")
@pytest.mark.parametrize(("source", "labels", "yes", "no"), INHIBITED)
def test_what_follows_from_another_alert_is_muted_and_nothing_else(
    quiet: Alertmanager, source: str, labels: Labels, yes: dict[str, Labels], no: dict[str, Labels]
) -> None:
    static = {rule["alert"]: rule["labels"] for rule in rules()}
    every = [{"alertname": name, **static[name], **own} for name, own in {source: labels, **yes, **no}.items()]
    post(quiet, *every)
    expected = {source: False, **dict.fromkeys(yes, True), **dict.fromkeys(no, False)}
    try:
        wait_until(lambda: muted(quiet), expected.__eq__, SOON, f"it is {expected}")
    finally:
        post(quiet, *every, over=True)
        wait_until(quiet.alerts, lambda on: on == [], SOON, "all are over")


def test_inhibition_names_alerts_and_exporters_that_exist() -> None:
    tree = yaml.safe_load(alertmanager.config(Settings()))
    named: dict[str, set[str]] = {}
    for rule in tree["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            label, _, value = matcher.replace("=~", "=").partition("=")
            named.setdefault(label, set()).update(value.strip('"').split("|"))
    for label, known in {
        "alertname": {rule["alert"] for rule in rules()},
        "severity": {rule["labels"]["severity"] for rule in rules()},
        "team": {rule["labels"]["team"] for rule in rules()},
        "exporter": yaml.safe_load((ROOT / "collector-config" / "standalone.yaml").read_text())["exporters"].keys(),
    }.items():
        assert named.pop(label) <= known, label
    assert named == {}


# --- Prometheus and Alertmanager together


@pytest.mark.peer("prometheus")
def test_prometheus_evaluates_every_rule_and_tells_alertmanager(tmp_path: Path) -> None:
    for program in ("otelcol", "prometheus", "alertmanager"):
        require(program)
    settings = free_settings(parse({"metrics": {"export_interval_seconds": 1}}))
    stale = tmp_path / "prometheus" / "rules" / "of_an_earlier_game.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("groups: [{name: stale, rules: [{record: stale, expr: vector(1)}]}]\n")

    def asked(path: str) -> Any:
        return json.loads(http_get(f"http://127.0.0.1:{settings.prometheus.port}/api/v1/{path}")[1])["data"]

    def health() -> dict[str, set[str]]:
        return {group["name"]: {rule["health"] for rule in group["rules"]} for group in asked("rules")["groups"]}

    committed = {path.stem for path in (ROOT / "alerts" / "rules").glob("*.yaml")}
    with running_role("remote-write", settings, build(LIAP_TUI), tmp_path) as role:
        ok = {name: {"ok"} for name in committed}
        wait_until(health, ok.__eq__, SOON, "every rule was evaluated, without an error")
        wait_until(
            lambda: [one["url"] for one in asked("alertmanagers")["activeAlertmanagers"]],
            [f"http://127.0.0.1:{settings.alertmanager.port}/api/v2/alerts"].__eq__,
            SOON,
            "Prometheus knows the Alertmanager",
        )
        (alert,) = wait_until(role.stores["alertmanager"].alerts, bool, SOON, "Watchdog has come")
        assert alert["labels"] == {"alertname": "Watchdog", "severity": "none", "team": "platform"}
        assert alert["annotations"]["runbook_url"] == "http://localhost:8000/runbooks/Watchdog.md"
        assert [receiver["name"] for receiver in alert["receivers"]] == ["deadman"]
