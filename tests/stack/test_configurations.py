"""The shipped configurations, each accepted by the program that reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from absent import absent
from misspelling import with_one_wrong
from stack import programs, shipped
from stack.programs import ProgramMissing

_HERE = Path(__file__).parent
_COLLECTOR = shipped.FOLDER / "collector"
_PROMETHEUS = shipped.FOLDER / "prometheus"
_DASHBOARDS = sorted((shipped.FOLDER / "grafana" / "dashboards").glob("*.json"))
_SCRAPED = sorted(_PROMETHEUS.glob("*.yml"))
_PACKAGES = ("prometheus", "prometheus-alertmanager")  # promtool, amtool
_ALONE = sorted(path.relative_to(_COLLECTOR) for path in (_COLLECTOR / "collector.yaml", *_COLLECTOR.glob("fleet/*")))


@pytest.mark.parametrize("file", _ALONE, ids=str)
def test_the_collector_accepts(file: Path) -> None:
    """A collector that has the components takes the file."""
    _validate(_program(programs.collector), _COLLECTOR / file)


@pytest.mark.parametrize("file", ["zipkin.yaml", "debug.yaml"])
def test_the_collector_accepts_what_is_merged(file: str) -> None:
    """A file for a further backend can be merged over collector.yaml."""
    _validate(_program(programs.collector), _COLLECTOR / "collector.yaml", _COLLECTOR / file)


@pytest.mark.timeout(1800)
def test_a_collector_with_datadog_accepts_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """datadog.yaml can be merged over collector.yaml, in a collector that contains the exporter."""
    monkeypatch.setenv("DD_API_KEY", "not-a-key")
    program = _program(programs.datadog_collector)

    _validate(program, _COLLECTOR / "collector.yaml", _COLLECTOR / "datadog.yaml")


@pytest.mark.parametrize("file", sorted(path.relative_to(_COLLECTOR) for path in _COLLECTOR.rglob("*.yaml")), ids=str)
def test_spans_are_refused_rather_than_dropped(file: Path) -> None:
    """No `batch` takes spans that a full queue then drops; queues count spans, and no exporter gives spans up."""
    content = yaml.safe_load((_COLLECTOR / file).read_text())
    for name, pipeline in content["service"]["pipelines"].items():
        if name.partition("/")[0] != "traces" or name == "traces/debug":  # debug cannot be away
            continue

        assert "batch" not in pipeline["processors"]
        for exporter in pipeline["exporters"]:
            settings = content["exporters"][exporter]
            queue = settings["sending_queue"]

            assert queue.get("sizer") == "items" or queue.get("enabled") is False, exporter
            assert not queue.get("block_on_overflow"), exporter
            # Without a queue and without retries the sender is told, and keeps the spans.
            tells = queue.get("enabled") is False and settings["retry_on_failure"].get("enabled") is False
            # Datadog's exporter has its own way with traces, see datadog.yaml.
            assert tells or exporter == "datadog" or settings["retry_on_failure"]["max_elapsed_time"] == 0, exporter


def test_every_collector_file_is_tested() -> None:
    """A new file in kong/collector/ has to be entered above."""
    merged = {Path("zipkin.yaml"), Path("debug.yaml"), Path("datadog.yaml")}

    assert {path.relative_to(_COLLECTOR) for path in _COLLECTOR.rglob("*.yaml")} == {*_ALONE, *merged}


def test_compose_runs_the_collector_that_reads_the_files_here() -> None:
    """The image of compose.yml has the version that the files are validated with."""
    image = yaml.safe_load((shipped.FOLDER / "compose.yml").read_text())["services"]["otel-collector"]["image"]
    built = re.search(r"otlpreceiver v(\S+)", (_HERE / "collector" / "builder.yaml").read_text())

    assert built is not None
    assert image.partition(":")[2] == built[1]


def test_promtool_accepts_the_rules() -> None:
    """The rules have a form that promtool takes."""
    _run("promtool", "check", "rules", *map(str, sorted((_PROMETHEUS / "rules").glob("*.yml"))))


@pytest.mark.parametrize("file", _SCRAPED, ids=lambda file: file.name)
def test_promtool_accepts_what_is_scraped(file: Path, tmp_path: Path) -> None:
    """Each prometheus.yml has a form that promtool takes."""
    configuration = yaml.safe_load(file.read_text())
    for job in configuration["scrape_configs"]:
        job.pop("kubernetes_sd_configs", None)  # Debian's promtool is built without; all around it is held to its form
    checked = tmp_path / file.name
    checked.write_text(yaml.safe_dump(configuration))

    _run("promtool", "check", "config", "--syntax-only", str(checked))


@pytest.mark.parametrize("file", _SCRAPED, ids=lambda file: file.name)
def test_the_jobs_of_the_alerts_are_scraped(file: Path) -> None:
    """Each prometheus.yml has every job that an alert names, whatever the gateway runs on."""
    jobs = {job["job_name"] for job in yaml.safe_load(file.read_text())["scrape_configs"]}
    named = set(re.findall(r'job="([^"]+)"', (_PROMETHEUS / "rules" / "alerts.yml").read_text()))

    assert named == {"kong", "otlp-tracing", "otel-collector"}
    assert named <= jobs


def test_the_alerts_fire_when_they_should() -> None:
    """The tests of alerts_test.yml pass, in promtool."""
    _run("promtool", "test", "rules", str(_HERE / "alerts_test.yml"))


def test_every_alert_is_tested_and_has_a_runbook() -> None:
    """alerts_test.yml expects each alert at least once, and docs/operating.md has a heading for it."""
    expected = {
        test["alertname"]
        for group in yaml.safe_load((_HERE / "alerts_test.yml").read_text())["tests"]
        for test in group["alert_rule_test"]
        if test["exp_alerts"]
    }
    headings = re.findall(r"^#+ (\w+)$", (shipped.FOLDER.parent / "docs" / "operating.md").read_text(), re.MULTILINE)

    assert expected == set(_alerts())
    assert set(_alerts()) <= set(headings)


def test_amtool_accepts_the_routing() -> None:
    """The file is one that amtool takes."""
    _run("amtool", "check-config", str(shipped.FOLDER / "alertmanager" / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("file", "right", "wrong", "command"),
    [
        ("prometheus/rules/alerts.yml", "expr:", "expression:", ("promtool", "check", "rules")),
        ("prometheus/rules/recording.yml", "record:", "recrod:", ("promtool", "check", "rules")),
        ("prometheus/prometheus.yml", "scrape_interval:", "scrape_intervall:", ("promtool", "check", "config")),
        ("alertmanager/alertmanager.yml", "group_wait:", "group_wiat:", ("amtool", "check-config")),
    ],
)
def test_one_wrong_field_is_refused(
    file: str, right: str, wrong: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """The program names the misspelt field."""
    copy = with_one_wrong(shipped.FOLDER / file, tmp_path, right, wrong)

    with pytest.raises(AssertionError, match=wrong.removesuffix(":")):
        _run(*command, str(copy))


@pytest.mark.parametrize("file", _ALONE, ids=str)
def test_the_collector_refuses_one_wrong_field(file: Path, tmp_path: Path) -> None:
    """A misspelt field of any exporter is named."""
    copy = with_one_wrong(_COLLECTOR / file, tmp_path, "retry_on_failure:", "retry_on_faliure:")

    with pytest.raises(AssertionError, match="retry_on_faliure"):
        _validate(_program(programs.collector), copy)


def test_rules_and_panels_use_metrics_that_exist() -> None:
    """Every metric of otlp-tracing in a rule or a panel is in the table of docs/metrics.md."""
    table = (shipped.FOLDER.parent / "docs" / "metrics.md").read_text()
    ours = set(re.findall(r"`(otlp_tracing_\w+)`", table))
    histograms = {f"{name}_{part}" for name in ours for part in ("bucket", "sum", "count")}
    text = "".join(path.read_text() for path in (*_DASHBOARDS, *(_PROMETHEUS / "rules").glob("*.yml")))
    used = set(re.findall(r"(?<![:\w])(otlp_tracing_\w+)(?![:\w])", text))  # a colon: a recording rule's own name

    assert used
    assert used <= ours | histograms


@pytest.mark.parametrize("file", _DASHBOARDS, ids=lambda file: file.name)
def test_the_dashboard_is_one_grafana_takes(file: Path) -> None:
    """Panels have ids of their own, a place that no other covers, and the datasource and jobs that the reader chose."""
    dashboard = json.loads(file.read_text())
    source, *queries = dashboard["templating"]["list"]
    assert (source["type"], source["name"]) == ("datasource", "datasource")
    covered: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & covered, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        covered |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["expr"].count("job=~") == len(re.findall(r"(?:otlp_tracing|kong)_\w+\{|up\{", target["expr"]))

    assert {query["datasource"]["uid"] for query in queries} == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("file", sorted((shipped.FOLDER / "grafana").glob("*/datasources.yml")), ids=str)
def test_exemplars_lead_to_the_traces(file: Path) -> None:
    """The label of an exemplar is a link to a datasource that is there too."""
    sources = {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}
    (link,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]

    assert link["name"] == "trace_id"  # as docs/metrics.md names the label
    assert sources[link["datasourceUid"]]["type"] in {"jaeger", "tempo"}


def _alerts() -> list[str]:
    groups = yaml.safe_load((shipped.FOLDER / "prometheus" / "rules" / "alerts.yml").read_text())["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def _program(find: programs.Find) -> Path:
    try:
        return find()
    except ProgramMissing as reason:
        absent(str(reason), *reason.packages)


def _validate(collector: Path, *files: Path) -> None:
    _run(str(collector), "validate", *(argument for file in files for argument in ("--config", f"file:{file}")))


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        absent(f"{program} is not installed; on Debian: apt install {' '.join(_PACKAGES)}", *_PACKAGES)
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in done.stderr, done.stderr
