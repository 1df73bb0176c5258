# -*- test-case-name: tests.test_join -*-
"""
A site joins: C{rvgahp join}.  C{doc/protocol.rst}, step 2a.

Layer 6.  It blocks, and each step has its deadline.  Whom it talks to is known by the
fingerprint in the code; no authority has any say.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from hmac import compare_digest
from typing import Any

from cryptography import x509
from twisted.protocols.amp import AmpBox

from rvgahp import commands, limits
from rvgahp.boxes import BoxReader
from rvgahp.certificaterequests import makeRequest, readAnswer, spkiOf
from rvgahp.certificates import siteOf
from rvgahp.errors import ChannelLost, CredentialError, NotAuthorized, ProtocolError
from rvgahp.inquiry import Inquiry
from rvgahp.invitecode import InviteCode, fingerprintOf
from rvgahp.joinfiles import JoinDirectory
from rvgahp.joinfurther import FurtherProxy
from rvgahp.joinroute import DIRECT, Route
from rvgahp.tcpdial import dialWaiting
from rvgahp.wayout import WayOut, placeOf
from rvgahp.waysettings import gatewayVariable

__all__ = ["Joined", "join"]

_TAG = b"1"

_IN_OWNER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+$@")


@dataclass(frozen=True)
class Joined:
    """
    What came of it.

    @ivar site: the site's name.
    @ivar owner: the canonical name of who has invited it.
    @ivar ends: until when the certificate is good.
    @ivar written: the paths of the files that were written.
    @ivar kept: the paths of those that were there and were kept.
    """

    site: str
    owner: str
    ends: datetime
    written: list[str]
    kept: list[str]


def join(
    code: InviteCode,
    path: str,
    route: Route = DIRECT,
    *,
    replace: bool = False,
    further: FurtherProxy | None = None,
) -> Joined:
    """
    Enrol a site, and write its files.

    @param path: the directory where they go.
    @param route: how to reach the proxy.
    @param replace: whether files that are there may be replaced.
    @param further: the proxy is one more of the CE that is there; L{None}: it is the first.
    @raise RvgahpError: it came to nothing; unless the sentence says otherwise, the same
        command may be given again.
    """
    if further is not None:
        route = further.route(route)
    directory = JoinDirectory(path, code) if further is None else further.directory(code)
    try:
        key = directory.key(replace=replace)
        try:
            answer = _enrol(code, route.wayTo(code), makeRequest(key))
        except NotAuthorized:
            directory.giveUp()
            raise
        now = datetime.now(timezone.utc)
        certificate = readAnswer(answer["certificate"], answer["authorities"], key, now)
        site, owner = siteOf(certificate), answer["owner"]
        if answer["site"] != site:
            raise CredentialError(
                f"The proxy's certificate is for site {site}, and it says that it is for another."
            )
        if not _isOwner(owner):
            raise CredentialError("The proxy named an owner that cannot be one.")
        written, kept = directory.finish(
            code,
            route.settings(),
            owner,
            key,
            certificate,
            answer["certificate"],
            answer["authorities"],
        )
        return Joined(site, owner, certificate.not_valid_after_utc, written, kept)
    finally:
        directory.close()


def _isOwner(name: str) -> bool:
    """
    @return: whether it is a canonical name: what has no user and no domain would be a host in
        the access file, and so be everybody.
    """
    user, _, domain = name.rpartition("@")
    return bool(user and domain) and user[0] != "+" and _IN_OWNER.issuperset(name)


def _enrol(code: InviteCode, way: WayOut, request: bytes) -> dict[str, Any]:
    """
    @return: the values of the answer to Enrol.
    """
    try:
        target, plain = dialWaiting(way)
    except ChannelLost as e:
        hint = "" if way.gateway is not None else _noWay()
        raise ProtocolError(
            f"{e}: is the proxy running, and may this machine dial out to that port?{hint}"
        ) from None
    place = placeOf(target.host, target.port)
    with plain:
        try:
            plain.settimeout(limits.DIAL_TIMEOUT)
            with _context().wrap_socket(plain, server_hostname=None) as secured:
                _checkKey(code, place, secured)
                return _ask(secured, code.secret, request)
        except OSError as e:
            raise ProtocolError(
                f"what listens at {place} is no proxy that enrols sites, or the connection broke"
                f" ({e.strerror or e}); the same command may be given again"
            ) from None


def _noWay() -> str:
    """
    @return: what this machine's environment says of a gateway, as a sentence; may be empty.
    """
    name = gatewayVariable()
    return f"  {name} is set here: see --connect-through." if name else ""


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # in place of which there is the fingerprint
    return context


def _checkKey(code: InviteCode, place: str, secured: ssl.SSLSocket) -> None:
    """
    See that it is the proxy.  TLS has proved that it has the private key.
    """
    shown = secured.getpeercert(binary_form=True) or b""
    try:
        key = spkiOf(x509.load_der_x509_certificate(shown).public_key())
    except (ValueError, x509.InvalidVersion):
        key = b""
    if not compare_digest(fingerprintOf(key), code.fingerprint):
        # Not NotAuthorized: the code may be good for all that.
        raise CredentialError(
            f"What listens at {place} is not the proxy that the code is of: its key is another."
            "  Nothing was said to it.  Ask for a new code, in case the proxy has a new key; and"
            " if that is refused, too, tell the proxy's administrator."
        )


def _ask(secured: ssl.SSLSocket, secret: bytes, request: bytes) -> dict[str, Any]:
    question = commands.Enrol.makeArguments({"secret": secret, "request": request}, None)
    question.update({b"_command": commands.Enrol.commandName, b"_ask": _TAG})
    secured.sendall(AmpBox(question).serialize())
    reader = BoxReader(limits.GREETING_BOX_BYTES)
    end = time.monotonic() + limits.GREETING_TIMEOUT
    while True:
        secured.settimeout(max(0.001, end - time.monotonic()))
        data = secured.recv(65536)
        if not data:
            raise ProtocolError(
                "the proxy closed the connection without a word; the same command may be given"
                " again"
            )
        for box in reader.read(data):
            if box.get(b"_error") == _TAG:
                raise Inquiry.refusal(commands.Enrol, box)
            if box.get(b"_answer") == _TAG:
                return _understood(box)


def _understood(box: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        values: dict[str, Any] = commands.Enrol.parseResponse(AmpBox(box), None)
    except (LookupError, ValueError) as e:
        raise ProtocolError(
            f"the proxy's answer to Enrol was not understood ({type(e).__name__})"
        ) from None
    return values
