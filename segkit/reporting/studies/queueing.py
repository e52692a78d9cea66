"""Put the experiments of a study into DVC's own queue, those that are not done, queued or running."""

import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from segkit.base.errors import InputError
from segkit.reporting import repository
from segkit.reporting.studies import reading
from segkit.reporting.studies.definition import Study, summary
from segkit.reporting.studies.reading import Found

AGAIN = {reading.FAILED: "queued again after a failure", reading.INTERRUPTED: "queued again after an interruption"}


def queue(study: Study, say: Callable[[str], object]) -> None:
    """Queue what is missing, failed or was interrupted, and ``say`` one line for each experiment and one at the end.

    Raises InputError before anything is queued if DVC holds an experiment of the same name with other settings.
    """
    found = reading.read(study)
    conflicts = [each for each in found if each.state == reading.CONFLICT]
    for each in conflicts:
        say(line(each.experiment.name, f"{reading.CONFLICT}: {each.detail}"))
    if conflicts:
        one = conflicts[0].experiment.name
        raise InputError(
            f"nothing was queued, because DVC holds {one}{' and others' * (len(conflicts) > 1)} with other settings or "
            "pictures; remove them with the commands above, or rename the runs"
        )
    for each in found:
        say(line(each.experiment.name, _queued(each)))
    say(_next(study, Counter(each.state for each in found)))


def line(name: str, text: str) -> str:
    """A line about an experiment."""
    return f"{name:<36}  {text}"


def _queued(found: Found) -> str:
    if found.state == reading.DONE:
        return "done"
    if found.state in (reading.QUEUED, reading.RUNNING):
        return f"already {found.state}"
    for task in found.tasks:
        _forget(task)
    experiment = found.experiment
    settings = [text for key, value in experiment.settings.items() for text in ("-S", f"++{key}={hydra(value)}")]
    repository.dvc("exp", "run", "--queue", "-n", experiment.name, *settings, f"evaluate@{experiment.model}")
    return AGAIN.get(found.state, "queued")


def _forget(task: reading.Task) -> None:
    """Remove an attempt that is over from DVC's queue, so that its listing shows each experiment once.

    DVC cannot remove a task that it takes for running; 'kill' makes it notice that there is no process. If the id that
    it recorded belongs to another process by now, that one would be killed, so the task stays in the listing.
    """
    with suppress(InputError):  # the listing is a convenience
        if task.state == reading.INTERRUPTED:
            if reading.is_taken(reading.process_of(task.revision)):
                return
            repository.dvc("queue", "kill", "--force", task.revision)
        repository.dvc("queue", "remove", task.revision)


def _next(study: Study, states: Counter[str]) -> str:
    if states[reading.DONE] == len(study.experiments):
        return f"all done: {summary(study)}; see them with: {study.command('table')}"
    waiting = len(study.experiments) - states[reading.DONE] - states[reading.RUNNING]
    if not waiting:
        return f"the rest is running; follow it with: {study.command('status')}"
    return (
        "start the queue with 'dvc queue start' (one experiment at a time; --jobs N for more), and follow it with: "
        f"{study.command('status')}"
    )


def hydra(value: Any) -> str:
    """A value of params.yaml in the grammar of ``dvc exp run -S``, which is Hydra's."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(hydra, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value)


def _quoted(text: str) -> str:
    """In single quotes; there a backslash only counts before a quote, and so does each of a run of them."""
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), text) + "'"
