"""The first-run steps of this app: the two key files, and for a demo a profile with an API key."""

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.db.models import Count, Max, Min, Value
from django.db.models.functions import Concat, Mod, Substr
from django.utils import timezone

from edi_auth import revocations, services
from edi_auth.models import ApiKey, Group, Idp, Profile, edi_id_of
from tokens.core import demo, rotation, setup
from tokens.core.audit import SYSTEM
from tokens.core.demo import Progress, RandomHex, renumbered, used_life
from tokens.core.models import digest
from tokens.core.setup import Made, Run

# Demo profiles of one batch.
PROFILES = 5_000
DEMO_UID = "uid=demo,o=EDI,dc=edirepository,dc=org"


def make_files() -> list[Path]:
    """Make the P-256 key of EDI tokens and the RSA key of PASTA tokens where they are missing; return the new paths."""
    made = []
    edi, pasta = settings.EDI_JWT_PRIVATE_KEY_PATH, settings.PASTA_PRIVATE_KEY_PATH
    if not edi.exists():
        made.append(new_edi_key(edi))
    if not pasta.exists():
        made.append(new_pasta_key(pasta))
    return made


def write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    """Write `key` as PEM (PKCS #8) to the new file `path`, readable by its owner alone: by that of its folder.

    The file appears whole or not at all. Raises `FileExistsError` when it is there already.
    """
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of a run that was killed and had the same process id
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    rotation.give_to_owner_of(path.parent, descriptor)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    return path


def make_demo_data(count: int, progress: Progress) -> None:
    """A profile for every ten API keys, some groups, and the keys."""
    now, known, fresh = timezone.now(), demo.last(Profile), count // 10 + 10
    for begin in range(known, known + fresh, PROFILES):
        # Without audit events, which would ask each profile for its links.
        end = min(begin + PROFILES, known + fresh)
        Profile.objects.bulk_create(_demo_profile(number, now=now) for number in range(begin, end))
        progress("profiles", end - known, fresh)
    for name in ("Curators", "Long-term ecology", "Data managers"):
        if not Group.objects.filter(name=name).exists():
            services.add_group(name, actor=SYSTEM, members=Profile.objects.all()[:5])
    profiles = Profile.objects.aggregate(first=Min("pk"), last=Max("pk"), count=Count("pk"))
    ids = list(Profile.objects.order_by("pk").values_list("pk", flat=True)[:PROFILES])
    is_gapless = profiles["last"] - profiles["first"] + 1 == profiles["count"]
    words = ("laptop", "workstation", "pipeline", "notebook", "cluster")
    demo.store(
        count,
        lambda number, place: ApiKey(
            name=f"{words[number % 5]}-{number}",
            key_hash=digest(secrets.token_hex(20)),
            preview=secrets.token_urlsafe(4)[:5],
            owner_id=ids[number % len(ids)],
            **used_life(number, place, now=now),
        ),
        services.Action.MINT_KEY,
        fresh=lambda number: {
            "name": renumbered("name", number),
            "key_hash": RandomHex(),
            "preview": Substr(RandomHex(), 1, 5),
            **({"owner": Mod(number, profiles["count"]) + profiles["first"]} if is_gapless else {}),
        },
        label=Concat("name", Value(" ("), "preview", Value("…)")),
        progress=progress,
    )


def _demo_profile(number: int, *, now: datetime) -> Profile:
    first = ("Ada", "Ben", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hana", "Ivan", "Juana")
    last = ("Moss", "Rivers", "Okafor", "Tanaka", "Lindqvist", "Haddad", "Novak", "Silva")
    uid = f"uid=demo{number},o=EDI,dc=edirepository,dc=org"
    return Profile(
        idp=Idp.LDAP,
        idp_uid=uid,
        edi_id=edi_id_of(uid),
        common_name=f"{first[number % 10]} {last[number % 8]} {number}",
        email=f"{first[number % 10].lower()}{number}@example.org".replace("é", "e"),
        locked_at=now if number % 200 == 199 else None,
    )


def make_rows(run: Run) -> list[Made]:
    """For a demo: a profile with an API key, where there is no profile yet."""
    if not run.is_demo or Profile.objects.exists():
        return []
    profile = services.add_profile(
        idp=Idp.LDAP, idp_uid=DEMO_UID, common_name="Demo", email="demo@example.org", actor=SYSTEM
    )
    secret = services.mint_key("demo", owner=profile, actor=SYSTEM).secret
    example = f'curl {run.base_url}/auth/v1/key -d \'{{"key": "{secret}"}}\''
    return [Made(f"API key of the demo profile {profile.edi_id}", secret, example)]


def new_edi_key(path: Path) -> Path:
    """Write a fresh P-256 key to `path`."""
    return write_key(path, ec.generate_private_key(ec.SECP256R1()))


def new_pasta_key(path: Path) -> Path:
    """Write a fresh RSA key to `path`."""
    return write_key(path, rsa.generate_private_key(65537, 2048))


def lifetime() -> timedelta:
    """How long EDI and PASTA tokens last, those of before the setting was changed included."""
    return timedelta(hours=max(settings.EDI_TOKEN_HOURS, revocations.stored_hours(now=timezone.now())))


rotation.register(rotation.FileSigner("edi", lambda: settings.EDI_JWT_PRIVATE_KEY_PATH, new_edi_key, lifetime))
rotation.register(rotation.FileSigner("pasta", lambda: settings.PASTA_PRIVATE_KEY_PATH, new_pasta_key, lifetime))
setup.register(setup.Setup(make_files=make_files, make_rows=make_rows, make_demo_data=make_demo_data))
