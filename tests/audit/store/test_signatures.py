"""Signed run folders: what is refused, what a signature holds, and that no changed byte passes."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from audit.errors import OutputError, PassphraseNeeded, SignatureError
from audit.store.manifest import MANIFEST, RECORD, SIGNATURE, write_manifest
from audit.store.runs import require_untouched, verify
from audit.store.signatures import Signature, fingerprint, read_signature, sign

WHO = {"name": "Zoë Example", "role": "independent auditor"}
PLAIN = NoEncryption()


def written(
    path: Path, key: Any, form: PrivateFormat = PrivateFormat.PKCS8, lock: KeySerializationEncryption = PLAIN
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, lock))
    return path


def public(path: Path, key: Any, encoding: Encoding = Encoding.PEM) -> Path:
    form = PublicFormat.OpenSSH if encoding is Encoding.OpenSSH else PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(encoding, form))
    return path


@pytest.fixture(scope="module")
def owner() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def key(owner: Ed25519PrivateKey, tmp_path: Path) -> Path:
    return written(tmp_path / "key.pem", owner)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "maps").mkdir(parents=True)
    (folder / RECORD).write_text('{"name": "a"}\n')
    (folder / "report.html").write_text("<p>42</p>\n")
    (folder / "maps" / "a.bin").write_bytes(bytes(range(40)))
    write_manifest(folder)
    return folder


@pytest.fixture
def signed(run: Path, key: Path) -> Path:
    assert sign(run, key, **WHO) == run / SIGNATURE
    return run


def test_a_signature_says_who_when_and_over_what(signed: Path, owner: Ed25519PrivateKey, tmp_path: Path) -> None:
    found = read_signature(signed)
    assert found is not None and (found.algorithm, found.name, found.role) == ("ed25519", *WHO.values())
    assert found.manifest_sha256 == sha256((signed / MANIFEST).read_bytes()).hexdigest()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found.date)) < timedelta(minutes=1)
    der = owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert found.key_fingerprint == sha256(der).hexdigest()
    owner.public_key().verify(base64.b64decode(found.signature), found.signed)
    for encoding in (Encoding.PEM, Encoding.OpenSSH):
        assert verify(signed, public(tmp_path / "public", owner, encoding)) == []
    assert verify(signed) == []


def test_signing_changes_no_file_and_copies_no_key(run: Path, key: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    sign(run, key, **WHO)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after.pop(run / SIGNATURE) and after == before


def test_what_is_signed_is_canonical_json_that_other_tools_can_make(signed: Path, tmp_path: Path) -> None:
    document = json.loads((signed / SIGNATURE).read_text())
    signature = base64.b64decode(document.pop("signature"))
    message = json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(signature)
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(document["public_key"])
    (tmp_path / "public.der").write_bytes(der)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.der", "-keyform", "DER", "-rawin"]
    command += ["-in", "message", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_flipped_bit_of_any_file_passes(signed: Path) -> None:
    rng = np.random.default_rng(11)
    files = sorted(path for path in signed.rglob("*") if path.is_file())
    flips = [(path, i, 1 << int(rng.integers(8))) for path in files for i in rng.integers(0, path.stat().st_size, 80)]
    flips += [(signed / SIGNATURE, i, 32) for i in range((signed / SIGNATURE).stat().st_size)]  # upper and lower case
    assert len(flips) > 400 and {path.name for path in files} >= {MANIFEST, SIGNATURE, RECORD}
    for path, i, bit in flips:
        content = path.read_bytes()
        path.write_bytes(content[:i] + bytes([content[i] ^ bit]) + content[i + 1 :])
        assert verify(signed), f"{path.name}: byte {i} with bit {bit} flipped"
        path.write_bytes(content)
    assert verify(signed) == []


def edited(folder: Path, **changes: str) -> None:
    document = {**json.loads((folder / SIGNATURE).read_text()), **changes}
    (folder / SIGNATURE).write_bytes(Signature(**document).content)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Mallory"}, "does not hold"),
        ({"role": "regulator"}, "does not hold"),
        ({"date": "2020-01-01T00:00:00+00:00"}, "does not hold"),
        ({"date": "2020-01-01"}, "date is not in UTC"),
        ({"date": "yesterday"}, "Invalid isoformat"),
        ({"algorithm": "none"}, "algorithm 'none', not ed25519"),
        ({"manifest_sha256": "0" * 64}, "made for another manifest"),
        ({"key_fingerprint": "0" * 64}, "fingerprint is not that of its public key"),
        ({"public_key": "AAAA"}, "ed25519|32"),
        ({"signature": "AAAA"}, "does not hold"),
        ({"signature": "A"}, "is no signature"),
        ({"signature": ""}, "does not hold"),
        ({"name": "a\x1b[31m"}, "cannot be printed"),
        ({"name": "a\u202eb"}, "cannot be printed"),
        ({"role": " "}, "needs 1 to 200"),
    ],
)
def test_a_changed_field_is_told(signed: Path, changes: dict[str, str], said: str) -> None:
    edited(signed, **changes)
    problems = verify(signed)
    assert said in " ".join(problems) or any(part in " ".join(problems) for part in said.split("|")), problems


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-20],
    "without its last line end": lambda content: content[:-1],
    "with something behind": lambda content: content + b"{}",
    "with a blank behind": lambda content: content + b"\n",
    "with a key twice": lambda content: content.replace(b"{\n", b'{\n  "name": "Mallory",\n', 1),
    "with another field": lambda content: content.replace(b"{\n", b'{\n  "a": "b",\n', 1),
    "a list": lambda content: b"[]",
    "with a number": lambda content: content.replace(b'"ed25519"', b"25519"),
    "nested without end": lambda content: b"[" * 99_000,
    "endless": lambda content: b" " * 200_000 + content,
    "not UTF-8": lambda content: b"\xff" + content,
    "of another encoding": lambda content: content.decode().encode("utf-16"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_file_that_sign_did_not_write_is_told(signed: Path, case: str) -> None:
    path = signed / SIGNATURE
    path.write_bytes(FORGED[case](path.read_bytes()))
    (problem,) = verify(signed)
    assert problem.startswith(f"{path}: is no signature that lrp-audit wrote (") and len(problem.splitlines()) == 1
    with pytest.raises(OutputError, match=r"is no signature that lrp-audit wrote .*\nrestore what differs"):
        require_untouched(signed)


@pytest.mark.parametrize("content", [b"{}", b'{"sha256": {}}', b'{"sha256": {"audit.json": "0"}}'])
def test_a_run_without_its_manifest_is_neither_signed_nor_taken(run: Path, key: Path, content: bytes) -> None:
    (run / MANIFEST).write_bytes(content)
    with pytest.raises(
        SignatureError, match=r"cannot be signed, as it is not what the run wrote:(\n.*)+\nrestore what"
    ):
        sign(run, key, **WHO)
    with pytest.raises(OutputError, match=r"is not a valid manifest|audit\.json: (is not in|was changed)"):
        require_untouched(run, rewritten={RECORD, "report.html", "maps/a.bin"} if content == b"{}" else {"report.html"})
    assert not (run / SIGNATURE).exists()


@pytest.mark.parametrize("name", [RECORD, "maps/a.bin", MANIFEST])
def test_a_file_that_is_gone_is_told(signed: Path, name: str) -> None:
    (signed / name).unlink()
    if name == MANIFEST:
        with pytest.raises(OutputError, match=r"has no manifest\.json"):
            verify(signed)
    else:
        assert verify(signed)[0] == f"{signed / name}: is missing"


def test_a_manifest_that_was_rewritten_with_its_files_is_told(signed: Path) -> None:
    (signed / "report.html").write_text("<p>41</p>\n")
    write_manifest(signed)
    assert verify(signed) == [f"{signed / SIGNATURE}: was made for another manifest.json than this one"]


def test_a_signature_of_another_run_is_told(signed: Path, tmp_path: Path, key: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(signed, other)
    (other / "report.html").write_text("<p>41</p>\n")
    write_manifest(other)
    sign(other, key, **WHO, replace=True)
    assert verify(other) == []
    shutil.copy(signed / SIGNATURE, other / SIGNATURE)
    assert verify(other) == [f"{other / SIGNATURE}: was made for another manifest.json than this one"]


def test_whoever_signs_anew_is_not_the_owner_of_the_key_that_is_asked_for(
    signed: Path, owner: Ed25519PrivateKey, tmp_path: Path
) -> None:
    mallory = Ed25519PrivateKey.generate()
    asked = public(tmp_path / "public.pem", owner)
    sign(signed, written(tmp_path / "mallory.pem", mallory), **WHO, replace=True)
    assert verify(signed) == [], "integrity alone"
    theirs, ours = fingerprint(mallory.public_key()), fingerprint(owner.public_key())
    assert verify(signed, asked) == [
        f"{signed / SIGNATURE}: was made by the key {theirs}, not by {ours}, which {asked} holds"
    ]


def test_a_run_without_signature_fails_for_whoever_asks_for_one(
    run: Path, owner: Ed25519PrivateKey, tmp_path: Path
) -> None:
    assert verify(run) == []
    (problem,) = verify(run, public(tmp_path / "public.pem", owner))
    assert problem.startswith(f"{run}: is not signed")


def test_a_link_in_the_place_of_a_signature_is_told(signed: Path, tmp_path: Path) -> None:
    (signed / SIGNATURE).rename(tmp_path / "elsewhere.json")
    (signed / SIGNATURE).symlink_to(tmp_path / "elsewhere.json")
    assert verify(signed) == [f"{signed / SIGNATURE}: is a symbolic link, which no run writes"]


def test_a_run_that_does_not_verify_is_not_signed(run: Path, key: Path) -> None:
    (run / "report.html").write_text("changed")
    (run / "more.txt").write_text("")
    said = r"(?s)cannot be signed, as it is not what the run wrote:.*more\.txt: is not in.*report\.html: was changed"
    with pytest.raises(SignatureError, match=said):
        sign(run, key, **WHO)
    assert not (run / SIGNATURE).exists()


def test_an_unfinished_run_and_a_folder_that_is_none_are_not_signed(run: Path, key: Path, tmp_path: Path) -> None:
    (run / MANIFEST).unlink()
    with pytest.raises(OutputError, match=r"has no manifest\.json; give the folder of one finished run"):
        sign(run, key, **WHO)
    (tmp_path / "other").mkdir()
    write_manifest(tmp_path / "other")
    with pytest.raises(SignatureError, match=r"other: holds no audit\.json"):
        sign(tmp_path / "other", key, **WHO)


def test_a_signed_run_is_signed_again_only_if_that_is_asked_for(signed: Path, key: Path) -> None:
    with pytest.raises(SignatureError, match=r"is signed already; .* with --replace"):
        sign(signed, key, name="Other", role="officer")
    sign(signed, key, name="Other", role="officer", replace=True)
    found = read_signature(signed)
    assert found is not None and found.name == "Other" and verify(signed) == []


@pytest.mark.parametrize(
    ("name", "role"), [("", "a"), ("a", " "), ("a\nb", "a"), ("a", "\u202e"), ("a" * 201, "a"), ("\ud800", "a")]
)
def test_names_and_roles_that_cannot_be_shown_are_refused(run: Path, key: Path, name: str, role: str) -> None:
    with pytest.raises(SignatureError, match=r"^--(name|role) .*: (needs 1 to 200|holds) characters"):
        sign(run, key, name=name, role=role)


def test_openssh_keys_sign(run: Path, owner: Ed25519PrivateKey, tmp_path: Path) -> None:
    sign(run, written(tmp_path / "id", owner, PrivateFormat.OpenSSH), **WHO)
    assert verify(run, public(tmp_path / "id.pub", owner, Encoding.OpenSSH)) == []


def test_an_encrypted_key_needs_its_passphrase(run: Path, owner: Ed25519PrivateKey, tmp_path: Path, key: Path) -> None:
    locked = written(tmp_path / "locked.pem", owner, lock=BestAvailableEncryption("pässword".encode()))
    with pytest.raises(PassphraseNeeded, match=r"locked\.pem: is encrypted; give its passphrase"):
        sign(run, locked, **WHO)
    with pytest.raises(SignatureError, match="has another passphrase"):
        sign(run, locked, **WHO, passphrase="wrong")
    with pytest.raises(SignatureError, match="is not encrypted; give no passphrase"):
        sign(run, key, **WHO, passphrase="wrong")
    sign(run, locked, **WHO, passphrase="pässword")
    assert verify(run) == []


def test_an_encrypted_openssh_key_asks_for_its_passphrase_or_for_what_opens_it(run: Path, tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "id")]
    subprocess.run(command, check=True)
    with pytest.raises(SignatureError, match=r"id: (is encrypted; give its passphrase|cannot be opened .*bcrypt)"):
        sign(run, tmp_path / "id", **WHO)


def test_keys_of_other_kinds_and_no_keys_are_refused(run: Path, owner: Ed25519PrivateKey, tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    with pytest.raises(
        SignatureError, match="is a key of another kind, RSAPrivateKey, not ed25519; make one with: openssl"
    ):
        sign(run, written(tmp_path / "rsa.pem", other), **WHO)
    with pytest.raises(SignatureError, match="is no private key in PEM"):
        sign(run, public(tmp_path / "public.pem", owner), **WHO)
    with pytest.raises(SignatureError, match="is no private key in PEM"):
        sign(run, run / RECORD, **WHO)
    with pytest.raises(SignatureError, match=r"none\.pem: cannot be read \(No such file"):
        sign(run, tmp_path / "none.pem", **WHO)
    (tmp_path / "large").write_bytes(b"-" * 200_000)
    with pytest.raises(SignatureError, match="is no private key in PEM"):
        sign(run, tmp_path / "large", **WHO)
    assert not (run / SIGNATURE).exists()


def test_public_keys_of_other_kinds_and_no_keys_are_refused(
    signed: Path, owner: Ed25519PrivateKey, tmp_path: Path
) -> None:
    other = rsa.generate_private_key(65537, 2048)
    with pytest.raises(SignatureError, match="is a key of another kind, RSAPublicKey, not ed25519"):
        verify(signed, public(tmp_path / "rsa.pem", other))
    for given in (written(tmp_path / "private.pem", owner), signed / RECORD):
        with pytest.raises(SignatureError, match=r"is no public key in PEM or OpenSSH format; .* -pubout"):
            verify(signed, given)
    with pytest.raises(SignatureError, match=r"none\.pem: cannot be read"):
        verify(signed, tmp_path / "none.pem")
