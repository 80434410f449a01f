"""How typer's help looks here: no types behind flags and arguments, usage as it is written.

Not for: what it says; that stands at each command.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

#: The panels of commands, in the order of their appearance.
PANELS = LOADING, BOOKS, PROJECT, EVENTS, DATABASE = (
    "Loading",
    "The books",
    "Projects",
    "Events",
    "The database",
)


class Command(TyperCommand):
    """A command whose usage shows an argument's metavar as it is: `FILE... [TABLE]`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The pieces of the usage line."""
        del ctx
        shown = [p.metavar or "" for p in self.params if isinstance(p, TyperArgument)]
        return [self.options_metavar or "", *shown]


class Group(TyperGroup):
    """A group that shows no `<bool>` behind flags, its own and those of all its commands."""

    def get_params(self, ctx: Any) -> Any:
        """The group's own options."""
        params = super().get_params(ctx)
        _without_types(params)
        return params

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, panel by panel."""
        return sorted(super().list_commands(ctx), key=self._panel)

    def _panel(self, name: str) -> int:
        panel = getattr(self.commands[name], "rich_help_panel", None)
        return PANELS.index(panel) if panel in PANELS else len(PANELS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _tidy(command, ctx)
        return command


def _tidy(command: Any, ctx: Any) -> None:
    _without_types(command.get_params(ctx))
    if isinstance(command, TyperGroup):
        for one in command.commands.values():
            _tidy(one, ctx)


def _without_types(params: Any) -> None:
    for one in params:
        if isinstance(one, TyperOption) and one.is_flag and one.metavar is None:
            one.metavar = ""
        elif isinstance(one, TyperArgument) and one.metavar is not None:
            one.display_type_rich = _no_type  # type: ignore[method-assign]


def _no_type(ctx: Any) -> None:
    del ctx
