# -*- test-case-name: tests.test_frontrules -*-
"""
What the front does with each command of the gridmanager: one table.

Layer 0: L{rvgahp.frontlimits} and nothing else.  C{doc/front.rst} has the same table in
words, and a test holds the two together.  The reasons are HTCondor's: for a line of
stdin that is not acknowledged within 20 s, for an acknowledgement that is not C{S},
and for a result with a wrong number of fields the gridmanager ends itself, and with it
every grid job of its user (C{src/condor_gridmanager/gahp-client.cpp}: C{read_argv},
C{now_pending}, and the C{blah_} functions for the fields).
"""

from __future__ import annotations

from rvgahp import frontlimits

# Who answers at once.
LOCAL = "local"  #: the front, for good
SITE = "site"  #: nobody: the gridmanager waits for the GAHP's reply
AT_ONCE = "S"  #: the front with S; the command has a request id and gets a result

# Where a command waits.
FIRST = "first"  #: before all others; each GAHP is told it, though it is said once
URGENT = "urgent"  #: before those in order: nothing depends on its place
ORDER = "order"  #: as they came; those with a request id only while the window is open

# What is done for the GAHP.  An unsent command that is answered is withdrawn, except
# after a promise.
WAIT = "wait"  #: nothing
REFUSE = "E"  #: the reply E with a sentence
PROMISE = "promise"  #: the reply S; the command stays
RECALL = "recall"  #: the path that is known for this id; else, in the end, E
FAIL = "failure"  #: the result that tells of a failure
NO_NEWS = "no news"  #: the result that tells nothing
AGAIN = "again"  #: it is held again, for the next GAHP

# Limits: attributes of Timers.
NEVER = ""
STATUS = "status"
SUBMIT = "submit"
TRANSFER = "transfer"
REPLY = "reply"
OTHER = "other"

#: Where the sentence stands in the fields of a failure.
SENTENCE = None

#: The fields after the id in a result that tells of a failure.
BATCH = (b"1", SENTENCE)
BATCH_NA = (b"1", SENTENCE, b"N/A")
BATCH_STATUS = (b"1", SENTENCE, b"0", b"N/A")
FILES = (SENTENCE,)
FILES_PATH = (SENTENCE, b"NULL")

#: The fields after the id in a result that tells nothing: no error, and no ad.
NOTHING_NEW = (b"0", b"No error", b"0", b"NULL")

# The gridmanager's own timers: attributes of Timers.
CALL = "call"
TRANSFERS = "transfers"

#: How long a GAHP may be silent that owes a line: an attribute of Timers.
MUTE = "mute"


class Timers:
    """
    Seconds from a command's coming, by the gridmanager's own settings.

    @ivar seconds: of each limit, and of the gridmanager's own timers; the former
        run out a little before the latter.
    """

    def __init__(
        self,
        call: float = frontlimits.GRIDMANAGER_CALL_TIMEOUT,
        response: float = frontlimits.GRIDMANAGER_RESPONSE_TIMEOUT,
    ) -> None:
        """
        @param call: the gridmanager's limit for the result of a batch request; 0: it has
            none (HTCondor: C{src/condor_gridmanager/gahp-client.cpp}, C{now_pending}).
        @param response: its limit for each line of a reply, at least 2.  It compares whole
            seconds, so only one less is sure (C{read_argv}).
        """
        transfers = frontlimits.GRIDMANAGER_TRANSFER_TIMEOUT
        results = call or float("inf")
        sure = response - 1
        self.seconds = {
            STATUS: results * 0.8,  # 240
            SUBMIT: results * 0.9,  # 270
            TRANSFER: transfers * 35 / 36,  # 3500
            REPLY: sure * 12 / 19,  # 12
            OTHER: sure * 15 / 19,  # 15
            CALL: results,
            TRANSFERS: transfers,
            # 300: till then the gridmanager waits for what a live GAHP is about.
            MUTE: max(call or frontlimits.GRIDMANAGER_CALL_TIMEOUT, frontlimits.SILENCE * response),
        }


class Rule:
    """
    One row.

    @ivar who: who answers at once.
    @ivar queue: where the command waits.
    @ivar notLive: what is done for the GAHP when the link is not live.
    @ivar limit: which of the L{Timers}.
    @ivar unsent: what is done at the limit if the command was not sent.
    @ivar sent: and if it was.
    @ivar over: what is done when the GAHP to which it was sent is over.
    @ivar timer: the gridmanager's own timer for the result.
    @ivar failure: the fields of a failure; C{()} where their number is not known.
    @ivar isOwed: whether it is delivered even when the gridmanager has gone.
    """

    __slots__ = (
        "failure",
        "isOwed",
        "limit",
        "notLive",
        "over",
        "queue",
        "sent",
        "timer",
        "unsent",
        "who",
    )

    def __init__(
        self,
        who: str,
        queue: str = ORDER,
        notLive: str = WAIT,
        limit: str = NEVER,
        unsent: str = WAIT,
        sent: str = WAIT,
        over: str = FAIL,
        timer: str = NEVER,
        failure: tuple[bytes | None, ...] = (),
        isOwed: bool = False,
    ) -> None:
        self.who = who
        self.queue = queue
        self.notLive = notLive
        self.limit = limit
        self.unsent = unsent
        self.sent = sent
        self.over = over
        self.timer = timer
        self.failure = failure
        self.isOwed = isOwed

    def fits(self, fields: int) -> bool:
        """
        @param fields: tokens of a result, the id included.
        @return: whether the gridmanager can take it.
        """
        return fields == 1 + len(self.failure) if self.failure else fields > 1

    @property
    def hasCode(self) -> bool:
        """
        @return: whether the first field of the result is a code.
        """
        return self.failure[:1] == BATCH[:1]

    def failed(self, requestId: bytes, sentence: bytes) -> list[bytes]:
        """
        @return: the tokens of the result that tells of a failure.
        """
        fields = self.failure or BATCH
        return [requestId, *[sentence if one is SENTENCE else one for one in fields]]


