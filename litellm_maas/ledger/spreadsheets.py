"""Write records for a spreadsheet: CSV in the way of a language, and workbooks with real dates and numbers."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any

from litellm_maas.errors import MaasError
from litellm_maas.ledger import plain_text

_DECIMAL_COMMA = frozenset(
    ("az", "be", "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "kk", "lt",
     "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "uz", "vi")
)  # fmt: skip
"""Languages that write 0,5: their spreadsheets expect `;` between cells (Unicode CLDR 45, decimal symbols)."""
_ROWS_OF_A_SHEET, _CHARACTERS_OF_A_CELL = 1_048_576, 32_767
"""As many as Excel takes (Microsoft, Excel specifications and limits)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How CSV is written.

    Attributes:
        separator: What stands between cells.
        decimal: What stands before the fraction of a number.
        is_for_people: Whether a spreadsheet reads it: with a mark of UTF-8, without which Excel garbles letters, lines
            that end as on Windows, and no text that would become a number with fewer digits.
    """

    separator: str = ","
    decimal: str = "."
    is_for_people: bool = False


PLAIN = Dialect()
"""For programs."""


def excel(language: str) -> Dialect:
    """Return the CSV that Excel opens by a double click where the language is, for instance, ``vi``."""
    has_comma = language.lower() in _DECIMAL_COMMA
    return Dialect(";", ",", is_for_people=True) if has_comma else Dialect(is_for_people=True)


def write_csv(to: IO[str], dialect: Dialect, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows as CSV, after a header; return how many there were. What is not there is an empty cell."""
    if dialect.is_for_people:
        to.write("\ufeff")
    writer = csv.writer(to, delimiter=dialect.separator, lineterminator="\r\n" if dialect.is_for_people else "\n")
    writer.writerow(header)
    written = 0
    for row in rows:
        writer.writerow([_cell(value, dialect) for value in row])
        written += 1
    return written


def _cell(value: object, dialect: Dialect) -> object:
    if isinstance(value, str):
        return plain_text.cell_of_text(value) if dialect.is_for_people else plain_text.cell(value)
    if isinstance(value, Decimal):
        return f"{value:f}".replace(".", dialect.decimal)
    return value


def write_xlsx(to: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows as a workbook with real dates, times and numbers; return how many there were.

    Raises:
        MaasError: XlsxWriter is not installed.
        OSError: The file cannot be written.
    """
    try:
        import xlsxwriter  # noqa: PLC0415 - most people do without
    except ImportError:
        raise MaasError("xlsx needs XlsxWriter", "pip install xlsxwriter, or write CSV with --csv-for excel") from None
    # Texts stay texts: none becomes a formula, a link or a number.
    as_it_is = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)
    try:
        # Not at once to where it is to be: XlsxWriter leaves a broken archive open where there is no room.
        with tempfile.TemporaryFile() as whole:
            with xlsxwriter.Workbook(whole, {"constant_memory": True, "use_zip64": True, **as_it_is}) as book:
                written = _Workbook(book, header).write(rows)
            whole.seek(0)
            shutil.copyfileobj(whole, to)
    except xlsxwriter.exceptions.FileCreateError as error:
        raise OSError(*error.args[0].args) from None
    return written


class _Workbook:
    """The sheets of a workbook, the next of which begins when one is full."""

    def __init__(self, book: Any, header: Sequence[str]) -> None:
        self._book = book
        self._header = header
        self._bold = book.add_format({"bold": True})
        self._formats = {
            dt.date: book.add_format({"num_format": "yyyy-mm-dd"}),
            dt.time: book.add_format({"num_format": "hh:mm:ss"}),
            Decimal: book.add_format({"num_format": "#,##0.00####"}),
        }

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        sheet, line, written = self._begin(), 1, 0
        for row in rows:
            if line == _ROWS_OF_A_SHEET:
                self._end(sheet, line)
                sheet, line = self._begin(), 1
            for column, value in enumerate(row):
                self._put(sheet, line, column, value)
            line += 1
            written += 1
        self._end(sheet, line)
        return written

    def _begin(self) -> Any:
        sheet = self._book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(self._header):
            # What is written line by line cannot be measured first.
            sheet.set_column(column, column, max(12, len(name) + 2))
            sheet.write_string(0, column, name, self._bold)
        return sheet

    def _end(self, sheet: Any, lines: int) -> None:
        sheet.autofilter(0, 0, lines - 1, len(self._header) - 1)

    def _put(self, sheet: Any, line: int, column: int, value: object) -> None:
        if isinstance(value, str):
            sheet.write_string(line, column, plain_text.seen(value)[:_CHARACTERS_OF_A_CELL])
        elif isinstance(value, dt.time):
            sheet.write_datetime(line, column, value, self._formats[dt.time])
        elif isinstance(value, dt.date):
            sheet.write_datetime(line, column, dt.datetime.combine(value, dt.time()), self._formats[dt.date])
        elif isinstance(value, Decimal):
            sheet.write_number(line, column, float(value), self._formats[Decimal])
        elif value is not None:
            sheet.write_number(line, column, value)
