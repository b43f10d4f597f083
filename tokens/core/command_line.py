"""What every command has, `serve` too, which loads no models: an example, and an exit code for wrong usage."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

EXAMPLE = "example: "


class Usage(CommandError):
    """An argument that makes no sense: exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class HelpFormatter(DjangoHelpFormatter):
    """Breaks no example into lines that could not be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLE) else super()._fill_text(text, width, indent)


class ExampleCommand(BaseCommand):
    """A command with an `example`, a line for `--help`."""

    example = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with the example below the options."""
        epilog = f"{EXAMPLE}manage.py {self.example}" if self.example else None
        return super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=HelpFormatter, **kwargs)
