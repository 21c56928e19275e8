"""Commands that explain commands."""

from commands.language.registry import Arguments, CommandContext, command, words


@command(
    "help",
    "lists the commands, or explains one",
    format="help(<command>)",
    examples=("help", "help(set)"),
    max_words=1,
)
def show_help(context: CommandContext, arguments: Arguments) -> str:
    if names := words(arguments):
        return context.commands.find(names[0].lower()).help_text(context.proxy.command_prefix)
    return f"available commands: {', '.join(each.name for each in context.commands)}"


@command("hello", "shows the welcome banner")
def greet(context: CommandContext, arguments: Arguments) -> str:
    context.is_banner_due = False
    return context.banner()
