"""Which export lets an account import something (nats-server: an export for nobody in particular is for everybody)."""

from edge.core.account_spec import AccountSpec, Export, Import
from edge.subjects import subset


def find_export(exporter: AccountSpec, importer: str, imported: Import) -> Export | None:
    """The export that this import goes by, or None where there is none for it.

    One with exactly the subject decides; otherwise the first that covers it.
    """
    candidates = [export for export in exporter.exports if export.service == imported.service]
    exact = [export for export in candidates if export.subject == imported.subject]
    for export in exact or [export for export in candidates if subset(imported.subject, export.subject)]:
        return export if permits(export, importer, imported.subject) else None
    return None


def permits(export: Export, importer: str, subject: str) -> bool:
    if export.account_position:
        tokens = subject.split(".")
        return export.account_position <= len(tokens) and tokens[export.account_position - 1] == importer
    return export.accounts is None or importer in export.accounts
