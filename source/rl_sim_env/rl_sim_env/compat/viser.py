"""What viser keeps to itself and is imported here."""

from viser._messages import (
    # Has browsers run a script; viser itself sends plotly so.
    RunJavascriptMessage,
)

__all__ = ["RunJavascriptMessage"]
