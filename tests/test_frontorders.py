"""
Tests of L{rvgahp.front} in any order: lines, losses of the link, ends of the GAHP and the
clock, between GAHPs that behave and a gridmanager that forgives nothing.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.frontrules import AT_ONCE, NOTHING_NEW, OTHER_COMMAND, OTHER_REQUEST, RULES, Rule
from rvgahp.gahplines import joinTokens, splitTokens
from tests.frontworld import SUCCESS, PlayedGAHP, World

unhurried = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)

#: What the gridmanager may say; ID becomes a new request id each time.
LINES = (
    b"BLAH_PING ID slurm",
    b"BLAH_JOB_STATUS ID slurm/1/2",
    b"BLAH_JOB_SUBMIT ID [\\ a\\ =\\ 1;\\ ]",
    b"BLAH_JOB_REFRESH_PROXY ID slurm/1/2 proxy",
    b"BLAH_JOB_CANCEL ID slurm/1/2",
    b"BLAH_JOB_HOLD ID slurm/1/2",
    b"BLAH_NEW ID x",
    b"DOWNLOAD_SANDBOX ID box ad",
    b"UPLOAD_SANDBOX ID box ad",
    b"DOWNLOAD_PROXY ID box ad",
    b"DESTROY_SANDBOX ID box ad",
    b"GET_SANDBOX_PATH box-ID",
    b"CONDOR_VERSION ID",
    b"CREATE_CONDOR_SECURITY_SESSION ID",
    b"BLAH_SET_SUDO_ID ID",
    b"RESULTS",
    b"COMMANDS",
)

#: What goes to the next GAHP when one has ended.
AGAIN = (
    b"BLAH_JOB_CANCEL",
    b"DESTROY_SANDBOX",
    b"CONDOR_VERSION",
    b"GET_SANDBOX_PATH",
    b"CREATE_CONDOR_SECURITY_SESSION",
)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.lists(st.sampled_from(LINES), min_size=1, max_size=3)),
        st.tuples(st.just("read"), st.none()),
        st.tuples(st.just("finish"), st.integers(0, 5)),
        st.tuples(st.just("deliver"), st.integers(1, 60)),
        st.tuples(st.just("link"), st.booleans()),
        st.tuples(st.just("resume"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 5.0, 13.0, 100.0, 271.0, 4000.0])),
        st.tuples(st.just("fetch"), st.none()),
        st.tuples(st.just("confirm"), st.none()),
        st.tuples(st.just("end"), st.sampled_from(["exit", "rubbish", "loss"])),
        st.tuples(st.just("start"), st.booleans()),
    ),
    max_size=60,
)


def ruleOf(name: bytes) -> Rule:
    """
    @return: the rule of one of L{LINES}.
    """
    return RULES.get(name) or (OTHER_REQUEST if name == b"BLAH_NEW" else OTHER_COMMAND)


class Dialogue:
    """
    A gridmanager that forgives nothing, a front, and one GAHP after another.
    """

    def __init__(self, threads: int) -> None:
        self.world = World()
        self.threads = threads
        self.gahps = [PlayedGAHP(self.world, threads)]
        self.isThere = True
        self.lost: set[bytes] = set()  # ids that a GAHP had when it ended
        self.silent: list[tuple[bytes, float]] = []  # commands without a reply, and since when
        self.requests: dict[bytes, bytes] = {}  # names by id
        self.results: dict[bytes, bytes] = {}  # lines by id
        self.count = 1
        self.left = 0  # lines of an answer to RESULTS
        self.isNoticed = False

    # -- steps --------------------------------------------------------------

    def say(self, lines: list[bytes]) -> None:
        """
        The gridmanager writes lines, perhaps before it has the replies of others.
        """
        for line in lines:
            self.count += 1
            line = line.replace(b"ID", b"%d" % self.count)
            name, *words = line.split(b" ")
            if ruleOf(name).who == AT_ONCE:
                self.requests[words[0]] = name
            self.silent.append((line, self.world.now))
            self.hear(self.world.gridmanager(line))

    @property
    def gahp(self) -> PlayedGAHP:
        """
        @return: the present GAHP, or the last one.
        """
        return self.gahps[-1]

    @property
    def taken(self) -> list[bytes]:
        """
        @return: what any GAHP has acknowledged.
        """
        return [line for gahp in self.gahps for line in gahp.taken]

    def end(self, how: str) -> None:
        """
        The GAHP ends.
        """
        if not self.isThere or self.world.output.ends:
            return
        self.bury(self.had())
        if how == "exit":
            self.world.front.siteEnded(1)
        elif how == "rubbish" and not self.world.front._site.isMidLine():
            self.world.front.siteData(b"libproxy: not found\n")
        else:
            self.world.front.siteLost("gone")
        self.hear(self.world.heard())

    def had(self) -> list[bytes]:
        """
        @return: what the GAHP has been given.
        """
        return [*self.gahp.given, *self.world.output.sent.split(b"\r\n")]

    def bury(self, had: list[bytes]) -> None:
        """
        The GAHP is no more.
        """
        self.isThere = False
        self.lost.update(line.split(b" ")[1] for line in had if b" " in line)
        self.gahp.running.clear()
        self.gahp.unread = b""

    def start(self, isGood: bool) -> None:
        """
        A GAHP is started, if there is none; or is not.
        """
        if self.isThere or self.world.output.ends:
            return
        if not isGood:
            self.world.front.siteStarted()
            self.hear(self.world.link(True))
            self.world.front.siteLost("not ready")
            self.hear(self.world.heard())
            return
        self.gahps.append(PlayedGAHP(self.world, self.threads))
        sent = self.world.start()
        self.isThere = True
        self.world.output.sent = b"".join([line + b"\r\n" for line in sent])
        first = [line for line in sent if line.startswith((b"CREATE", b"CONDOR_VERSION"))]
        assert sent[: len(first)] == first, "not before all others"
        self.hear(self.world.heard())

    def read(self, _: object) -> None:
        """
        The GAHP reads what was sent.
        """
        self.gahp.read()

    def finish(self, which: int) -> None:
        """
        The GAHP finishes one of the requests that are at work.
        """
        running = sorted(self.gahp.running)
        if running:
            self.gahp.finish(running[which % len(running)])

    def deliver(self, count: int) -> None:
        """
        Bytes come from the GAHP, if they can.
        """
        if self.world.output.isLive:
            self.gahp.deliver(count)
            self.hear(self.world.heard())

    def link(self, isLive: bool) -> None:
        """
        The link changes, if there is one.
        """
        if self.isThere or not isLive:
            self.hear(self.world.link(isLive))

    def resume(self, which: int) -> None:
        """
        The stream has another channel; some of what was sent has not arrived.
        """
        if self.isThere:
            unread = min(self.world.output.sent.count(b"\r\n"), self.world.output.unconfirmed)
            self.hear(self.world.resume(which % (unread + 1)))

    def wait(self, seconds: float) -> None:
        """
        Time passes; a GAHP that owes a line may end of that.
        """
        end = self.world.now + seconds
        had, over = self.had(), len(self.world.output.over)
        while self.world.now < end:
            # Heard every second, to see how long each reply takes.
            self.hear(self.world.wait(min(1.0, end - self.world.now)))
            if seconds > 300.0 and not self.silent:
                self.hear(self.world.wait(end - self.world.now))
        if len(self.world.output.over) > over:
            assert any(had), "it owed nothing"
            self.bury([*had, *self.had()])

    def fetch(self, _: object) -> None:
        """
        The gridmanager asks for results.
        """
        self.say([b"RESULTS"])

    def confirm(self, _: object) -> None:
        """
        The CE acknowledges everything.
        """
        self.world.confirmAll()

    def settle(self) -> None:
        """
        The link is live for as long as it takes, and everybody does his part.
        """
        self.start(True)
        self.link(True)
        for _ in range(400):
            self.read(None)
            for requestId in list(self.gahp.running):
                self.gahp.finish(requestId)
            self.deliver(1 << 20)
            self.fetch(None)
            self.wait(1.0)

    # -- what must hold -----------------------------------------------------

    def hear(self, lines: list[bytes]) -> None:
        """
        The gridmanager reads, and dies of what it does not expect.
        """
        for line in lines:
            if self.left:
                self.left -= 1
                self.checkResult(line)
            elif line == b"R":
                assert not self.isNoticed, "R twice without RESULTS"
                self.isNoticed = True
            else:
                assert self.silent, f"a line too many: {line!r}"
                self.checkReply(self.silent.pop(0)[0], splitTokens(line))
        assert self.left == 0, "the answer to RESULTS is not whole"
        for command, since in self.silent:
            assert self.world.now - since < 20.0, f"20 s of silence: {command!r}"

    def checkReply(self, command: bytes, tokens: list[bytes]) -> None:
        """
        A reply belongs to its command.
        """
        name, *words = command.split(b" ")
        if ruleOf(name).who == AT_ONCE:
            assert tokens == [b"S"], f"{command!r}: {tokens!r}"
        elif name == b"RESULTS":
            assert tokens[0] == b"S"
            self.left, self.isNoticed = int(tokens[1]), False
        elif name == b"COMMANDS":
            assert tokens == [b"S", *self.world.listed().split()]
        elif tokens[0] == b"E":
            assert name != b"CREATE_CONDOR_SECURITY_SESSION"
            assert len(tokens) == 2
        elif name == b"GET_SANDBOX_PATH":
            assert tokens == [b"S", b"/path/" + words[0]]
        elif tokens != [b"S"] or name != b"CREATE_CONDOR_SECURITY_SESSION":
            assert tokens == [b"S", command], f"{command!r}: {tokens!r}"

    def checkResult(self, line: bytes) -> None:
        """
        A result is the first for its id, has the right fields, and is the GAHP's own or
        one that may be made up.
        """
        requestId, *fields = splitTokens(line)
        name = self.requests[requestId]
        assert requestId not in self.results, f"a second result: {line!r}"
        assert ruleOf(name).fits(len(fields) + 1), f"{name!r}: {line!r}"
        self.results[requestId] = line
        success = joinTokens([requestId]) + b" " + SUCCESS[name].replace(b"ID", requestId)
        if line == success:
            assert any(line in gahp.results for gahp in self.gahps), f"made up: {line!r}"
        elif name == b"BLAH_JOB_STATUS":
            assert tuple(fields) == NOTHING_NEW
        elif b"GAHP\\ ended" in line:
            assert requestId in self.lost and name not in AGAIN, line
        elif name != b"BLAH_PING":
            assert ruleOf(name).limit in ("submit", "transfer"), line
            assert b"never\\ reached" in line

    def checkEnd(self) -> None:
        """
        Nothing is lost: each command has its reply and each request its one result; what
        failed without having been sent has not been carried out, and nothing twice.
        """
        assert not self.silent
        assert set(self.results) == set(self.requests)
        taken = self.taken
        for gahp in self.gahps:
            assert len(set(gahp.taken)) == len(gahp.taken), "taken twice by one GAHP"
        once = [one for one in taken if one.split(b" ")[0] not in AGAIN]
        assert len(set(once)) == len(once), "taken twice"
        for requestId, line in self.results.items():
            name = self.requests[requestId]
            isTaken = any(one.startswith(name + b" " + requestId + b" ") for one in taken)
            if b"never\\ reached" in line:
                assert not isTaken, f"safe to release, but carried out: {line!r}"
            if ruleOf(name).isOwed:
                assert isTaken
        assert self.world.output.finished == []
        assert self.world.front.heldBytes() == 0


class OrderTests(SynchronousTestCase):
    """
    Any order.
    """

    @unhurried
    @given(steps, st.sampled_from([1, 3, 50]))
    def test_anyOrder(self, order: list[tuple[str, object]], threads: int) -> None:
        """
        In any order of lines, portions, losses, ends and clock steps: one reply per command, in
        order, never 20 s late; at most one result per id, and in the end just one; nothing
        made up that must not be, nothing carried out that was called unsent, nothing twice.
        """
        dialogue = Dialogue(threads)
        for step, argument in order:
            getattr(dialogue, step)(argument)
        dialogue.settle()
        dialogue.checkEnd()

    @unhurried
    @given(steps, st.integers(0, 59))
    def test_gridmanagerGoes(self, order: list[tuple[str, object]], when: int) -> None:
        """
        Whenever the gridmanager goes, the GAHP's stdin ends in the end, once; each cancel
        and destroy has been carried out by then, and nothing is sent that it did not ask
        for before.
        """
        dialogue = Dialogue(3)
        for step, argument in order[:when]:
            getattr(dialogue, step)(argument)
        world = dialogue.world
        # What is under way can be heard of again, however long it has been.
        world.link(False)
        sent = len(dialogue.taken)
        world.front.gridmanagerEnded()
        if world.front.owes():
            self.assertEqual(world.output.ends, 0)
        for _ in range(200):
            dialogue.start(True)
            if not dialogue.isThere:
                break
            world.link(True)
            gahp = dialogue.gahp
            gahp.read()
            for requestId in list(gahp.running):
                gahp.finish(requestId)
            gahp.deliver(1 << 20)
            world.confirmAll()
            world.wait(1.0)
        self.assertEqual((world.output.ends, world.front.owes()), (1, False))
        owed = {one for one, name in dialogue.requests.items() if ruleOf(name).isOwed}
        taken = {line.split(b" ")[1] for line in dialogue.taken}
        self.assertLessEqual(owed, taken)
        self.assertGreaterEqual(len(dialogue.taken), sent)
