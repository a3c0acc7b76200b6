"""Who stands by a run: an ed25519 signature over its manifest, which speaks for every file; by any key, without a registry.

`signature.json` is checked byte by byte against what `sign` would have written, so that no change to it goes unseen.
"""

import base64
import binascii
import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from audit.errors import PassphraseNeeded, SignatureError
from audit.files import file_sha256, write_atomically
from audit.store.manifest import MANIFEST, RECORD, SIGNATURE, altered, refusal

ALGORITHM: Final = "ed25519"
LONGEST: Final = 200  # characters of a name or role
MOST_BYTES: Final = 100_000  # of a key or signature file
MAKE: Final = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"


@final
@dataclass(frozen=True, slots=True)
class Signature:
    """What `signature.json` holds: `public_key` and `signature` in base64, hashes in hex; the signature covers all other fields.

    `key_fingerprint` is that of `fingerprint`. `date` is what the clock of whoever signed said.
    """

    algorithm: str
    public_key: str
    key_fingerprint: str
    manifest_sha256: str
    name: str
    role: str
    date: str
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What the signature is over: canonical JSON (sorted, no blanks, ASCII) of the other fields."""
        others = {key: value for key, value in asdict(self).items() if key != "signature"}
        return json.dumps(others, sort_keys=True, separators=(",", ":")).encode()

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return f"{json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


def sign(
    run_dir: str | Path, key_path: str | Path, *, name: str, role: str, passphrase: str | None = None, replace: bool = False
) -> Path:  # fmt: skip
    """Write `signature.json` into an unaltered run folder; the key is an ed25519 private key in PEM (PKCS 8) or OpenSSH format.

    Raises `SignatureError` with the cure, of which `PassphraseNeeded` is one, and `OutputError` for a folder that holds no finished run.
    """
    run = Path(run_dir)
    for what, text in (("name", name), ("role", role)):
        if problem := _unfit(text):
            raise SignatureError(f"--{what} {text!r:.80}: {problem}")
    if problems := altered(run):
        raise SignatureError(f"{run}: cannot be signed, as it is not what the run wrote:\n{refusal(problems)}")
    if not (run / RECORD).is_file():
        raise SignatureError(f"{run}: holds no {RECORD}; give the folder of one finished run")
    if (run / SIGNATURE).exists() and not replace:
        raise SignatureError(
            f"{run / SIGNATURE}: the run is signed already; put another signature in its place with --replace"
        )
    key = _private_key(Path(key_path), None if passphrase is None else passphrase.encode(errors="surrogateescape"))
    signature = _made(key, file_sha256(run / MANIFEST), name, role)
    write_atomically(run / SIGNATURE, signature.content, cure="signing writes into the run folder, which must allow it")
    return run / SIGNATURE


def read_signature(run_dir: str | Path) -> Signature | None:
    """What a run folder is signed with, None for an unsigned one; `SignatureError` for a file that `sign` did not write."""
    path = Path(run_dir) / SIGNATURE
    if not path.is_file():
        return None
    try:
        return _parsed(_content(path))
    except (ValueError, RecursionError) as error:
        raise SignatureError(f"{path}: is no signature that lrp-audit wrote ({error})") from None


def signature_problems(run_dir: str | Path, key: str | Path | None = None) -> list[str]:
    """What is wrong with the signature of a run; with `key`, a public one, also if it is missing or of another key.

    An unsigned run has no problem without a `key`. Raises `SignatureError` for a file that is no such key.
    """
    path, asked = Path(run_dir) / SIGNATURE, None if key is None else fingerprint(_public_key(Path(key)))
    try:
        found = read_signature(run_dir)
    except SignatureError as error:
        return [str(error)]
    if found is None:
        return [f"{Path(run_dir)}: is not signed, so nothing shows that it is by the key {asked}"] if asked else []
    problems = []
    if found.manifest_sha256 != file_sha256(path.with_name(MANIFEST)):
        problems.append(f"{path}: was made for another {MANIFEST} than this one")
    if not _holds(found):
        problems.append(f"{path}: does not hold: a field was changed, or it was made by another key than it names")
    if asked not in (None, found.key_fingerprint):
        problems.append(f"{path}: was made by the key {found.key_fingerprint}, not by {asked}, which {key} holds")
    return problems


def fingerprint(key: Ed25519PublicKey) -> str:
    """Hex sha256 of the key's DER form: `openssl pkey -pubin -in public.pem -outform DER | openssl sha256`."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _made(key: Ed25519PrivateKey, manifest_sha256: str, name: str, role: str) -> Signature:
    public = key.public_key()
    unsigned = Signature(
        algorithm=ALGORITHM,
        public_key=base64.b64encode(public.public_bytes_raw()).decode(),
        key_fingerprint=fingerprint(public),
        manifest_sha256=manifest_sha256,
        name=name,
        role=role,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return replace(unsigned, signature=base64.b64encode(key.sign(unsigned.signed)).decode())


def _parsed(content: bytes) -> Signature:
    """ValueError says what does not fit; the fingerprint is computed, not believed."""
    document: Any = json.loads(content)
    names = [field.name for field in fields(Signature)]
    if not isinstance(document, dict) or document.keys() != set(names):
        raise ValueError(f"its fields are {', '.join(names)}")
    if not all(isinstance(value, str) for value in document.values()):
        raise ValueError("every field is text")
    found = Signature(**document)
    if found.content != content:
        raise ValueError("its bytes are others than those that lrp-audit sign writes")
    for what, text in (("name", found.name), ("role", found.role)):
        if problem := _unfit(text):
            raise ValueError(f"{what} {problem}")
    if found.algorithm != ALGORITHM:
        raise ValueError(f"algorithm {found.algorithm!r:.40}, not {ALGORITHM}")
    date = datetime.fromisoformat(found.date)
    if date.utcoffset() != timedelta(0) or date.isoformat(timespec="seconds") != found.date:
        raise ValueError("its date is not in UTC to the second")
    if found.key_fingerprint != fingerprint(Ed25519PublicKey.from_public_bytes(_decoded(found.public_key))):
        raise ValueError("its fingerprint is not that of its public key")
    _decoded(found.signature)
    return found


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if base64.b64encode(content).decode() != text:  # unused bits of the last character
        raise ValueError("base64 in another spelling")
    return content


def _holds(found: Signature) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_decoded(found.public_key)).verify(_decoded(found.signature), found.signed)
    except InvalidSignature:
        return False
    return True


