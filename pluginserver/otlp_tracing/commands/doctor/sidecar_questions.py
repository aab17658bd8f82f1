"""Questions about the sidecar: its process, folder, spool and port, and the requests that it has seen."""

from __future__ import annotations

import os
import shlex
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from otlp_tracing import __version__
from otlp_tracing.commands.doctor.discovery import Surroundings
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.commands.doctor.kong_conf import server_setting
from otlp_tracing.commands.doctor.kong_yml import ConfiguredEntry
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.status import entry_words, faults_of, fetch, fetch_report
from otlp_tracing.config.otel_variables import TracerVariables, exporter_problems
from otlp_tracing.errors import ConfigError
from otlp_tracing.folders import give_command, make_command, user_name
from otlp_tracing.metrics import OPTIONS_REFUSED, RECORDS_REFUSED, REQUESTS, REQUESTS_UNTRACED, Metric
from otlp_tracing.paths import typed_command
from otlp_tracing.sidecar.export.proxies import proxy_problems

_SAMPLER = "OTEL_TRACES_SAMPLER"
_BUILD_INFO = "otlp_tracing_build_info"
_BAD_CONFIGURATION = "bad_configuration"
_ENOUGH_REQUESTS = 100  # so many that none was kept says something, if the rate is not very low


def ask_folder(found: Surroundings) -> Iterator[Finding]:
    """Tell whether the sidecar can use its folder, and no other user can."""
    folder = found.prefix / PLUGIN
    try:
        status = folder.stat()
    except OSError:
        return  # `serve` makes it
    owner, quoted = user_name(status.st_uid), shlex.quote(str(folder))
    process = found.sidecar or next(iter(found.workers), None) or found.kong_worker
    user = process.uid if process else None
    mode = stat.S_IMODE(status.st_mode)
    is_shared = bool(mode & 0o020) and status.st_gid == 0  # OpenShift: an arbitrary user in the group 0
    if user not in {None, 0, status.st_uid} and not is_shared:
        name = user_name(user or 0)
        text = f"{folder} belongs to {owner}, and the plugin server runs as {name}"
        text = f"{text}: spans and log records are in memory alone"
        private = f" && chmod 700 {quoted}" if mode & 0o007 else ""
        yield Finding("FAIL", "sidecar's folder", text, f"{give_command(folder, name)}{private}")
    elif mode & 0o007:
        may_write = mode & 0o002 or (mode & 0o020 and not is_shared)
        text = f"{folder} has mode {mode:04o}: other users may {'write to' if may_write else 'enter'} it"
        yield Finding("FAIL" if may_write else "warn", "sidecar's folder", text, f"chmod 700 {quoted}")
    else:
        yield Finding("ok", "sidecar's folder", f"{folder} belongs to {owner}, mode {mode:04o}")


