"""The tokens of a database as a table."""

from collections.abc import Sequence

from cvfp_opt.report.aligned import aligned_lines, fitting, selected
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.words import moment
from cvfp_opt.store.record.tokens import Token

# column -> importance where there is no room for all
_COLUMNS = {"token": 9, "scopes": 8, "studies": 7, "created": 4, "expires": 6, "last used": 5}


def token_rows(tokens: Sequence[Token]) -> Rows:
    """Make the table of tokens, first made first."""
    rows = tuple(
        (
            token.name,
            ", ".join(scope.value for scope in token.scopes) or "none",
            f"{token.studies}..." if token.studies else "all",
            moment(token.created),
            "never" if token.expires is None else moment(token.expires),
            "never" if token.used is None else moment(token.used),
        )
        for token in tokens
    )
    return Rows(columns=tuple(_COLUMNS), rows=rows)


def token_lines(tokens: Sequence[Token], width: int) -> list[str]:
    """Write the tokens for people, a line each; columns that have no room are left out."""
    rows = token_rows(tokens)
    chosen = fitting(rows, width, [_COLUMNS[column] for column in rows.columns])
    return aligned_lines(selected(rows, chosen))
