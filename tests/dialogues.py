"""
Conversations with scripted GAHPs, for tests.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.gahpdialogue import Dialogue
from rvgahp.patience import Patience
from tests.scriptedgahp import BANNER

_GAHP = Path(__file__).with_name("scriptedgahp.py")


def scripted(way: str, log: Path) -> list[str]:
    """
    @return: the command of a scripted GAHP.
    """
    return [sys.executable, "-I", "-S", str(_GAHP), way, str(log)]


#: Some of the ways, as GAHPs of a site: command lines by name.
WAYS = {
    way: shlex.join(scripted(way, Path(os.devnull)))
    for way in (
        "exits",
        "mute",
        "greets",
        "noCommands",
        "transfers",
        "badPing",
        "held",
        "endless",
    )
}


class DialogueTestCase(SynchronousTestCase):
    """
    A conversation, and a way to end it.
    """

    def setUp(self) -> None:
        self.wake, self.waker = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, self.wake)
        self.addCleanup(os.close, self.waker)
        self.patience = Patience(self.wake)
        self.log = Path(self.mktemp())

    def dialogue(self, way: str, banner: bool = True) -> Dialogue:
        """
        @param banner: whether to hear the banner first.
        @return: a conversation with a scripted GAHP.
        """
        return self.converse(scripted(way, self.log), banner)

    def shell(self, script: str) -> Dialogue:
        """
        @return: a conversation with a shell script.
        """
        return self.converse(["/bin/sh", "-c", script], False)

    def converse(self, words: list[str], banner: bool) -> Dialogue:
        """
        @return: a conversation with a program.
        """
        dialogue = Dialogue(words, self.patience)
        self.addCleanup(dialogue.close)
        if banner:
            self.assertEqual(dialogue.banner(), BANNER)
        return dialogue

    def hasHeard(self, command: str) -> bool:
        """
        @return: whether this is the last command that the GAHP got.
        """
        return self.log.read_text().splitlines()[-1].split()[0] == command
