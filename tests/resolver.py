"""
A resolver for tests: it knows what it is told, and asks nobody.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer
from zope.interface.verify import verifyObject


@implementer(IHostResolution)
class Resolution:
    """
    A name that was looked up.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        pass


@implementer(IHostnameResolver)
class Resolver:
    """
    Answers when it is told to, or at once.

    @ivar addresses: of any name.
    @ivar answersAtOnce: whether it does; with the port it is asked for.
    """

    def __init__(self, *addresses: IPv4Address | IPv6Address, answersAtOnce: bool = False) -> None:
        verifyObject(IHostnameResolver, self)
        verifyObject(IHostResolution, Resolution(""))
        self.addresses = addresses
        self.answersAtOnce = answersAtOnce
        self._receivers: list[Any] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self._receivers.append(resolutionReceiver)
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        if self.answersAtOnce:
            self.addresses = (IPv4Address("TCP", "127.0.0.1", portNumber),)
            self.answer()
        return resolution

    @property
    def asked(self) -> int:
        """
        How often it was.
        """
        return len(self._receivers)

    def answer(self, number: int = -1) -> None:
        """
        Tell what is known.

        @param number: to whom; else to the last who asked.
        """
        for address in self.addresses:
            self._receivers[number].addressResolved(address)
        self._receivers[number].resolutionComplete()
