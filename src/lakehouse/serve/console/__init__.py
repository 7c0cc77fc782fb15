"""The coordinator's console: a demand in, marked and editable, people out, and buttons that remember."""

from lakehouse.serve.console.pages import Pages, pages

__all__ = ["Pages", "pages"]
