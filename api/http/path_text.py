"""A path parameter for any text, including line breaks, because clients choose session ids.

Starlette's `path` stops at a line break, so such an id would not match any route.
"""

from starlette.convertors import Convertor, register_url_convertor


class TextConvertor(Convertor[str]):
    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", TextConvertor())
