"""`manage.py doctor`."""

import sys
from dataclasses import asdict
from typing import Any

from tokens.core.commands import RegistryCommand
from tokens.core.operations import doctor


class Command(RegistryCommand):
    """Say what is wrong with this installation and how to mend it."""

    help = "Look at settings, keys, database, clock, proxy and mail; say in words what is wrong and how to mend it."
    example = "doctor"
    requires_system_checks = ()  # it shows what they say, and how to go on

    def run(self, options: dict[str, Any]) -> None:
        """Examine, and exit 1 when something is broken."""
        findings = doctor.examine()
        if self.is_json:
            self.report_rows(("subject", "verdict", "words", "remedy"), map(asdict, findings))
        else:
            for finding in findings:
                self.stdout.write(f"{finding.verdict:<10} {finding.subject}: {finding.words}")
                if finding.remedy:
                    self.stdout.write(f"{'':<10} → {finding.remedy}")
        if any(finding.verdict == "broken" for finding in findings):
            sys.exit(1)
