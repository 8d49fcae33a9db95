"""From raw runs to figures, and from figures to a table for people."""

import statistics

import apply
from measure import percentile

PROCESSES = ("walsender", "publisher", "nats-server", "subscriber", "apply", "edge sql")


def summarise(results, wire):
    """results of Bench -> {scenario: {title, native: {...}, ours: {...}, ratio...}}; every figure is the median of the rounds."""
    return {key: _latency(result) if key == "c" else _drain(key, result, wire) for key, result in results.items()}


def summarise_alone(results):
    """{scenario: {(workload, what): runs}} of apply.py -> {scenario: [{workload, what, rows, ...}]}, medians of the rounds."""
    return {key: [_alone(workload, what, runs, cases) for (workload, what), runs in cases.items()] for key, cases in results.items()}


def _alone(workload, what, runs, cases):
    rows = runs[0]["rows"]
    found = {"workload": workload, "what": what, "rows": rows, "rounds_seconds": [run["seconds"] for run in runs],
             "rows_per_second": statistics.median(rows / run["seconds"] for run in runs),
             "cpu_us_per_row": {process: statistics.median(run["cpu"][process] for run in runs) * 1e6 / rows for process in ("subscriber", "apply")}}
    # In pairs: those of one round saw the same machine.
    base = cases.get((workload, apply.OTHER)) or cases.get(apply.BASE)
    if base:
        found["ratio"] = statistics.median((one["seconds"] / one["rows"]) / (run["seconds"] / rows) for one, run in zip(base, runs))
        found["cpu_ratio"] = statistics.median(sum(one["cpu"].values()) / one["rows"] / (sum(run["cpu"].values()) / rows)
                                               for one, run in zip(base, runs))
    return found


def _latency(result):
    found = {"title": result["title"]}
    for name, turns in result["latencies"].items():
        turns = [sorted(turn) for turn in turns]
        found[name] = {"transactions": sum(map(len, turns)), "max_ms": max(turn[-1] for turn in turns),
                       "turns_p99_ms": [percentile(turn, 0.99) for turn in turns]}
        for key, share in (("p50_ms", 0.50), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            found[name][key] = statistics.median(percentile(turn, share) for turn in turns)
    found["ratio"] = {p: found["ours"][p] / max(found["native"][p], 0.001) for p in ("p50_ms", "p95_ms", "p99_ms")}
    return found


def _drain(key, result, wire):
    rows = result["rows"]
    found = {"title": result["title"], "rows": rows}
    for name, runs in result["runs"].items():
        cpu = {what: statistics.median(run["cpu"].get(what, 0.0) for run in runs) * 1e6 / rows
               for what in PROCESSES if any(what in run["cpu"] for run in runs)}
        found[name] = {"rounds_seconds": [run["seconds"] for run in runs],
                       "rows_per_second": statistics.median(rows / run["seconds"] for run in runs),
                       "cpu_us_per_row": cpu, "cpu_us_per_row_total": sum(cpu.values())}
    streams = [run["stream"] for run in result["runs"]["ours"]]
    found["ours"]["wire_bytes_per_row"] = statistics.median(stream["bytes"] for stream in streams) / rows
    found["ours"]["rows_per_message"] = rows / max(1.0, statistics.median(stream["messages"] for stream in streams))
    found["ours"]["rss_max_mib"] = {what: _peak_mib(result["runs"]["ours"], what) for what in ("publisher", "subscriber")}
    found["native"]["wire_bytes_per_row"] = wire["single" if key == "b" else "bulk"]
    # In pairs: both systems of a round saw the same machine.
    pairs = zip(result["runs"]["native"], result["runs"]["ours"])
    found["ratio"] = statistics.median(native["seconds"] / ours["seconds"] for native, ours in pairs)
    return found


def _peak_mib(runs, what):
    return max((process.get("VmHWM", 0) for run in runs for process in run["memory"].get(what, [])), default=0) / 1024


def text(summary):
    machine, scenarios = summary["machine"], summary["scenarios"]
    lines = [f"\n{machine['cpu']}, {machine['cores']} cores; PostgreSQL {machine['postgres']}, nats-server {machine['nats_server']}; "
             f"revision {machine['revision']}", "fsync=off and the same settings on all clusters; medians of the rounds\n"]
    pairs = {key: found for key, found in scenarios.items() if key in "abcd"}
    if pairs:
        lines.append(f"{'both systems read the same WAL in the same run':<58}{'native':>14}{'ours':>14}{'ours/native':>13}")
    for key, found in pairs.items():
        lines.extend(_latency_lines(found) if key == "c" else _rate_lines(key, found))
    lines.append("")
    for key, found in pairs.items():
        if key != "c":
            lines.extend(_costs(key, found))
    for key in "ef":
        if key in scenarios:
            lines.extend(_alone_lines(key, scenarios[key]))
    return "\n".join(lines)


def _latency_lines(found):
    yield f"c  {found['title']}, medians of the turns"
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        yield f"{'     ' + name[:3]:<58}{found['native'][name]:>11.2f} ms{found['ours'][name]:>11.2f} ms{found['ratio'][name]:>12.2f}x"


def _rate_lines(key, found):
    yield (f"{key + '  ' + found['title']:<58}{found['native']['rows_per_second']:>12,.0f}/s{found['ours']['rows_per_second']:>12,.0f}/s"
           f"{found['ratio']:>12.2f}x")


def _costs(key, found):
    for name in ("native", "ours"):
        side = found[name]
        cpu = "  ".join(f"{what} {value:.2f}" for what, value in side["cpu_us_per_row"].items())
        yield f"{key} {name:<7} CPU us/row: {cpu}  = {side['cpu_us_per_row_total']:.2f};  bytes on the wire per row: {side['wire_bytes_per_row']:.0f}"
    ours = found["ours"]
    yield (f"{key} ours    resident memory at most: publisher {ours['rss_max_mib']['publisher']:.0f} MiB, subscriber {ours['rss_max_mib']['subscriber']:.0f} MiB;"
           f"  {ours['rows_per_message']:.1f} rows per message\n")


def _alone_lines(key, cases):
    """Markdown, as docs/performance.md has it."""
    if key == "e":
        yield f"\ne  the subscriber alone under each rule; ratios to one source under {apply.PLAIN}"
    else:
        yield f"\nf  the subscriber alone under {apply.PLAIN}; ratios to the other build"
    workload = None
    for case in cases:
        if case["workload"] != workload:
            workload = case["workload"]
            yield f"\n| {workload} ({case['rows']:,} changes) | rows/s | ratio | CPU us/row: subscriber | central backends | sum |\n|---|---|---|---|---|---|"
        cpu = case["cpu_us_per_row"]
        ratio = f"{case['ratio']:.2f}" if "ratio" in case else ""
        yield (f"| {case['what']} | {case['rows_per_second']:,.0f} | {ratio} | {cpu['subscriber']:.1f} | {cpu['apply']:.1f} | {sum(cpu.values()):.1f} |")
