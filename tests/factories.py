"""Rows for tests. The secrets behind them are known: `secret_of` a key, `value_of` a token."""

from datetime import timedelta

import factory
from django.utils import timezone

from edi_auth.models import ApiKey, Group, Idp, Profile, edi_id_of, random_edi_id
from podcast_perf import services as podcast_services
from podcast_perf.models import PerformanceToken, Publisher
from tokens import services as token_services
from tokens.core.models import digest
from tokens.models import NamedToken


class NamedTokenFactory(factory.django.DjangoModelFactory):
    """A usable write token."""

    class Meta:
        model = NamedToken

    name = factory.Sequence(lambda n: f"token-{n}")
    created_at = factory.LazyFunction(timezone.now)
    updated_at = factory.SelfAttribute("created_at")


class PublisherFactory(factory.django.DjangoModelFactory):
    """A usable publisher."""

    class Meta:
        model = Publisher

    name = factory.Sequence(lambda n: f"publisher-{n}")
    key_hash = factory.LazyAttribute(lambda row: digest(f"secret-of-{row.name}"))
    preview = "secre"


class PerformanceTokenFactory(factory.django.DjangoModelFactory):
    """A usable admin token."""

    class Meta:
        model = PerformanceToken

    serial = factory.Sequence(lambda n: f"lwus8z6p-{n:016x}")
    duration = "1"
    created_at = factory.LazyFunction(timezone.now)
    expires_at = factory.LazyAttribute(lambda row: row.created_at + timedelta(hours=1))


class ProfileFactory(factory.django.DjangoModelFactory):
    """The profile of an LDAP identity."""

    class Meta:
        model = Profile

    idp = Idp.LDAP
    idp_uid = factory.Sequence(lambda n: f"uid=person{n},o=EDI,dc=edirepository,dc=org")
    edi_id = factory.LazyAttribute(lambda row: edi_id_of(row.idp_uid))
    common_name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person{n}@example.org")


class GroupFactory(factory.django.DjangoModelFactory):
    """A group without members."""

    class Meta:
        model = Group

    name = factory.Sequence(lambda n: f"Group {n}")
    edi_id = factory.LazyFunction(random_edi_id)


class ApiKeyFactory(factory.django.DjangoModelFactory):
    """A usable key of a new profile."""

    class Meta:
        model = ApiKey

    name = factory.Sequence(lambda n: f"key-{n}")
    key_hash = factory.LazyAttribute(lambda row: digest(f"secret-of-{row.name}"))
    preview = "secre"
    owner = factory.SubFactory(ProfileFactory)


def secret_of(row: Publisher | ApiKey) -> str:
    """The key of a publisher, or the secret of an API key, that a factory made."""
    return f"secret-of-{row.name}"


def value_of(token: NamedToken | PerformanceToken) -> str:
    """The signed text of a token."""
    services = token_services if isinstance(token, NamedToken) else podcast_services
    return services.ring().sign(token.claims())
