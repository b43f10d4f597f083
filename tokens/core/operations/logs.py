"""What the log looks like: one JSON object a line, or readable text on a terminal. Everything goes to standard error.

The line of a request goes through structlog's own logger, which writes bytes (12 µs a line). What Django, gunicorn and
our modules say through `logging` is rare and goes through structlog's formatter into the same shape.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

from tokens.core.errors import OUTAGES

STDERR = 2

# What writes the line of a request: bound once, when the log is configured, and not again for each line.
requests: Any = structlog.get_logger()


class Sink:
    """A file as structlog's loggers want one. A full disk or a closed pipe costs lines, never a request."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write_bytes = write

    def write(self, line: bytes | str) -> None:
        """Write one whole line at once, so that processes do not tear each other's lines."""
        with suppress(OSError):
            self._write_bytes(line.encode() if isinstance(line, str) else line)

    def flush(self) -> None:
        """Nothing is kept back."""


def stderr(line: bytes) -> None:
    """Write to standard error as it is when the line is written."""
    os.write(STDERR, line)


def configure(log_format: str, *, write: Callable[[bytes], Any] = stderr) -> None:
    """Have structlog's loggers write lines of `log_format` (`json`, `text`) through `write`."""
    global requests  # noqa: PLW0603 — one for each process
    sink: Any = Sink(write)
    is_json = log_format == "json"
    structlog.configure(
        processors=[_stamp, structlog.processors.add_log_level, *_rendering(log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sink) if is_json else structlog.WriteLoggerFactory(sink),
        cache_logger_on_first_use=False,
    )
    requests = structlog.get_logger().bind()


def formatter(log_format: str) -> logging.Formatter:
    """The formatter of what comes through `logging`, for the setting `LOGGING`."""
    shared: list[Processor] = [
        _stamp,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=("request_id",)),
    ]
    traceback: list[Processor] = [structlog.processors.format_exc_info] if log_format == "json" else []
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *traceback,
            *_rendering(log_format),
            _as_text,
        ],
    )


class IsFault(logging.Filter):
    """Lets through what `django.request` says of exceptions that nobody foresaw.

    The rest restates the status of a response, which the line of the request tells already, or is an outage.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` brings the traceback of a fault of the program."""
        _, error, _ = record.exc_info or (None, None, None)
        return error is not None and not isinstance(error, OUTAGES)


class Tracebackless(logging.Filter):
    """Lets everything through in a line: where a client alone is at fault the stack tells nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True."""
        record.exc_info = None
        return True


def _stamp(logger: Any, name: str, event: EventDict) -> EventDict:
    return {"at": datetime.now(UTC), **event}


def _as_text(logger: Any, name: str, line: Any) -> str:
    return line.decode() if isinstance(line, bytes) else str(line)


def _rendering(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(serializer=_dumps)]
    console = structlog.dev.ConsoleRenderer(
        colors=os.isatty(STDERR),
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
    return [_short_time, _printable, console]


def _short_time(logger: Any, name: str, event: EventDict) -> EventDict:
    event["at"] = f"{event['at']:%H:%M:%S}"
    return event


def _printable(logger: Any, name: str, event: EventDict) -> EventDict:
    """Whatever a terminal would obey, escaped: a client can choose a path, and a request that makes no sense."""
    texts = {name: value for name, value in event.items() if isinstance(value, str) and not value.isprintable()}
    return {**event, **{name: repr(text)[1:-1] for name, text in texts.items()}}


def _dumps(event: EventDict, default: Any = None) -> bytes:
    return orjson.dumps(event, default=default, option=orjson.OPT_UTC_Z)