def _unfit(text: str) -> str:
    """Why a name or role cannot be shown as it is; empty for one that can."""
    if not text.strip() or len(text) > LONGEST:
        return f"needs 1 to {LONGEST} characters"
    return "" if text.isprintable() else "holds characters that cannot be printed, such as line ends; write plain text"


def _content(path: Path) -> bytes:
    """ValueError for a file that is too large to be a key or a signature."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return content


def _private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    try:
        content = _content(path)
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in content else load_pem_private_key
        key = load(content, passphrase)
    except TypeError:
        if passphrase is None:
            raise PassphraseNeeded(f"{path}: is encrypted; give its passphrase") from None
        raise SignatureError(f"{path}: is not encrypted; give no passphrase") from None
    except UnsupportedAlgorithm as error:
        raise SignatureError(f"{path}: cannot be opened ({error}); for OpenSSH keys: pip install bcrypt") from None
    except ValueError:
        if passphrase is None:
            raise SignatureError(f"{path}: is no private key in PEM (PKCS 8) or OpenSSH format; {MAKE}") from None
        raise SignatureError(f"{path}: has another passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: is a key of another kind, {type(key).__name__}, not {ALGORITHM}; {MAKE}")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        content = _content(path)
        key = (load_ssh_public_key if content.startswith(b"ssh-") else load_pem_public_key)(content)
    except (ValueError, UnsupportedAlgorithm):
        cure = f"openssl pkey -in key.pem -pubout -out {path.with_name('public.pem').name}"
        raise SignatureError(
            f"{path}: is no public key in PEM or OpenSSH format; write that of a private key with: {cure}"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: is a key of another kind, {type(key).__name__}, not {ALGORITHM}")
    return key
