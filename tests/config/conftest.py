"""The API description, made once."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The API description as the server gives it."""
    generator = SchemaGenerator(api_version=spectacular_settings.VERSION)
    made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made
