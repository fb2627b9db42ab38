# shellcheck shell=bash
# Sourced by the scripts that start Python or Node, with `root` set: takes out of the person's environment what is for
# another Python, and gives a home to who has none. Python, pip, npm and the CDK ask for the home when they start.
unset PYTHONHOME PYTHONPATH PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONSTARTUP PYTHONINSPECT PYTHONOPTIMIZE PYTHONWARNINGS
: "${HOME:=$(printf '%s' ~)}"
if [[ ! -d $HOME || ! -w $HOME && ! -d $HOME/.aws ]]; then
  HOME=${root:?}/.cache/home
  if ! mkdir -p "$HOME" 2>/dev/null; then # somebody else's checkout
    # The same one in each call, unless somebody else has made it.
    HOME=${TMPDIR:-/tmp}/sd-home-$(id -u)
    mkdir -m 700 "$HOME" 2>/dev/null || [[ -d $HOME && -O $HOME && ! -L $HOME ]] || HOME=$(mktemp -d)
  fi
fi
export HOME
