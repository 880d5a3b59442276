"""The one error of the grammar: it marks the place in the text and says what is expected there."""

MEAN_INSIDE = (
    "a mean, E[...] or <...> with both brackets, is read in a formula to average or to check"
)
_AROUND = 32  # characters of a long text that are shown on either side of the place


class FormulaError(ValueError):
    """A text that can't be read: ``position`` (from 0) and ``length`` of the place, ``reason``.

    >>> print(FormulaError("x'A bta", 4, 3, "unknown name", what="formula"))
    formula = x'A >>>bta<<<, character 5: unknown name
    """

    def __init__(self, text: str, position: int, length: int, reason: str, what: str = "formula"):
        self.text, self.position, self.length, self.reason = text, position, length, reason
        self.what = what
        end = position + length
        before = text[max(position - _AROUND, 0) : position]
        after = text[end : end + _AROUND]
        before = "..." + before if position > _AROUND else before
        after = after + "..." if len(text) > end + _AROUND else after
        marked = text[position:end]
        if len(marked) > 2 * _AROUND:
            marked = f"{marked[:_AROUND]}...{marked[-_AROUND:]}"
        line = f"{what} = {before}>>>{marked}<<<{after}, character {position + 1}: {reason}"
        super().__init__(" ".join(line.split()))
