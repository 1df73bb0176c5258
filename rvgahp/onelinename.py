# -*- test-case-name: tests.test_onelinename -*-
"""
A distinguished name on one line, as C{/DC=org/CN=x}: the form in which HTCondor's map files
have the subjects of certificates.  Layer 2: C{cryptography}.

HTCondor takes what OpenSSL's C{X509_NAME_oneline} gives (C{src/condor_io/condor_auth_ssl.cpp});
here it is that of OpenSSL 3.0 and later.  That does not escape backslashes, with which it
escapes: L{isAmbiguous} tells what could so be taken for another name.
"""

from __future__ import annotations

from cryptography import x509

__all__ = ["elements", "isAmbiguous", "oneLine"]

_GENERAL_STRING = 0x1B

_X520 = """3 CN 4 SN 5 serialNumber 6 C 7 L 8 ST 9 street 10 O 11 OU 12 title 13 description
 14 searchGuide 15 businessCategory 16 postalAddress 17 postalCode 18 postOfficeBox
 19 physicalDeliveryOfficeName 20 telephoneNumber 21 telexNumber 22 teletexTerminalIdentifier
 23 facsimileTelephoneNumber 24 x121Address 25 internationaliSDNNumber 26 registeredAddress
 27 destinationIndicator 28 preferredDeliveryMethod 29 presentationAddress
 30 supportedApplicationContext 31 member 32 owner 33 roleOccupant 34 seeAlso 35 userPassword
 36 userCertificate 37 cACertificate 38 authorityRevocationList 39 certificateRevocationList
 40 crossCertificatePair 41 name 42 GN 43 initials 44 generationQualifier 45 x500UniqueIdentifier
 46 dnQualifier 47 enhancedSearchGuide 48 protocolInformation 49 distinguishedName
 50 uniqueMember 51 houseIdentifier 52 supportedAlgorithms 53 deltaRevocationList 54 dmdName
 65 pseudonym 72 role 97 organizationIdentifier 98 c3 99 n3 100 dnsName"""

_COSINE = """1 UID 2 textEncodedORAddress 3 mail 4 info 5 favouriteDrink 6 roomNumber 7 photo
 8 userClass 9 host 10 manager 11 documentIdentifier 12 documentTitle 13 documentVersion
 14 documentAuthor 15 documentLocation 20 homeTelephoneNumber 21 secretary 22 otherMailbox
 23 lastModifiedTime 24 lastModifiedBy 25 DC 26 aRecord 27 pilotAttributeType27 28 mXRecord
 29 nSRecord 30 sOARecord 31 cNAMERecord 37 associatedDomain 38 associatedName
 39 homePostalAddress 40 personalTitle 41 mobileTelephoneNumber 42 pagerTelephoneNumber
 43 friendlyCountryName 44 uid 45 organizationalStatus 46 janetMailbox 47 mailPreferenceOption
 48 buildingName 49 dSAQuality 50 singleLevelQuality 51 subtreeMinimumQuality
 52 subtreeMaximumQuality 53 personalSignature 54 dITRedirect 55 audio 56 documentPublisher"""

#: The types of attributes with a short name of OpenSSL's: those of X.520, of RFC 4524 (COSINE),
#: PKCS #9, and what else stands in subjects.
_ARCS = {
    "2.5.4": _X520,
    "0.9.2342.19200300.100.1": _COSINE,
    "1.2.840.113549.1.9": "1 emailAddress 2 unstructuredName 7 challengePassword"
    " 8 unstructuredAddress 20 friendlyName",
    "1.3.6.1.4.1.311.60.2.1": "1 jurisdictionL 2 jurisdictionST 3 jurisdictionC",
    "1.3.6.1.4.1.311.20.2": "3 msUPN",
    "1.3.6.1.5.5.7.9": "1 id-pda-dateOfBirth 2 id-pda-placeOfBirth 3 id-pda-gender"
    " 4 id-pda-countryOfCitizenship 5 id-pda-countryOfResidence",
    "1.2.643.3.131.1": "1 INN",
    "1.2.643.100": "1 OGRN 3 SNILS 5 OGRNIP",
}


def _shortNames() -> dict[str, str]:
    names = {}
    for arc, text in _ARCS.items():
        words = text.split()
        names.update({f"{arc}.{n}": name for n, name in zip(words[::2], words[1::2], strict=True)})
    return names


_SHORT = _shortNames()


def oneLine(name: x509.Name) -> str:
    """
    A name as C{X509_NAME_oneline} of OpenSSL writes it: a slash before each relative
    distinguished name, C{+} between the attributes of one; of each attribute its type's short
    name or else its dotted number, C{=}, and the bytes of its value as they are encoded,
    C{/} and C{+} with a backslash before them, those outside of C{' '} to C{'~'} as C{\\xHH}.
    """
    return "".join(
        f"{sign}{kind}={''.join(map(_shown, _printed(tag, value)))}"
        for sign, kind, tag, value in _attributes(name)
    )


def isAmbiguous(name: x509.Name) -> bool:
    """
    Whether another name could have the same line: there is a backslash in a value.
    """
    return any(b"\\" in value for *_, value in _attributes(name))


def _attributes(name: x509.Name) -> list[tuple[str, str, int, bytes]]:
    """
    @return: of each attribute the sign before it, its type's name, and its value's tag and
        bytes.
    """
    found = []
    ((_, rdns),) = elements(name.public_bytes())
    for _, rdn in elements(rdns):
        sign = "/"
        for _, pair in elements(rdn):
            (_, kind), (tag, value) = elements(pair)
            dotted = _dotted(kind)
            found.append((sign, _SHORT.get(dotted, dotted), tag, value))
            sign = "+"
    return found


def _printed(tag: int, value: bytes) -> bytes:
    """
    @return: the bytes of a value that are printed: of a C{GeneralString} that has nothing
        but zeros in the first three of each four bytes only the fourth.
    """
    isWide = tag == _GENERAL_STRING and len(value) % 4 == 0
    if isWide and not any(byte for at, byte in enumerate(value) if at % 4 != 3):
        return value[3::4]
    return value


def _shown(byte: int) -> str:
    if byte in b"/+":
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02X}"


def _dotted(identifier: bytes) -> str:
    """
    @return: an object identifier in digits.
    """
    numbers, number = [], 0
    for byte in identifier:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def elements(der: bytes) -> list[tuple[int, bytes]]:
    """
    @param der: elements of DER, one after the other.
    @return: the tag and the content of each.
    @raise ValueError: It is no DER.
    """
    found, at = [], 0
    while at < len(der):
        if len(der) - at < 2:
            raise ValueError("half an element")
        tag, size, at = der[at], der[at + 1], at + 2
        if size >= 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(der[at : at + count], "big"), at + count
        if size > len(der) - at:
            raise ValueError("an element that goes beyond the end")
        found.append((tag, der[at : at + size]))
        at += size
    return found
