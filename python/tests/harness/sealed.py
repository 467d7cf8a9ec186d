"""Another implementation of SRTP, libsrtp, so that no test of sealing trusts the code under test."""

from __future__ import annotations

import base64

from pylibsrtp import Error, Policy, Session

from .packets import is_rtcp

PROFILES = {30: Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 28: Policy.SRTP_PROFILE_AEAD_AES_128_GCM}
"""By the bytes of key and salt."""


class Peer:
    """An end that has a key of one of the suites that others know; sound and reports."""

    def __init__(self, key: str) -> None:
        """Takes the key as text."""
        secret = base64.b64decode(key, validate=True)
        self._out, self._in = (
            Session(Policy(key=secret, ssrc_type=kind, srtp_profile=PROFILES[len(secret)]))
            for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
        )

    def seal(self, packet: bytes) -> bytes:
        """What may go over the network."""
        return self._out.protect_rtcp(packet) if is_rtcp(packet) else self._out.protect(packet)

    def open(self, packet: bytes) -> bytes | None:
        """What was sealed; None where it is not authentic."""
        try:
            return self._in.unprotect_rtcp(packet) if is_rtcp(packet) else self._in.unprotect(packet)
        except Error:
            return None
