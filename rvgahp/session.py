# -*- test-case-name: tests.test_session -*-
"""
Security sessions: what both ends of a channel share, and the keys they derive.

Layer 0: bytes in, bytes out.  A session is CEDAR's
I{(id, key, policy, duration, lease, valid commands)}; one is made by the proxy
for each started GAHP and used by every channel of it.
"""

from __future__ import annotations

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.policy import Policy, resolve
from rvgahp.primitives import hkdf

SALT = b"rvgahp session"


class SecuritySession:
    """
    One security session as an end of its channels knows it.

    @ivar sessionId: the public name, ASCII, at most 128 bytes.
    @ivar key: 32 bytes.  B{Secret.}  Never logged, never written anywhere.
    @ivar keyNumber: 1 for the first key, one more at each renewal.
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
        @raise ProtocolError: the id or the key has an impossible form.
        """
        encoded = sessionId.encode("utf-8")
        if not 0 < len(encoded) <= limits.SESSION_ID_BYTES or not sessionId.isascii():
            raise ProtocolError("A session id must be 1 to 128 ASCII characters.")
        if len(key) != limits.KEY_BYTES:
            raise ProtocolError(f"A session key must have {limits.KEY_BYTES} bytes.")
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
