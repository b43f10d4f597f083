"""What the pages take of forms in parts (`multipart/form-data`): no files, and no more than of any other body."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class NoFiles(FileUploadHandler):
    """Refuses a body of more than `MAX_BODY_BYTES`, all of which Django would read, and forgets the files in others."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any) -> None:  # noqa: N803 — Django's name
        """Leave what is not too large to Django. Raises `RequestDataTooBig`."""
        if content_length > settings.MAX_BODY_BYTES:
            raise RequestDataTooBig("The form is too large.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep nothing."""

    def file_complete(self, file_size: int) -> None:
        """There is no file."""
