"""The files for Prometheus and Grafana: every metric in them exists, and every metric of the server is to be seen."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any, get_args

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.log import Condition
from twisted_chat.messages import Code
from twisted_chat.status.metrics import Metrics

from .programs import ROOT, program
from .test_docs import read, table
from .test_status import open_server

PROMETHEUS = ROOT / "contrib" / "prometheus"
ALERTS = "contrib/prometheus/alerts.yml"
DASHBOARD = "contrib/grafana/twisted_chat.json"

NAME = r"\b(?:twisted_chat|process)_\w+"


class Samples(SynchronousTestCase):
    """What `/metrics` has."""

    def setUp(self) -> None:
        server = open_server()
        self.patch(server.fake, "condition", lambda: Condition(files={"database": 4096, "wal": 0}))
        families = text_string_to_metric_families(Metrics(server.chat).text().decode())
        self.labels: dict[str, set[tuple[str, str]]] = {}
        """The names and values of the labels, by the name of a sample."""
        for family in families:
            for sample in family.samples:
                self.labels.setdefault(sample.name, set()).update(sample.labels.items())

    def check_exist(self, expressions: str) -> None:
        """See that metrics exist, and that no other value of their labels is asked for than there can be."""
        for name, matchers in re.findall(rf"({NAME})(?:\{{([^}}]*)\}})?", expressions):
            self.assertIn(name, self.labels)
            for label, is_pattern, value in re.findall(r'(\w+)=(~?)"([^"]*)"', matchers):
                if label not in ("instance", "job"):
                    known = {known for of, known in self.labels[name] if of == label}
                    self.assertLessEqual(set(value.split("|") if is_pattern else [value]), known, name)


class DashboardTests(Samples):
    """The dashboard for Grafana."""

    def setUp(self) -> None:
        super().setUp()
        self.dashboard: dict[str, Any] = json.loads(read(DASHBOARD))

    def expressions(self) -> Iterator[str]:
        for panel in self.dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield target["expr"]

    def test_every_metric_in_it_exists(self) -> None:
        self.check_exist("\n".join(self.expressions()))

    def test_every_metric_of_the_chat_is_in_it(self) -> None:
        shown = set(re.findall(NAME, "\n".join(self.expressions())))
        without_suffix = {re.sub("_(bucket|sum|count)$", "_bucket", name) for name in self.labels}
        self.assertEqual({name for name in without_suffix if name.startswith("twisted_chat_")} - shown, set())

    def test_every_panel_says_what_it_shows_and_has_a_unit(self) -> None:
        for panel in self.dashboard["panels"]:
            if panel["type"] != "row":
                self.assertGreater(len(panel["description"]), 10, panel["title"])
                self.assertIn("unit", panel["fieldConfig"]["defaults"], panel["title"])

    def test_no_panel_covers_another_one(self) -> None:
        cells: set[tuple[int, int]] = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
            covered = {(x, y) for x in columns for y in rows}
            self.assertFalse(cells & covered, panel["title"])
            self.assertLessEqual(columns.stop, 24)
            cells |= covered
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(set(ids)), len(ids))

    def test_it_is_for_the_chosen_servers(self) -> None:
        for expression in self.expressions():
            for name, matchers in re.findall(rf"({NAME})(\{{[^}}]*\}})?", expression):
                self.assertIn('instance=~"$instance"', matchers, name)


class AlertTests(Samples):
    """The alert rules for Prometheus."""

    def test_every_metric_in_them_exists(self) -> None:
        self.check_exist("\n".join(re.findall("expr: (.*)", read(ALERTS))))

    def test_the_codes_are_those_of_the_protocol(self) -> None:
        codes = {value for of, value in self.labels["twisted_chat_refused_requests_total"] if of == "code"}
        self.assertEqual(codes, set(get_args(Code)))

    def test_the_documents_say_what_to_do(self) -> None:
        alerts = re.findall(r"alert: (\w+)", read(ALERTS))
        self.assertEqual([row[0].strip("`") for row in table(read("docs/operations.md"), "alert")], alerts)

    def test_they_fire_for_what_they_are_about(self) -> None:
        promtool = program("promtool", "prometheus")
        tested = re.findall(r'alertname="(\w+)"', (PROMETHEUS / "alerts_test.yml").read_text())
        self.assertEqual(tested, re.findall(r"alert: (\w+)", read(ALERTS)))
        for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")):
            ended = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
