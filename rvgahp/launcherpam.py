# -*- test-case-name: tests.test_launcherpam -*-
"""
What a CE that root has started asks PAM for each GAHP: whether the account may be used now,
and to open a session for it.

Layer 2: the standard library and L{rvgahp.launcherrules}, a part of L{rvgahp.launcher}, which
loads it when C{RVGAHP_PAM_SERVICE} is set and calls it in forked children only: a module may
take its time, or hang, and changes the process that calls it.  The order of the calls is that
of systemd's C{PAMName=} (C{setup_pam} in C{src/core/exec-invoke.c}), the numbers are those of
Linux-PAM (C{security/_pam_types.h}).  C{doc/accounts.rst}.
"""

from __future__ import annotations

import ctypes
import os

from rvgahp.launcherrules import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Where services are.  libpam would also look elsewhere, and in the end go by C{other}.
DIRECTORY = "/etc/pam.d"

_SUCCESS = 0
_CONV_ERR = 19
_RUSER = 8
_ERROR_MSG, _TEXT_INFO = 3, 4
_SILENT, _ESTABLISH_CRED, _DELETE_CRED = 0x8000, 0x0002, 0x0004

#: Texts of modules that are told, and characters of all, at the most.
_TEXTS = 5
_WORDS = 300


class _Message(ctypes.Structure):
    """
    C{struct pam_message}.
    """

    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    """
    C{struct pam_response}.
    """

    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Converse = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    """
    C{struct pam_conv}.
    """

    _fields_ = (("converse", _Converse), ("data", ctypes.c_void_p))


class PAM:
    """
    libpam, and the service that it is asked for.

    @ivar service: the name of a file in L{DIRECTORY}.
    """

    def __init__(self, service: str, asker: str) -> None:
        """
        @param asker: the CE's account, as PAM_RUSER: it is on its word that GAHPs start.
        @raise Refused: libpam cannot be had here, or there is no such service.
        """
        self.service = service
        self._asker = asker
        self._said: list[str] = []
        try:
            self._library = _load()
            self._allocate = ctypes.CDLL(None).calloc
            # Here, for libpam has no copy of it; and now, for it may not be allowed here.
            self._conversation = _Conversation(_Converse(self._converse), None)
        except Exception as e:  # ctypes can fail in many ways
            raise Refused(
                f"PAM cannot be asked, as RVGAHP_PAM_SERVICE says: {e}; install libpam, or leave"
                " that setting out"
            ) from None
        self._allocate.restype = ctypes.c_void_p
        self._allocate.argtypes = [ctypes.c_size_t] * 2
        self._checkService()

    def open(self, account: str) -> Session:
        """
        Ask whether the account may be used, and open a session for it, in this process: it
        and those that it starts have the limits of that then.  Blocks.

        PAM_TTY and PAM_RHOST are not set: there is no terminal, and of the host where the
        job comes from there is only the CE's word.  C{pam_access} takes the service's name
        then.

        @return: the session, to be closed once, in this process or one that it has forked.
        @raise Refused: it may not be used, or has no session.
        """
        self._checkService()
        handle = ctypes.c_void_p()
        names = self.service.encode(), os.fsencode(account)
        code = self._library.pam_start(
            *names, ctypes.byref(self._conversation), ctypes.byref(handle)
        )
        if code != _SUCCESS:
            raise Refused(self._noSession(account, self._words(None, code)))
        session = Session(self._library, handle)
        self._library.pam_set_item(handle, _RUSER, os.fsencode(self._asker))
        code = self._library.pam_acct_mgmt(handle, 0)
        if code != _SUCCESS:
            words = self._words(handle, code)
            session.end(code)
            raise Refused(
                f"PAM refuses the site's account {account[:80]!a}: {words} (service"
                f" {self.service}); its administrator can see why in the system's log, and mend"
                f" the account or {DIRECTORY}/{self.service}"
            )
        # Not a refusal if it fails, as with systemd: a service without a line for auth takes
        # those of C{other}, and they may deny all.
        self._library.pam_setcred(handle, _ESTABLISH_CRED | _SILENT)
        code = self._library.pam_open_session(handle, _SILENT)
        if code != _SUCCESS:
            words = self._words(handle, code)
            session.forget(code)
            raise Refused(self._noSession(account, words))
        return session

    def late(self, seconds: float) -> str:
        """
        @return: what there is to say when it did not answer within this time.
        """
        return (
            f"PAM gave no answer within {seconds:g} s (service {self.service}); the site's"
            f" administrator can see in {DIRECTORY}/{self.service} whom it asks"
        )

    def _checkService(self) -> None:
        """
        @raise Refused: it is not there.
        """
        path = f"{DIRECTORY}/{self.service}"
        if not os.path.isfile(path):
            raise Refused(
                f"{path}, which RVGAHP_PAM_SERVICE names, is not there, and PAM would go by"
                f" {DIRECTORY}/other: make it, or name another"
            )

    def _noSession(self, account: str, words: str) -> str:
        return (
            f"PAM opens no session for the site's account {account[:80]!a}: {words} (service"
            f" {self.service}); its administrator can see why in the system's log"
        )

    def _words(self, handle: Any, code: int) -> str:
        """
        @return: what the code means, and what the modules have said.
        """
        text = self._library.pam_strerror(handle, code) or b""
        words = ", ".join([text.decode("utf-8", "replace"), *self._said])
        return "".join(one if one.isprintable() else " " for one in words)[:_WORDS].strip()

    def _converse(self, count: int, messages: Any, responses: Any, data: Any) -> int:
        """
        Called by modules.  Who tells something is heard; who asks for something gets nothing.
        """
        try:
            texts = [messages[number].contents for number in range(count)]
            self._said += [
                (one.text or b"").decode("utf-8", "replace").strip()
                for one in texts
                if one.style in (_ERROR_MSG, _TEXT_INFO) and len(self._said) < _TEXTS
            ]
            if any(one.style not in (_ERROR_MSG, _TEXT_INFO) for one in texts):
                return _CONV_ERR
            # libpam frees it
            responses[0] = self._allocate(count, ctypes.sizeof(_Response))
            return _SUCCESS if responses[0] else _CONV_ERR
        except Exception:  # which would go through libpam
            return _CONV_ERR


