"""Tables in plain text, the same on a terminal and in a file."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Table:
    """Rows of words under a title."""

    title: str
    columns: list[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in [tuple(self.columns), *self.rows]) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in [tuple(self.columns), tuple("-" * w for w in widths), *self.rows]
        ]
        return "\n".join([f"## {self.title}", "", *(f"    {line.rstrip()}" for line in lines), ""])


def quantiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99 of `values`, nearest rank."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
