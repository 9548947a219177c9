"""Runs the commands of a plan side by side, reports each, and survives the ones that fail."""

import os
import signal
import time
from collections import deque

from results_table.child import Child
from results_table.estimates import minutes_left, shown
from results_table.state import foreign, put_aside, read_record, sources, write_record, yaml_mark

POLL = 0.3  # s between two looks at the children
PATIENCE = 15  # s that a child may take to end before it is killed
LAST_LINES = 12  # of a failed run's output


class Campaign:
    """Brings runs to their end, as many at a time as ``jobs``.

    Arguments
    ---------
    runs : list of Run
        In the order of their worth; what a run needs stands before it.
    states : States
    jobs : int
        Processes side by side; the cores are shared among them.
    say : callable
        Takes a line for the user.
    lock : tuple of int
        Descriptors that the children hold open, so that what a killed campaign leaves behind keeps the folder locked.
    """

    def __init__(self, runs, states, jobs=1, say=print, lock=()):
        self.runs, self.states, self.jobs, self.say = runs, states, jobs, say
        self.done = {run for run in runs if states.finished(run)}
        self.failed, self.active, self.lock = {}, {}, lock

    @property
    def waiting(self):
        """Runs that are neither finished nor failed nor running, in order."""
        return [
            run
            for run in self.runs
            if not (run in self.done or run in self.failed or run in self.active)
        ]

    def run(self, after_each=lambda: None):
        """Run all that is left; True if nothing failed. Ctrl-C ends the children before it is passed on."""
        self.say(f"{len(self.done)} of {len(self.runs)} runs are finished; {self.left()}")
        try:
            while self.waiting or self.active:
                self.start_ready()
                if self.reap():
                    self.start_ready()  # before the table is written, which takes seconds
                    after_each()
                time.sleep(POLL)
        finally:
            self.end_children()
        return not self.failed

    def start_ready(self):
        """Start what can be started; give up on runs that need a failed one."""
        for run in self.waiting:
            missing = [needed for needed in run.needs if needed in self.failed]
            if missing:
                self.failed[run] = f"not started: it needs {missing[0].title}, which failed"
                self.say(f"{run.title}: {self.failed[run]}")
            elif len(self.active) < self.jobs and all(needed in self.done for needed in run.needs):
                self.active[run] = self.start(run)

    def start(self, run):
        """Start one run, or go on with it where it was stopped."""
        reason = foreign(run)
        if reason:
            self.say(f"{run.title}: {reason}; what was there is kept in {put_aside(run)}")
        before = read_record(run).get("minutes", 0.0)
        write_record(
            run, status="started", yaml=yaml_mark(), **{"from": sources(run), "minutes": before}
        )
        self.say(f"{run.title}: {'goes on' if before else 'starts'}")
        return Child(run, before, max(1, cores() // self.jobs), self.lock)

    def reap(self):
        """Note the runs that have ended; True if there was one."""
        ended = [(run, child) for run, child in self.active.items() if child.poll() is not None]
        for run, child in ended:
            del self.active[run]
            if child.poll() == 0:
                write_record(run, status="finished", minutes=child.minutes, finished=time.time())
                self.states.note_finished(run)
                self.done.add(run)
                self.say(
                    f"[{len(self.done)}/{len(self.runs)}] {run.title}: {child.minutes:.1f} min; {self.left()}"
                )
            else:
                self.fail(run, child)
        return bool(ended)

    def fail(self, run, child):
        """Remember and show why a run failed."""
        write_record(run, status="failed", minutes=child.minutes)
        self.failed[run] = f"failed with exit code {child.poll()}"
        with open(child.output, encoding="utf-8", errors="replace") as lines:
            last = "".join(f"    {line}" for line in deque(lines, LAST_LINES))
        self.say(
            f"{run.title}: {self.failed[run]}. The end of {child.output}:\n{last}    Command: {run.command}"
        )

    def left(self):
        """How much is left, in words."""
        unfinished = [run for run in self.runs if run not in self.done and run not in self.failed]
        return (
            f"left: {len(unfinished)} runs, {shown(minutes_left(unfinished, self.done, self.jobs))}"
        )

    def end_children(self):
        """End what still runs, first politely; each goes on from its last checkpoint the next time."""
        for child in self.active.values():
            child.signal(signal.SIGTERM)
        for run, child in self.active.items():
            child.end(PATIENCE)
            write_record(run, status="stopped", minutes=child.minutes)
        self.active = {}


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
