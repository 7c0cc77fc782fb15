from lakehouse.cli.command import main

__all__ = ["main"]
