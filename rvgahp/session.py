# -*- test-case-name: tests.test_session -*-
"""
Security sessions: what both ends of a channel share, and the keys they derive.

Layer 0: bytes in, bytes out.  A session is CEDAR's
I{(id, key, policy, duration, lease, valid commands)}; one is made by the proxy
for each started GAHP and used by every channel of it.
"""

from __future__ import annotations

from hmac import compare_digest

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.policy import Policy, resolve
from rvgahp.primitives import hkdf

SALT = b"rvgahp session"


class SecuritySession:
    """
    One security session with one of its keys.  It does not change: a renewal makes
    another.

    @ivar sessionId: the public name, ASCII, at most 128 bytes.
    @ivar key: 32 bytes.  B{Secret.}  Never logged, never written anywhere.
    @ivar keyNumber: 1 for the first key, one more at each renewal; after 65535 comes 1.
    @ivar serverPolicy: the proxy's policy (the CE dialled it).
    @ivar clientPolicy: the CE's policy.
    @ivar outcome: what the two resolve to, for every channel.
    @ivar method: the crypto method, or an empty string where C{outcome} is none.
    @ivar duration: seconds that the key may be used for new channels.
    @ivar lease: seconds without an authenticated byte after which it is over.
    """

    def __init__(
        self,
        sessionId: str,
        key: bytes,
        serverPolicy: Policy,
        clientPolicy: Policy,
        duration: int,
        lease: int,
        keyNumber: int = 1,
    ) -> None:
        """
        @raise PolicyConflict: the two policies exclude each other.
        @raise ProtocolError: the id, the key, its number or its duration is impossible.
        """
        encoded = sessionId.encode("utf-8")
        isFit = sessionId.isascii() and sessionId.isprintable()  # it stands in logs
        if not 0 < len(encoded) <= limits.SESSION_ID_BYTES or not isFit:
            raise ProtocolError("A session id must be 1 to 128 printable ASCII characters.")
        if len(key) != limits.KEY_BYTES:
            raise ProtocolError(f"A session key must have {limits.KEY_BYTES} bytes.")
        if not 0 < keyNumber <= limits.LAST_KEY_NUMBER:
            raise ProtocolError(f"A session key's number is 1 to {limits.LAST_KEY_NUMBER}.")
        if not 0 < duration <= limits.LONGEST_DURATION:
            raise ProtocolError(f"A key's duration is 1 to {limits.LONGEST_DURATION} s.")
        self.sessionId = sessionId
        self.key = key
        self.keyNumber = keyNumber
        self.serverPolicy = serverPolicy
        self.clientPolicy = clientPolicy
        self.outcome, self.method = resolve(serverPolicy, clientPolicy)
        self.duration = duration
        self.lease = lease

    def __repr__(self) -> str:
        return f"<SecuritySession {self.sessionId} {self.outcome.value}>"

    def nextNumber(self) -> int:
        """
        @return: the number of the key that comes after this one.
        """
        return self.keyNumber % limits.LAST_KEY_NUMBER + 1

    def renewed(self, key: bytes, duration: int) -> SecuritySession:
        """
        @param key: the new one.  B{Secret.}
        @return: the same session with its next key.
        @raise ProtocolError: the key or its duration is impossible.
        """
        return SecuritySession(
            self.sessionId,
            key,
            self.serverPolicy,
            self.clientPolicy,
            duration,
            self.lease,
            self.nextNumber(),
        )

    def _subkey(self, purpose: bytes) -> bytes:
        return hkdf(self.key, SALT, purpose + b" " + self.sessionId.encode("ascii"), 32)

    def proofKey(self) -> bytes:
        """
        @return: the subkey that proves who speaks in a handshake.  B{Secret.}
        """
        return self._subkey(b"proof")

    def trafficKey(self) -> bytes:
        """
        @return: the subkey that goes into every channel's keys.  B{Secret.}
        """
        return self._subkey(b"traffic")

    def claimKey(self) -> bytes:
        """
        @return: the subkey by which a restarted proxy is shown that this session
            is ours.  It opens no channel.  B{Secret} from all but the proxy.
        """
        return self._subkey(b"claim")


class SessionKeys:
    """
    The keys that one end of a session's channels knows: the present one, and the one
    before it for Dials that were on their way when the present one came.  Each is good
    for its duration, from when it came here.

    @ivar present: the session with its present key.
    @ivar claimKey: the session's claim key: the subkey of its B{first} key, for life, so
        that a renewal of which one end knows nothing does not part the two.
        B{Secret} from all but the proxy.
    """

    def __init__(self, session: SecuritySession, now: float) -> None:
        """
        @param now: the time, in seconds of a clock that all calls have in common.
        """
        self.present = self._former = session
        self.claimKey = session.claimKey()
        self._presentEnds = self._formerEnds = now + session.duration

    def renew(self, key: bytes, keyNumber: int, duration: int, now: float) -> None:
        """
        The proxy has sent a key: the next one, or the present one again because our
        answer was lost, which changes nothing.

        @param key: B{secret}.
        @param duration: seconds.
        @raise ProtocolError: it is neither, or impossible; nothing has changed.
        """
        present = self.present
        if keyNumber == present.keyNumber and compare_digest(key, present.key):
            return
        if keyNumber != present.nextNumber():
            raise ProtocolError(
                f"The next key of session {present.sessionId} has the number"
                f" {present.nextNumber()}; another came."
            )
        self.present, self._former = present.renewed(key, duration), present
        self._presentEnds, self._formerEnds = now + duration, self._presentEnds

    def find(self, keyNumber: int) -> SecuritySession | None:
        """
        @return: the session with the key of this number, be its duration over or not;
            L{None} if it is not known here.
        """
        for session in (self.present, self._former):
            if session.keyNumber == keyNumber:
                return session
        return None

    def left(self, now: float) -> float:
        """
        @return: seconds for which the present key still opens channels.
        """
        return max(0.0, self._presentEnds - now)

    def objection(self, session: SecuritySession, now: float) -> str:
        """
        @param session: L{present}, or what L{find} has found.
        @return: why its key opens no new channel now, for people; empty if it does.
        """
        if now < (self._presentEnds if session is self.present else self._formerEnds):
            return ""
        return (
            f"key {session.keyNumber} of the session was good for {session.duration} s, which"
            " are over"
        )
