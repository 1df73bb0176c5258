"""
Tests of L{rvgahp.frontanswers}: acknowledgements and results of the GAHP that are not
what they should be.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.frontrules import AT_ONCE, OTHER_REQUEST, RULES
from rvgahp.gahplines import splitTokens
from tests.frontworld import World


def requests() -> list[bytes]:
    """
    @return: the names of the commands with a request id.
    """
    return [name for name, rule in RULES.items() if rule.who == AT_ONCE]


def made(name: bytes) -> World:
    """
    @return: a world with such a request out, its id 2.
    """
    world = World()
    world.gridmanager(name + b" 2 x")
    world.take()
    return world


class AcknowledgementTests(SynchronousTestCase):
    """
    The first line of answer to a request.
    """

    def test_refused(self) -> None:
        """
        Any other acknowledgement that is not S becomes that request's failure result,
        with the GAHP's reason and the right number of fields.
        """
        for name in requests():
            rule = RULES[name]
            for line, reason in (
                (b"F Cannot\\ start\\ thread", b"Cannot\\ start\\ thread"),
                (b"E expected\\ 2\\ parameters,\\ 1\\ found more", None),
                (b"E", b"refused"),
                (b"F", b"refused"),
            ):
                world = made(name)
                self.assertEqual(world.site(line), [b"R"], name)
                [result] = world.results()
                self.assertTrue(rule.fits(result.replace(b"\\ ", b"").count(b" ") + 1), result)
                self.assertTrue(result.startswith(b"2 "))
                self.assertIn(reason or b"expected", result)
                self.assertEqual(world.output.finished, [])

    def test_refusedAndAnswered(self) -> None:
        """
        One that is refused when it has been answered gets no second result.
        """
        world = made(b"BLAH_PING")
        world.link(False)
        self.assertEqual(len(world.results()), 1)
        world.link(True)
        self.assertEqual(world.site(b"F too\\ late"), [])
        self.assertEqual(world.results(), [])

    def test_resultAfterRefusal(self) -> None:
        """
        A result after the refusal of the same request is dropped: at most one per id.
        """
        world = made(b"BLAH_JOB_SUBMIT")
        world.site(b"F no")
        world.conclude(b"2 0 No\\ error a/b")
        self.assertEqual(world.results(), [b"2 1 no N/A"])


class ResultTests(SynchronousTestCase):
    """
    Results of the GAHP.
    """

    def test_wrongFields(self) -> None:
        """
        A result with a wrong number of fields is made that request's failure, with a line
        on stderr that says nothing of its content.
        """
        for name in requests():
            rule = RULES[name]
            for fields in range(7):
                world = made(name)
                world.site(b"S")
                line = b" ".join([b"2", *[b"0"] * fields])
                world.conclude(line)
                if rule.fits(fields + 1):
                    self.assertEqual((world.results(), world.output.complaints), ([line], []))
                    continue
                [result] = world.results()
                self.assertIn(b"not\\ understood", result)
                count = result.replace(b"\\ ", b"").count(b" ") + 1
                self.assertTrue(rule.fits(count), result)
                self.assertTrue(result.split()[1] == b"1" or rule.failure[0] is None)
                [sentence] = world.output.complaints
                self.assertIn(name.decode(), sentence)

    def test_code(self) -> None:
        """
        A result whose code is no number, which the gridmanager would take for success, or
        one of its own codes, with which it would wait for ever, is made that request's
        failure, with a line on stderr.
        """
        bad = b"good 0x1 1.0 1a a1 - -- +1 -100 -101 -102 -103 -0102 12345678901 NULL".split()
        for name in requests():
            rule = RULES[name]
            if not rule.hasCode:
                continue
            rest = b" x" * (len(rule.failure) - 1)
            for code in (*bad, b"", b"1\\ 2"):
                world = made(name)
                world.site(b"S")
                world.conclude(b"2 " + code + rest)
                [result] = world.results()
                self.assertTrue(result.startswith(b"2 1 the\\ site's\\ answer"), code)
                self.assertEqual(
                    world.output.complaints,
                    [f"its result of {name.decode()} has a code that is none"],
                )
            for code in (b"0", b"1", b"-1", b"-99", b"-104", b"255"):
                world = made(name)
                world.site(b"S")
                world.conclude(b"2 " + code + rest)
                self.assertEqual(world.results(), [b"2 " + code + rest])
                self.assertEqual(world.output.complaints, [])

    def test_noJob(self) -> None:
        """
        A submit's success without a job, which the gridmanager would take for one, is made
        its failure, with a sentence and a line on stderr; a failure without a job, or a
        success of something else, is not changed.
        """
        for code in (b"0", b"00", b"-0"):
            for job in (b"NULL", b"null", b"N/A", b"n/a", b""):
                world = made(b"BLAH_JOB_SUBMIT")
                world.site(b"S")
                world.conclude(b"2 " + code + b" No\\ error " + job)
                [result] = world.results()
                _, failed, sentence, none = splitTokens(result)
                self.assertEqual((failed, none), (b"1", b"N/A"))
                self.assertIn(b"of a success and of no job", sentence)
                self.assertEqual(
                    world.output.complaints,
                    ["its result of BLAH_JOB_SUBMIT is a success without a job"],
                )
        for name, line in (
            (b"BLAH_JOB_SUBMIT", b"2 1 queue\\ full N/A"),
            (b"BLAH_JOB_SUBMIT", b"2 0 No\\ error NULL/1"),
            (b"BLAH_JOB_STATUS_ALL", b"2 0 No\\ error N/A"),
            (b"BLAH_JOB_STATUS", b"2 0 No\\ error 0 NULL"),
        ):
            world = made(name)
            world.site(b"S")
            world.conclude(line)
            self.assertEqual((world.results(), world.output.complaints), ([line], []))

    def test_noCode(self) -> None:
        """
        The results of file transfers have no code, and any word will do.
        """
        self.assertEqual(
            {name for name in requests() if not RULES[name].hasCode},
            {
                b"DOWNLOAD_SANDBOX",
                b"UPLOAD_SANDBOX",
                b"DOWNLOAD_PROXY",
                b"DESTROY_SANDBOX",
                b"BLAH_GET_HOSTPORT",
            },
        )

    def test_unknownIds(self) -> None:
        """
        Unknown ids are dropped, without a word.
        """
        world = made(b"BLAH_JOB_CANCEL")
        world.site(b"S")
        world.conclude(b"3 0 x", b"2.0 0 x", b"02 0 x", b"2 0 x", b"2 0 again")
        self.assertEqual(world.results(), [b"2 0 x"])
        self.assertEqual((world.output.complaints, world.output.finished), ([], []))

    def test_notAcknowledged(self) -> None:
        """
        A result before the acknowledgement cannot be that request's, and is dropped.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.site(b"S", b"R")
        world.gridmanager(b"BLAH_JOB_CANCEL 3 x")
        world.conclude(b"3 0 early", b"2 0 ok")
        self.assertEqual(world.results(), [b"2 0 ok"])
        world.site(b"S")
        world.conclude(b"3 0 ok")
        self.assertEqual(world.results(), [b"3 0 ok"])

    def test_secondResult(self) -> None:
        """
        At most one result per id, whoever made the first.
        """
        for name in requests():
            world = made(name)
            world.site(b"S")
            good = [b"2", *[b"0"] * (len(RULES[name].failure) or 2)]
            world.conclude(b" ".join(good), b" ".join(good))
            world.conclude(b" ".join(good))
            self.assertEqual(len(world.results()), 1)

    def test_otherRequest(self) -> None:
        """
        A request that only the GAHP knows has a failure of the batch form.
        """
        self.assertEqual(OTHER_REQUEST.failed(b"2", b"why"), [b"2", b"1", b"why"])
        world = made(b"BLAH_NEW")
        world.site(b"E why")
        self.assertEqual(world.results(), [b"2 1 why"])

    def test_unnamed(self) -> None:
        """
        A word of the gridmanager that is in no table does not get to stderr.
        """
        world = made(b"BLAH_NEW")
        world.site(b"S")
        world.conclude(b"2")
        self.assertEqual(
            world.output.complaints, ["its result of a command has 1 fields, which is wrong"]
        )
