# SPDX-License-Identifier: MIT
"""The command: ``python -m bench.peers``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.peers._job import JOBS, JobName
from bench.peers._subjects import SUBJECTS, MissingError, Subject, figure, version_of

_RESULTS: Final = Path(__file__).with_name("results.json")
_COUNTS: Final[dict[JobName, int]] = {"a": 100_000, "b": 10_000, "c": 10_000, "d": 2_000}


class Line(NamedTuple):
    """What came out for one library and one job; these are the keys of the JSON.

    Attributes:
        job: The letter of the job.
        work: What the job is.
        subject: The library.
        version: Its version; that of Python for the floor.
        rate: How many in a second, the median of the rounds; None where it is missing.
        ratio: The median of the rounds' ratios to the floor; None where it is missing.
        missing: Why it is missing, or None.
    """

    job: JobName
    work: str
    subject: str
    version: str
    rate: float | None
    ratio: float | None
    missing: str | None


def main() -> None:
    """Measure, print the table and write the JSON."""
    arguments = _parser().parse_args()
    floor, *others = SUBJECTS
    chosen = [floor, *(subject for subject in others if not arguments.only or subject.name in arguments.only)]
    lines = list(_measured(chosen, arguments.rounds, arguments.scale))
    print(table(lines))
    text = json.dumps([line._asdict() for line in lines], indent=2)
    arguments.json.write_text(text + "\n", encoding="utf-8")


def _measured(subjects: Collection[Subject], rounds: int, scale: float) -> Iterator[Line]:
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for subject in subjects:
        print(f"{subject.name} …", file=sys.stderr, flush=True)
        try:
            versions[subject.name] = version_of(subject)
        except MissingError as error:
            missing[subject.name] = str(error)
    for job, work in JOBS.items():
        yield from _job(job, work, subjects, versions, missing, rounds, max(100, round(_COUNTS[job] * scale)))


def _job(
    job: JobName,
    work: str,
    subjects: Collection[Subject],
    versions: dict[str, str],
    missing: dict[str, str],
    rounds: int,
    count: int,
) -> Iterator[Line]:
    """Measure one job, all subjects in turns; one that fails once is out of this job."""
    rates: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    failed = dict(missing)
    for number in range(rounds):
        for subject in subjects:
            if subject.name not in failed:
                print(f"{job} {number + 1}/{rounds} {subject.name} …", file=sys.stderr, flush=True)
                try:
                    rates[subject.name].append(figure(subject, job, count))
                except MissingError as error:
                    failed[subject.name] = str(error)
    for subject in subjects:
        name = subject.name
        version = versions.get(name, "")
        if name in failed:
            yield Line(job, work, name, version, None, None, failed[name])
        else:
            ratio = median(rate / floor for rate, floor in zip(rates[name], rates["floor"], strict=True))
            yield Line(job, work, name, version, median(rates[name]), ratio, None)


def table(lines: Collection[Line]) -> str:
    """Return the lines as text in columns."""
    parts: list[str] = []
    for job, work in JOBS.items():
        parts.append(f"{job}: {work}")
        for line in lines:
            if line.job != job:
                continue
            figures = f"missing: {line.missing}" if line.rate is None else f"{line.rate:12,.0f} 1/s  {line.ratio:6.3f}"
            parts.append(f"  {line.subject:10} {line.version:10} {figures}")
    return "\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.peers", description="Measure four jobs on several libraries.")
    parser.add_argument("--rounds", type=int, default=5, help="how often the libraries take turns")
    parser.add_argument("--scale", type=float, default=1.0, help="by what the counts are multiplied")
    names = [subject.name for subject in SUBJECTS[1:]]
    parser.add_argument("--only", action="append", choices=names, help="only this library; may be repeated")
    parser.add_argument("--json", type=Path, default=_RESULTS, metavar="FILE", help="where the lines go as JSON")
    return parser


if __name__ == "__main__":
    main()
