# -*- test-case-name: tests.test_blah_submitad -*-
"""
Tests of L{rvgahp.blah.submitad}.
"""

from __future__ import annotations

import threading

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.errors import BadSubmitAd
from rvgahp.blah.jobstate import formatAd
from rvgahp.blah.submitad import SubmitAd

GOOD = {"gridtype": "fork", "Cmd": "/bin/true", "Iwd": "/tmp"}


#: A loaded machine is no failure.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ad(**attributes: str | bytes | int) -> SubmitAd:
    """
    Read a good ad with some attributes changed.
    """
    return SubmitAd(formatAd({**GOOD, **attributes}))


class SubmitAdTests(SynchronousTestCase):
    """
    L{SubmitAd}.
    """

    def assertRefused(self, text: bytes, *words: str) -> None:
        """
        The ad is refused with a sentence that has these words.
        """
        sentence = str(self.assertRaises(BadSubmitAd, SubmitAd, text))
        for word in words:
            self.assertIn(word, sentence)

    def test_paths(self) -> None:
        """
        Relative paths are below Iwd, absolute ones are as they are, and what
        is not given is empty.
        """
        job = ad(Iwd="/some/where", Cmd="run", In="in put", Out="/out", x509userproxy="p")
        self.assertEqual(job.command, b"/some/where/run")
        self.assertEqual(job.stdin, b"/some/where/in put")
        self.assertEqual((job.stdout, job.stderr), (b"/out", b""))
        self.assertEqual(job.proxy, b"/some/where/p")

    def test_nothingButTheProgram(self) -> None:
        """
        Arguments and environment may be missing.
        """
        job = ad()
        self.assertEqual((job.arguments, job.environment, job.stdin), ([], {}, b""))

    def test_v2Wins(self) -> None:
        """
        Where both syntaxes are given, the newer one counts, also if empty.
        """
        job = ad(Args="old", Arguments="'new one'", Env="A=old", Environment="")
        self.assertEqual((job.arguments, job.environment), ([b"new one"], {}))

    def test_v1(self) -> None:
        """
        The older attributes are read by their own rules.
        """
        job = ad(Args="a 'b", Env="A=1|B=x;y", EnvDelim="|")
        self.assertEqual(job.arguments, [b"a", b"'b"])
        self.assertEqual(job.environment, {b"A": b"1", b"B": b"x;y"})

    def test_manager(self) -> None:
        """
        gridtype names the manager, else the second word of GridResource, else
        the first; letters' case does not count.
        """
        self.assertEqual(ad(gridtype="SLURM").manager, "slurm")
        for resource in ("batch Fork host", "fork"):
            text = formatAd({"Cmd": "x", "Iwd": "/", "GridResource": resource})
            self.assertEqual(SubmitAd(text).manager, "fork")

    def test_attributeNames(self) -> None:
        """
        Letters' case does not count in attribute names either, and further
        attributes are there for who wants them.
        """
        job = SubmitAd(b'[GRIDTYPE="fork"; cmd="/x"; IWD="/"; RequestMemory = 2 * 1024]')
        self.assertEqual(job.value("requestmemory"), 2048)
        self.assertIdentical(job.value("Nothing"), None)

    def test_undefined(self) -> None:
        """
        An attribute that is undefined is one that is not there.
        """
        job = SubmitAd(b'[gridtype="fork"; Cmd="/x"; Iwd="/"; In=undefined; Out=Nowhere]')
        self.assertEqual((job.stdin, job.stdout), (b"", b""))

    @unhurried
    @given(st.binary().filter(lambda value: b"\0" not in value))
    def test_bytes(self, value: bytes) -> None:
        """
        Any bytes arrive as they were, whether they stand in the ad as they
        are or as octal escapes.
        """
        self.assertEqual(ad(Sample=value).string("Sample"), value)
        plain = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        text = b'[gridtype="f"; Cmd="/x"; Iwd="/"; Sample="%s"]' % plain
        self.assertEqual(SubmitAd(text).string("Sample"), value)

    def test_garbage(self) -> None:
        """
        What is no ClassAd is refused.
        """
        for text in (b"", b"garbage", b"[", b"[ Cmd = ]", b"\xff\0", b"[" * 5000, b'[a="\\0"]'):
            self.assertRefused(text)

    def test_missing(self) -> None:
        """
        Each thing that a job needs is named when it is missing or impossible.
        """
        self.assertRefused(b'[Cmd="/x"; Iwd="/"]', "gridtype", "GridResource")
        self.assertRefused(b'[gridtype="fork"; Iwd="/"]', "Cmd")
        self.assertRefused(b'[gridtype="fork"; Cmd="/x"]', "Iwd")
        self.assertRefused(b'[gridtype="fork"; Cmd="/x"; Iwd="relative"]', "Iwd")
        self.assertRefused(b'[gridtype="fork"; Cmd=1; Iwd="/"]', "Cmd")
        self.assertRefused(b'[gridtype="fork"; Cmd="/x"; Iwd="/"; Out={1}]', "Out")
        self.assertRefused(b'[gridtype="fork"; Cmd="/x"; Iwd="/"; In=error]', "In")

    def test_longString(self) -> None:
        """
        A string may be nearly as long as a line.
        """
        self.assertEqual(ad(Sample="x'\"" * 300_000).string("Sample"), b"x'\"" * 300_000)

    def test_longExpression(self) -> None:
        """
        An expression that would overflow the ClassAd library's stack, and
        end the program, is refused; one just short of that is survived.
        """
        refusals = []

        def read(terms: int) -> None:
            text = b'[gridtype="fork"; Cmd="/x"; Iwd="/"; Out=' + b"1+" * terms + b"1]"
            refusals.append(str(self.assertRaises(BadSubmitAd, SubmitAd, text)))

        for terms in (30_000, 500_000):
            # As in the program, in a thread.
            thread = threading.Thread(target=read, args=(terms,))
            thread.start()
            thread.join()
        self.assertEqual(["expressions" in refusal for refusal in refusals], [False, True])