# A table is read in columns.  Those in the middle: where it waits; what is done for the
# GAHP when the link is not live; the limit; what is done then, unsent and sent; and what
# is done when it was sent and the GAHP is over.
# fmt: off
RULES = {
    b"COMMANDS":         Rule(LOCAL),
    b"ASYNC_MODE_ON":    Rule(LOCAL),
    b"ASYNC_MODE_OFF":   Rule(LOCAL),
    b"VERSION":          Rule(LOCAL),
    b"QUIT":             Rule(LOCAL),
    b"RESULTS":          Rule(LOCAL),
    b"RESPONSE_PREFIX":  Rule(LOCAL),

    b"CONDOR_VERSION":   Rule(SITE, FIRST,  WAIT,   REPLY, REFUSE,  REFUSE,  AGAIN),
    b"CREATE_CONDOR_SECURITY_SESSION":
                         Rule(SITE, FIRST,  WAIT,   REPLY, PROMISE, PROMISE, AGAIN),
    b"GET_SANDBOX_PATH": Rule(SITE, URGENT, RECALL, REPLY, RECALL,  RECALL,  AGAIN),

    b"BLAH_PING":
        Rule(AT_ONCE, URGENT, FAIL,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH),
    b"BLAH_JOB_STATUS":
        Rule(AT_ONCE, ORDER,  NO_NEWS, STATUS,   NO_NEWS, NO_NEWS, NO_NEWS, CALL, BATCH_STATUS),
    b"BLAH_JOB_SUBMIT":
        Rule(AT_ONCE, ORDER,  WAIT,    SUBMIT,   FAIL,    WAIT,    FAIL,    CALL, BATCH_NA),
    b"BLAH_JOB_REFRESH_PROXY":
        Rule(AT_ONCE, ORDER,  WAIT,    SUBMIT,   FAIL,    WAIT,    FAIL,    CALL, BATCH),
    b"BLAH_JOB_CANCEL":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    AGAIN,   CALL, BATCH, True),
    b"DESTROY_SANDBOX":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    AGAIN,   TRANSFERS, FILES, True),
    b"DOWNLOAD_SANDBOX":
        Rule(AT_ONCE, ORDER,  WAIT,    TRANSFER, FAIL,    WAIT,    FAIL,    TRANSFERS, FILES_PATH),
    b"UPLOAD_SANDBOX":
        Rule(AT_ONCE, ORDER,  WAIT,    TRANSFER, FAIL,    WAIT,    FAIL,    TRANSFERS, FILES),
    b"DOWNLOAD_PROXY":
        Rule(AT_ONCE, ORDER,  WAIT,    TRANSFER, FAIL,    WAIT,    FAIL,    TRANSFERS, FILES),
    b"BLAH_JOB_HOLD":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH),
    b"BLAH_JOB_RESUME":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH),
    b"BLAH_JOB_SEND_PROXY_TO_WORKER_NODE":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH),
    b"BLAH_JOB_STATUS_ALL":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH_NA),
    b"BLAH_JOB_STATUS_SELECT":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL, BATCH_NA),
    b"BLAH_GET_HOSTPORT":
        Rule(AT_ONCE, ORDER,  WAIT,    NEVER,    WAIT,    WAIT,    FAIL,    CALL),
}

OTHER_REQUEST = Rule(AT_ONCE, ORDER, WAIT, NEVER, WAIT, WAIT, FAIL, CALL)
OTHER_COMMAND = Rule(SITE, ORDER, WAIT, OTHER, REFUSE, REFUSE, REFUSE)
# fmt: on

#: The commands whose answer tells a sandbox's path: which token the path is, and which
#: of the command the sandbox id is, both counted from 0.
PATH_TOKEN = {b"DOWNLOAD_SANDBOX": 2, b"GET_SANDBOX_PATH": 1}

#: The GAHPs that the front knows: the bytes of the longest line that each takes, and
#: the bytes that cannot be sent to it, not even escaped (C{src/blahp/src/cmdbuffer.c}).
KNOWN_GAHPS = {
    "blahpd": (frontlimits.BLAHPD_COMMAND_BYTES, b"\r\n\0"),
    "batch_gahp": (frontlimits.BLAHPD_COMMAND_BYTES, b"\r\n\0"),
    "condor_ft-gahp": (frontlimits.COMMAND_BYTES, b"\0"),
}


def hasFront(gahp: str) -> bool:
    """
    @param gahp: a GAHP's name, as the gridmanager asks for it.
    @return: whether the front knows it; all others are copied byte for byte.
    """
    return gahp in KNOWN_GAHPS


def ruleFor(name: bytes, argument: bytes, offered: set[bytes]) -> Rule:
    """
    @param name: a command, in capitals.
    @param argument: what follows it.
    @param offered: the commands that the GAHP says it has.
    @return: its rule.  A command that is not in the table has a request id if the GAHP
        has it and a number follows.
    """
    if name in RULES:
        return RULES[name]
    return OTHER_REQUEST if name in offered and argument.isdigit() else OTHER_COMMAND
