"""Fills a fresh registry with what the cases ask for: `python -m tests.bench.seed FOLDER IDENTITIES`.

Runs in the environment of the registry; everything is stored through the models, in bulk.
"""

import json
import sys
from pathlib import Path

import django

django.setup()

from django.utils import timezone  # noqa: E402 — after the set-up

from edi_auth import services  # noqa: E402 — after the set-up
from edi_auth.models import ApiKey, Idp, Profile, edi_id_of  # noqa: E402 — after the set-up
from tokens.core.audit import SYSTEM  # noqa: E402 — after the set-up
from tokens.core.models import digest, preview_of  # noqa: E402 — after the set-up

KEYS = 8


def main(folder: Path, identities: int) -> None:
    """Profiles, a pair of tokens for each, and an API key for the first few; written to `folder` as JSON."""
    uids = [f"uid=person{number},o=EDI,dc=edirepository,dc=org" for number in range(identities)]
    profiles = Profile.objects.bulk_create(
        Profile(idp=Idp.LDAP, idp_uid=uid, edi_id=edi_id_of(uid), common_name=f"Person {number}", email="p@example.org")
        for number, uid in enumerate(uids)
    )
    group = services.add_group("Everybody", actor=SYSTEM, members=profiles[:KEYS])
    now = timezone.now()
    pairs = [services.tokens_of(profile.pk, now=now) for profile in profiles]
    bodies = [json.dumps({"pasta-token": pair.pasta, "edi-token": pair.edi}) for pair in pairs]
    (folder / "pairs").write_text("\n".join(bodies))
    secrets = [services.fresh_key() for _ in range(KEYS)]
    ApiKey.objects.bulk_create(
        ApiKey(name=f"key {number}", key_hash=digest(secret), preview=preview_of(secret), owner=profiles[number])
        for number, secret in enumerate(secrets)
    )
    (folder / "api-keys").write_text("\n".join(json.dumps({"key": secret}) for secret in secrets))
    (folder / "api-key").write_text(json.dumps({"key": secrets[0]}))
    assert group.members.count() == KEYS


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