def ask_spool(found: Surroundings, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell whether the sidecar can write its spool.

    Args:
        found: by look_around().
        report: of /delivery.
    """
    if trouble := report.get("spool_trouble"):
        yield Finding("FAIL", "spool", f"spans and log records are in memory alone: {trouble}", _mend_spool(found))
    elif found.sidecar is not None and found.spool is not None:
        yield Finding("ok", "spool", f"{found.spool} takes writes")
    else:
        yield Finding("ok", "spool", "takes writes, or is off")


def _mend_spool(found: Surroundings) -> str:
    folder, sidecar = found.spool, found.sidecar
    if folder is None or sidecar is None:
        return f"df -h {shlex.quote(str(folder or found.listens.parent))}"
    place = next(one for one in (folder, *folder.parents) if os.path.exists(one))
    quoted = shlex.quote(str(place))
    status = place.stat()
    if not place.is_dir():
        return f"mv {quoted} {quoted}.old"
    if _is_read_only(place):  # its owner and mode cannot be changed
        return f"mount -o remount,rw {shlex.quote(str(_mount_point(place.resolve())))}"
    user, is_missing = user_name(sidecar.uid), place != folder
    if sidecar.uid != 0 and (is_missing or sidecar.uid != status.st_uid):
        return make_command(folder, user) if is_missing else give_command(place, user)
    if not status.st_mode & stat.S_IWUSR:
        return f"chmod u+rwx {quoted}"
    return f"df -h {quoted}"


def _is_read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _mount_point(place: Path) -> Path:
    """Return the folder at which the read-only volume of a place is mounted: mount(8) knows no other one."""
    # os.path.ismount does not see a folder that is mounted again on its own disk.
    return next(one for one in (place, *place.parents) if os.path.ismount(one) or not _is_read_only(one.parent))


def fetch_delivery(found: Surroundings) -> tuple[Mapping[str, Any] | None, str]:
    """Return the report of /delivery, or None and the reason."""
    try:
        return fetch_report(found.address, found.token), ""
    except ConfigError as error:
        return None, error.faults[0].rule


def ask_variables(found: Surroundings) -> Iterator[Finding]:
    """Name the variables of the sidecar, and of the plugin server, that are not used as written."""
    worker = next(iter(found.workers), None)
    sidecars, servers = (one.environment() if one else {} for one in (found.sidecar, worker))
    problems = [*exporter_problems(sidecars), *proxy_problems(sidecars), *TracerVariables.read(servers).problems]
    for fault in dict.fromkeys(problems):
        is_list = fault.field.endswith("_HEADERS")
        command = f"export {fault.field}=NAME=VALUE" if is_list else f"unset {fault.field}"
        yield Finding("warn", "variables", str(fault), command if fault.field.isidentifier() else "")


def ask_faulty_entries(report: Mapping[str, Any], kong_yml: Path | None) -> Iterator[Finding]:
    """Name the entries that Kong has accepted, and that trace nothing or leave a part out.

    Args:
        report: of /delivery.
        kong_yml: the file that the entries are in; None if it is not known.
    """
    check = typed_command("check", "KONG_YML" if kong_yml is None else str(kong_yml))
    for one in report.get("faulty_entries") or ():
        faults = faults_of(one)
        command = "" if "{vault://" in faults else check  # which does not see Kong's vaults
        if one["traces"]:
            yield Finding("warn", entry_words(one), f"leaves a part out: {faults}", command)
        else:
            yield Finding("FAIL", entry_words(one), f"traces nothing, its requests are refused: {faults}", command)


def ask_requests(
    found: Surroundings, entries: Sequence[ConfiguredEntry], report: Mapping[str, Any]
) -> Iterator[Finding]:
    """Tell how many requests the sidecar has seen since its start, and how they were decided.

    Args:
        found: by look_around().
        entries: of the kong.yml; their sampling may be the reason.
        report: of /delivery; without an entry that is refused now, the refusals are of an earlier configuration.
    """
    try:
        text = fetch(found.address, "/metrics", None).decode(errors="replace")
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    except (OSError, ValueError, ConfigError):
        yield unasked("requests", "no /metrics")
        return
    yield from ask_version(found, samples)
    counts = _counts(samples)
    decisions = counts[REQUESTS.name]
    total = decisions.total()
    if not total and (counts[REQUESTS_UNTRACED.name].total() or counts[RECORDS_REFUSED.name][_BAD_CONFIGURATION]):
        yield Finding("warn", "requests", "no request is traced: each one so far had no record, or a refused one")
    elif not total:
        text = "no request has reached the sidecar: send one that an entry covers"
        text = f"{text}; an entry of a route or service sees only its requests"
        yield Finding("note", "requests", text)
    elif decisions["not_sampled"] == total:
        yield _none_kept(total, entries, found.sidecar_environment)
    else:
        words = ", ".join(f"{count:,.0f} {name}" for name, count in decisions.most_common() if count)
        yield Finding("ok", "requests", f"{total:,.0f} requests: {words}")
    for metric, text in _LOSSES:
        lost = {name: count for name, count in counts[metric.name].items() if count}
        if report.get("faulty_entries") == [] and (earlier := lost.pop(_BAD_CONFIGURATION, 0)):
            corrected = f"{text}: {earlier:,} {_BAD_CONFIGURATION} since the start; no entry is refused now"
            yield Finding("note", "requests", corrected)
        if lost:
            words = ", ".join(f"{count:,.0f} {name}" for name, count in lost.items())
            yield Finding("warn", "requests", f"{text}: {words}", found.own.status())


def ask_version(found: Surroundings, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Tell whether the sidecar runs another version than the one that is installed: a restart was forgotten."""
    version = next((one.labels.get("version") for one in samples if one.name == _BUILD_INFO), None)
    if version not in {None, __version__}:
        text = f"runs version {version}, and {__version__} is installed: restart it and the plugin server"
        by_kong = found.conf and found.server and found.conf.get(server_setting(found.server, "start_cmd"))
        yield Finding("warn", "sidecar", text, found.reload_command if by_kong else found.start_command)


def _none_kept(total: int, entries: Sequence[ConfiguredEntry], environment: Mapping[str, str]) -> Finding:
    text = f"{total:,} requests, all not_sampled"
    for one in entries:
        sampling = one.settings.sampling
        if sampling.rate == 0 and not any(rule.rate for rule in (*sampling.rules, *sampling.tail_rules)):
            text = f"{text}: sampling.rate is 0 in {one.place}"
            return Finding("FAIL", "requests", text, one.set_command("config.sampling.rate", "1"))
    sampler = environment.get(_SAMPLER, "")
    if sampler.lower().endswith("always_off"):
        text = f"{text}: {_SAMPLER} is {sampler}, and counts where an entry sets no rate"
        command = next((one.set_command("config.sampling.rate", "1") for one in entries), f"unset {_SAMPLER}")
        return Finding("FAIL", "requests", text, command)
    text = f"{text}: the sampling rate is low, or the callers' traceparent says so"
    return Finding("warn" if total >= _ENOUGH_REQUESTS else "ok", "requests", text)


_LOSSES: tuple[tuple[Metric, str], ...] = (
    (REQUESTS_UNTRACED, "requests without a record"),
    (RECORDS_REFUSED, "records that the sidecar refused"),
    (OPTIONS_REFUSED, "options that cannot be used, their defaults count"),
)


def _counts(samples: Sequence[Sample]) -> Mapping[str, Counter[str]]:
    names = {metric.name: Counter[str]() for metric in (REQUESTS, *(one for one, _ in _LOSSES))}
    for sample in samples:
        if sample.name in names:
            names[sample.name][next(iter(sample.labels.values()), "")] += int(sample.value)
    return names
