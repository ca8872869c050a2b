"""A passkey in software: what a browser and its device do, for tests."""

import base64
import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

ORIGIN = "http://localhost:8000"
_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Passkey:
    def __init__(self, site: str = "localhost") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)
        self.site = hashlib.sha256(site.encode()).digest()
        self.user = ""
        self.uses = 0

    def register(self, options: dict[str, Any], origin: str = ORIGIN) -> str:
        """As navigator.credentials.create() answers."""
        public = options["publicKey"]
        self.user = public["user"]["id"]
        client = self._client("webauthn.create", public["challenge"], origin)
        cose = ES256.from_cryptography_key(self.key.public_key())
        attested = AttestedCredentialData.create(b"\0" * 16, self.id, cose)
        flags = _PRESENT | _VERIFIED | _ATTESTED
        data = AuthenticatorData.create(self.site, flags, 0, bytes(attested))
        attestation = AttestationObject.create("none", data, {})
        response = {
            "clientDataJSON": encoded(client),
            "attestationObject": encoded(bytes(attestation)),
        }
        return self._answer(response, {"credProps": {"rk": True}})

    def sign(self, options: dict[str, Any], origin: str = ORIGIN, *, verified: bool = True) -> str:
        """As navigator.credentials.get() answers."""
        self.uses += 1
        client = self._client("webauthn.get", options["publicKey"]["challenge"], origin)
        flags = _PRESENT | (_VERIFIED if verified else 0)
        data = bytes(AuthenticatorData.create(self.site, flags, self.uses))
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": encoded(client),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": self.user,
        }
        return self._answer(response, {})

    def _client(self, kind: str, challenge: str, origin: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin}).encode()

    def _answer(self, response: dict[str, str], extensions: dict[str, Any]) -> str:
        return json.dumps(
            {
                "type": "public-key",
                "id": encoded(self.id),
                "rawId": encoded(self.id),
                "response": response,
                "clientExtensionResults": extensions,
            }
        )
