"""SpamAssassin's public corpus: e-mails, wanted or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets import files
from nnfast.errors import DataError

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

Split = tuple[list[str], NDArray[np.int32]]

FILE = files.DataFile(
    "The SpamAssassin corpus", ("spam_assassin.zip",), "spam_assassin", "spamassassin.apache.org/old/publiccorpus"
)
TEST_PART = 5  # one text of so many, by its hash, is for testing
_MARKUP = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def load_spam() -> tuple[Split, Split]:
    """About 6,000 e-mails, a third of them spam: subject and body as text, duplicates removed, a fifth held out.

    The other headers are left out, since dates and the names of mail servers tell the two kinds apart without being read. A
    text belongs to the test set if the SHA-256 of its UTF-8, as a number, is a multiple of 5: it stays there in every version.
    Looked for as `spam_assassin.zip` in the folder that NNFAST_DATA names, then in the cache.

    Returns:
        ((x_train, y_train), (x_test, y_test)): x a list of str, y int32, 1 for spam.

    Raises:
        DataError: the file is damaged or is not there.

    Source: the Apache SpamAssassin project; public domain.

    >>> (x_train, y_train), (x_test, y_test) = load_spam()  # doctest: +SKIP
    """
    import hashlib

    train: dict[str, int] = {}
    test: dict[str, int] = {}
    for text, spam in files.read(files.find(FILE), _texts):
        part = test if int.from_bytes(hashlib.sha256(text.encode()).digest()) % TEST_PART == 0 else train
        part.setdefault(text, spam)
    splits = [(list(part), np.array(list(part.values()), np.int32)) for part in (train, test)]
    return splits[0], splits[1]


def _texts(path: Path) -> list[tuple[str, int]]:
    import email
    import zipfile

    texts = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            kind = re.match(r"(?:.*/)?[a-z]*-?(ham|spam)-\d/[^/]+$", name)
            if kind is not None:
                text = _text(email.message_from_bytes(archive.read(name)))
                texts.append((text, int(kind.group(1) == "spam")))
    if not texts:
        raise DataError(f"{path}: no folders easy-ham-1, spam-1 and so on in it; replace the file")
    return texts


def _text(message: Message) -> str:
    """The subject, and what a reader sees of the body, as one line."""
    parts = [str(message.get("Subject", ""))]
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        content = _decoded(payload, part.get_content_charset() or "utf-8")
        parts.append(_MARKUP.sub(" ", content) if part.get_content_subtype() == "html" else content)
    return _SPACE.sub(" ", " ".join(parts)).strip()


def _decoded(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return payload.decode("latin-1")