class Session:
    """
    An open session, or the beginning of one.
    """

    def __init__(self, library: Any, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    def variables(self) -> dict[str, str]:
        """
        @return: the environment that modules have made.
        """
        found: dict[str, str] = {}
        for entry in self._library.pam_getenvlist(self._handle) or ():
            if entry is None:
                break
            name, _, value = os.fsdecode(entry).partition("=")
            if name:
                found[name] = value
        return found

    def close(self) -> None:
        """
        Close it, and give back what it has.  Blocks.  What fails the modules have told the
        system's log.
        """
        self.forget(self._library.pam_close_session(self._handle, _SILENT))

    def forget(self, code: int) -> None:
        """
        Give back what it has, as one that was not opened.

        @param code: with which the last call ended.
        """
        self._library.pam_setcred(self._handle, _DELETE_CRED | _SILENT)
        self.end(code)

    def end(self, code: int) -> None:
        """
        Let go of the handle.
        """
        self._library.pam_end(self._handle, code)


def _load() -> Any:
    """
    @return: libpam.
    @raise Exception: there is none.
    """
    library = ctypes.CDLL("libpam.so.0")
    number, handle, text = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
    conversation, handles = ctypes.POINTER(_Conversation), ctypes.POINTER(handle)
    library.pam_start.argtypes = [text, text, conversation, handles]
    library.pam_set_item.argtypes = [handle, number, text]
    for name in ("end", "acct_mgmt", "setcred", "open_session", "close_session", "strerror"):
        getattr(library, f"pam_{name}").argtypes = [handle, number]
    library.pam_strerror.restype = text
    library.pam_getenvlist.argtypes = [handle]
    library.pam_getenvlist.restype = ctypes.POINTER(text)
    return library
