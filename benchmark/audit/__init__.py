"""Audit: is a data set, a split, or a study leaking?

A module of checks has a tuple CHECKS; `run_audit` runs all that the evidence allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.audit import copies, labels, numbers, sentences, speakers
from benchmark.audit.evidence import Check, Evidence, Finding
from benchmark.engine.registry import Registry

__all__ = ["CHECKS", "Audit", "run_audit"]

CHECKS: Registry[Check] = Registry(
    "check",
    "audit_checks",
    Check,
    (check for family in (copies, speakers, sentences, labels, numbers) for check in family.CHECKS),
)
"""All checks, by name, in the order of the page."""

SEVERITIES = ("leak", "doubt", "note")
"""The worst first."""


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    evidence : Evidence
    findings : tuple of Finding
        The worst first.
    passed : tuple of Check
        Checks that found nothing.
    skipped : tuple of (Check, str)
        Checks that were not possible, and what they lack.
    """

    evidence: Evidence
    findings: tuple[Finding, ...]
    passed: tuple[Check, ...]
    skipped: tuple[tuple[Check, str], ...]

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make the name of a protocol untrue."""
        return tuple(finding for finding in self.findings if finding.severity == "leak")


def run_audit(evidence: Evidence) -> Audit:
    """Return what all possible checks find."""
    findings: list[Finding] = []
    passed, skipped = [], []
    for check in CHECKS.values():
        if lack := check.needs(evidence):
            skipped.append((check, lack))
            continue
        found = list(check.find(evidence))
        findings += found
        if not found:
            passed.append(check)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable
    return Audit(evidence, tuple(findings), tuple(passed), tuple(skipped))
