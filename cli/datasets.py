"""`weft-geo datasets`: the benchmarks that are known by name, and whether a copy of one is whole."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .options import json_option, progress_option
from .progress import Console


@click.group(short_help="List the benchmarks known by name, or verify a copy.", invoke_without_command=True)
@json_option
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List the benchmarks that are known by name, with their splits, source and licence."""
    if context.invoked_subcommand is not None:
        return
    from weft_geo.datasets.catalogue import BENCHMARKS
    from weft_geo.datasets.facts import describe_counts

    console: Console = context.obj
    if as_json:
        console.result(json.dumps([asdict(known) for known in BENCHMARKS.values()], ensure_ascii=False))
        return
    task = ""
    for known in BENCHMARKS.values():
        if known.task != task:
            task = known.task
            console.result(f"{task}:")
        usual = {split: numbers[:1] for split, numbers in known.counts.items()}
        console.result(f"  {known.name:<13} {describe_counts(usual):<28} {known.source}")
    console.result("Layout, licence and paper of one: weft-geo datasets show NAME. To check a copy: … verify NAME")


@datasets.command(short_help="Say all that is known of a benchmark.")
@click.argument("name")
@json_option
@click.pass_obj
def show(console: Console, /, name: str, as_json: bool) -> None:
    """Say all that is known of NAME: splits, folders, editions, source, licence, paper."""
    from weft_geo.datasets.catalogue import find_benchmark
    from weft_geo.datasets.facts import describe_counts

    known = find_benchmark(name)
    if as_json:
        console.result(json.dumps(asdict(known), ensure_ascii=False))
        return
    lines = {
        "task": known.task,
        "pictures": describe_counts(known.counts),
        "editions": known.editions,
        "layout": known.layout,
        "source": known.source,
        "licence": known.licence,
        "paper": known.paper,
    }
    lines |= {f"mean, std of {split}": f"{s.mean}, {s.std} (red, green, blue)" for split, s in known.statistics.items()}
    console.result("\n".join([known.title, *(f"  {label}: {text}" for label, text in lines.items() if text)]))


@datasets.command(short_help="Read every file of a copy and say all that is wrong with it.")
@click.argument("name")
@click.option("--data-root", required=True, metavar="DIR", help="Where the benchmark is, in any usual layout.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read.  [default: one per core]")
@progress_option
@json_option
@click.pass_obj
def verify(console: Console, /, name: str, data_root: str, workers: int | None, as_json: bool) -> None:
    """Count, pair and read all pictures and masks of a copy of NAME. Exit code 2 if any cannot be used."""
    from weft_geo.datasets.catalogue import find_benchmark
    from weft_geo.datasets.verify import check_archives, verify_split
    from weft_geo.errors import DatasetError

    benchmark = find_benchmark(name)
    reports = [verify_split(benchmark, data_root, split, workers, console.progress) for split in benchmark.counts]
    for warning in check_archives(benchmark, data_root):
        console.warn(warning)
    problems = [problem for report in reports for problem in report.problems]
    if as_json:
        console.result(json.dumps([asdict(report) for report in reports], ensure_ascii=False))
    else:
        console.result(f"{benchmark.title}: {benchmark.task}\nlicence: {benchmark.licence}\nsource: {benchmark.source}")
        for report in reports:
            console.result(f"{report.split}: {report.pairs:,} pairs")
            if report.smallest and report.largest:
                (h0, w0), (h1, w1) = report.smallest, report.largest
                console.result(f"  sizes {w0} × {h0} to {w1} × {h1} px")
                console.result(f"  mean {report.mean}, standard deviation {report.std} (red, green, blue)")
            for line in [f"  note: {note}" for note in report.notes] + [f"  problem: {p}" for p in report.problems]:
                console.result(line)
        if not problems:
            console.result("every picture and mask was read; nothing is wrong with them")
    if problems:
        raise DatasetError(f"{len(problems)} problem(s) with {benchmark.title} in {data_root}, listed above")
