"""What a shell completes after `jssl`, written as one script for bash and for zsh.

eval "$(jssl completion bash)"      in ~/.bashrc
eval "$(jssl completion zsh)"       in ~/.zshrc
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields

from jssl import weights
from jssl.data.catalog import FORMS
from jssl.data.views import NAMED
from jssl.run.settings.options import Options
from jssl.run.settings.systems import experiments, named

SHELLS = ("bash", "zsh")
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
SCRIPT = """_jssl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"
  elif [ "$before" = --data ]; then words="{data}"
  elif [ "$before" = --start ] || [ "$before" = --teacher ]; then words="{weights}"
  else case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}
  esac; fi
  if [ "$COMP_CWORD" -eq 2 ]; then case "${{COMP_WORDS[1]}}" in
    train|list) words="{systems}" ;;
    embed|evaluate) words="{weights}" ;;
    gallery) words="{views}" ;;
    completion) words="{shells}" ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _jssl jssl
"""


def script(shell: str, commands: Iterable[str]) -> str:
    """Writes the script: commands, systems, their flags, data and weights by name; files for all else.

    Args:
        shell: "bash" or "zsh".
        commands: Names of the subcommands.
    Returns:
        The text to evaluate.
    Raises:
        ValueError: for another shell.
    """
    if shell not in SHELLS:
        raise ValueError(f"jssl completion knows {' and '.join(SHELLS)}, got {shell!r}")
    systems: Mapping[str, object] = experiments().REGISTRY
    common = ("demo", "help", *(field.name for field in fields(Options)))
    flags = {name: (*(field.name for field in fields(named(name))), *common) for name in systems}
    cases = [f'    "train {name}") words="{" ".join(map(_flag, has))}" ;;' for name, has in flags.items()]
    text = SCRIPT.format(
        commands=" ".join(commands),
        systems=" ".join(systems),
        data=" ".join(form for form in FORMS if "<" not in form),
        weights=" ".join(row["name"] for row in weights.names()),
        views=" ".join(NAMED),
        shells=" ".join(SHELLS),
        cases="\n".join(cases),
    )
    return (ZSH if shell == "zsh" else "") + text


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
