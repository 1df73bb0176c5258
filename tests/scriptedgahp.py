"""
A GAHP for tests that does one thing in another way than it should: C{python -I -S
scriptedgahp.py WAY [LOG]}.  Each command that it gets is a line of LOG.

The standard library only: it is started as often as the tests need.
"""

from __future__ import annotations

import os
import re
import sys
import time

BANNER = "$GahpVersion: 1.0 Nov 20 2026 Scripted $"

_COMMANDS = "BLAH_JOB_CANCEL BLAH_JOB_STATUS BLAH_JOB_SUBMIT BLAH_PING COMMANDS QUIT RESULTS"

#: By way: the answers to commands in place of the usual ones.  What begins with C{@} is
#: the acknowledgement C{S}, and what follows is the result after the request's id; of
#: several each call takes the next, and the last stays.
_WAYS: dict[str, dict[str, list[str]]] = {
    "well": {},
    "noCommands": {"COMMANDS": ["E Unknown\\ command"]},
    "deaf": {"COMMANDS": [""]},
    "transfers": {"COMMANDS": ["S COMMANDS QUIT RESULTS DOWNLOAD_SANDBOX"]},
    "badPing": {"BLAH_PING": ["@1 sinfo:\\ no\\ such\\ cluster"]},
    "shortPing": {"BLAH_PING": ["@0"]},
    "refusedPing": {"BLAH_PING": ["F Threads\\ limit\\ reached"]},
    "nonsense": {"RESULTS": ["S many"]},
    "latePing": {"BLAH_PING": ["@"]},
    "badSubmit": {"BLAH_JOB_SUBMIT": ["@1 sbatch:\\ no\\ account N/A"]},
    "refusedSubmit": {"BLAH_JOB_SUBMIT": ["E expected\\ 2\\ parameters"]},
    "lateSubmit": {"BLAH_JOB_SUBMIT": ["@"]},
    "held": {
        "BLAH_JOB_STATUS": [
            "@0 No\\ error 1 [\\ JobStatus=1\\ ]",
            '@0 No\\ error 5 [\\ HoldReason="over\\ quota"\\ ]',
        ]
    },
    "removed": {"BLAH_JOB_STATUS": ["@0 No\\ error 3 [\\ ]"]},
    "exit3": {"BLAH_JOB_STATUS": ["@0 No\\ error 4 [\\ ExitCode=3\\ ]"]},
    "signal": {"BLAH_JOB_STATUS": ["@0 No\\ error 4 [\\ ExitBySignal=true;\\ ExitSignal=9\\ ]"]},
    "badAd": {"BLAH_JOB_STATUS": ["@0 No\\ error 4 ]["]},
    "noCode": {"BLAH_JOB_STATUS": ["@0 No\\ error 4 [\\ ]"]},
    "hiccup": {
        "BLAH_JOB_STATUS": [
            "@1 not\\ known\\ yet 0 N/A",
            "@0 No\\ error 0 NULL",
            "@0 No\\ error 4 [\\ ExitCode=0\\ ]",
        ]
    },
    "badStatus": {"BLAH_JOB_STATUS": ["@1 squeue\\ is\\ broken 0 N/A"]},
    "endless": {"BLAH_JOB_STATUS": ["@0 No\\ error 2 [\\ JobStatus=2\\ ]"]},
    "stays": {
        "BLAH_JOB_STATUS": ["@0 No\\ error 2 [\\ JobStatus=2\\ ]"],
        "BLAH_JOB_CANCEL": ["@1 scancel\\ is\\ broken"],
    },
    "otherOutput": {"BLAH_JOB_SUBMIT": ["@0 No\\ error other/1"]},
}

_USUAL = {
    "COMMANDS": ["S " + _COMMANDS],
    "BLAH_PING": ["@0 No\\ error"],
    "BLAH_JOB_SUBMIT": ["@0 No\\ error some/1"],
    "BLAH_JOB_STATUS": ["@0 No\\ error 4 [\\ ExitCode=0\\ ]"],
    "BLAH_JOB_CANCEL": ["@0 No\\ error"],
}


def _say(line: str) -> None:
    os.write(1, f"{line}\r\n".encode())


def _beforehand(way: str) -> None:
    """
    What some do before or in place of the dialogue.
    """
    if way == "exits":
        os.write(2, b"one\ntwo\nthree\nfour\nno license\n")
        os._exit(3)
    if way == "mute":
        time.sleep(1000)
    if way == "long":
        _say("$" + 200 * "x")
    elif way == "flood":
        while True:
            os.write(1, b"words without end " * 1000)
    elif way == "lines":
        while True:
            os.write(1, b"this site has news\n" * 1000)
    elif way == "greets":
        os.write(1, b"Welcome to the site!\nBe kind. ")
    elif way == "shutOut":
        os.close(1)
        time.sleep(1000)
    _say(BANNER)
    if way == "ends":
        os._exit(0)


def _writeOutput(ad: str) -> None:
    """
    Write something else than the job would.
    """
    found = re.search(r'Out = "([^"]*)"', ad.replace("\\ ", " "))
    assert found is not None
    with open(found[1], "x") as file:
        file.write("something else\n")


def main(way: str, log: str) -> None:
    """
    Be such a GAHP.
    """
    _beforehand(way)
    answers = {name: list(texts) for name, texts in {**_USUAL, **_WAYS.get(way, {})}.items()}
    results: list[str] = []
    for line in sys.stdin:
        name, _, rest = line.strip().partition(" ")
        with open(log, "a") as file:
            file.write(line)
        if way == "otherOutput" and name == "BLAH_JOB_SUBMIT":
            _writeOutput(rest)
        if name == "QUIT":
            _say("S Server\\ exiting")
            break
        if name == "RESULTS" and name not in answers:
            _say(f"S {len(results)}")
            for result in results:
                _say(result)
            results.clear()
            continue
        texts = answers.get(name, ["E Unknown\\ command"])
        text = texts.pop(0) if len(texts) > 1 else texts[0]
        if text[:1] != "@":
            if text:
                _say(text)
            continue
        _say("S")
        if text != "@":
            results.append(f"{rest.split(' ')[0]} {text[1:]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.devnull)
