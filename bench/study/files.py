"""A judge that asks through files, which a person or any model answers."""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from core.errors import JudgeFailed, Misconfigured
from evals.judges.answer_format import Unreadable, instructions, read
from evals.judges.protocol import A, Judgement, Question, Usage

PROVIDER = "files"


class NotAnswered(JudgeFailed):
    """The question file exists, but its answer file does not."""


class UnusableAnswer(JudgeFailed):
    """The answer file does not validate."""


@dataclass(slots=True)
class StudyFolder:
    """The folder of a study, with one question file and one answer file per conversation."""

    root: Path
    answers_in: str = "answers"

    def __post_init__(self) -> None:
        self.questions.mkdir(parents=True, exist_ok=True)
        self.answers.mkdir(parents=True, exist_ok=True)

    @property
    def questions(self) -> Path:
        return self.root / "questions"

    @property
    def answers(self) -> Path:
        return self.root / self.answers_in


@dataclass(slots=True)
class FileJudge:
    """Questions about one conversation.

    The first file is `NNN.txt`; the names of further files also contain a digest.
    """

    folder: StudyFolder
    number: int
    model: str = "files/reader"
    input_tokens: int = 100_000
    answer_tokens: int = 16_000
    parameters: str = ""
    _names: dict[str, str] = field(default_factory=dict)

    async def ask(self, question: Question[A]) -> Judgement[A]:
        text = open_question(question)
        name = self._name(text)
        self._write(name, text)
        path = self.folder.answers / f"{name}.json"
        if not path.exists():
            raise NotAnswered(f"{path.name} is not answered yet.", provider=PROVIDER)
        try:
            answer = read(path.read_text(errors="replace"), question.answer)
            if question.check is not None:
                question.check(answer)
        except (Unreadable, ValueError) as problem:
            raise UnusableAnswer(f"{path.name}: {problem}", provider=PROVIDER) from None
        return Judgement(answer, Usage())

    def _name(self, text: str) -> str:
        if text not in self._names:
            digest = sha256(text.encode(errors="replace")).hexdigest()[:6]
            name = f"{self.number:03d}-{digest}" if self._names else f"{self.number:03d}"
            self._names[text] = name
        return self._names[text]

    def _write(self, name: str, text: str) -> None:
        path = self.folder.questions / f"{name}.txt"
        if not path.exists():
            path.write_text(text, errors="replace")
        elif path.read_text(errors="replace") != text.encode(errors="replace").decode():
            raise Misconfigured(
                f"{path} holds another question: the wording, the rendering or the sample has "
                "changed since. Keep its answers and name another folder."
            )


def open_question(question: Question[Any]) -> str:
    """The text that a reader gets."""
    answer = cast(type[BaseModel], question.answer)
    return f"{question.trace}\n{question.text}\n{instructions(answer)}\n"
