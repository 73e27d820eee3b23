"""The base of judges that wrap another judge."""

from evals.judges.protocol import Judge


class DelegatingJudge:
    """Has the model and the limits of the judge that it wraps. Subclasses define `ask`."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @property
    def model(self) -> str:
        return self._judge.model

    @property
    def input_tokens(self) -> int:
        return self._judge.input_tokens

    @property
    def answer_tokens(self) -> int:
        return self._judge.answer_tokens

    @property
    def parameters(self) -> str:
        return self._judge.parameters
