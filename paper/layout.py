"""A table of texts, as Markdown and as LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass

SPECIAL = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "θ′": r"$\theta'$", "θ": r"$\theta$"}
SPECIAL |= {"↓": r"$\downarrow$", "→": r"$\to$", "†": r"$^\dagger$", "“": "``", "”": "''"}
SPECIAL |= {
    "γ": r"$\gamma$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "±": r"$\pm$",
    "−": "$-$",
    "…": r"\dots{}",
    "÷": r"$\div$",
    "×": r"$\times$",
}


@dataclass(frozen=True)
class Table:
    """A caption, column heads, and rows whose cells are bold where they start and end with ``**``."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> str:
        """Return the table with its caption above."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        return f"{self.caption}\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"

    def to_latex(self) -> str:
        """Return a ``table`` environment (needs booktabs)."""
        body = [" & ".join(map(_as_latex, cells)) + r" \\" for cells in (self.heads, *self.rows)]
        columns = "l" + "r" * (len(self.heads) - 1)
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_as_latex(self.caption)}}}",
                rf"\begin{{tabular}}{{{columns}}}",
                r"\toprule",
                body[0],
                r"\midrule",
                *body[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def _as_latex(text: str) -> str:
    bold = text.startswith("**") and text.endswith("**")
    for plain, escaped in SPECIAL.items():
        text = text.replace(plain, escaped)
    if not text.isascii():
        raise ValueError(f"no LaTeX is known for {[sign for sign in text if not sign.isascii()]} in {text!r}")
    return rf"\textbf{{{text[2:-2]}}}" if bold else text
