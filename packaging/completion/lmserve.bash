# SPDX-License-Identifier: Apache-2.0
#
# Completion of lm_server, lm_client, lm_trainer and lm_store in bash. Commands, options and the
# values of options are those that the program's --help has.

# Prints the help of a program and, if there is a command, of the command.
_lmserve_help() {
  local program=$1 command=$2
  "$program" --help 2>/dev/null
  [ -z "$command" ] || "$program" "$command" --help 2>/dev/null
}

_lmserve() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]}
  local previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands command='' word help values
  commands=$("$program" --help 2>/dev/null |
    awk '/^Subcommands:/ { found = 1; next } found && /^  [a-z]/ { print $1 }')
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if grep -qxF -- "$word" <<< "$commands"; then
      command=$word
      break
    fi
  done
  help=$(_lmserve_help "$program" "$command")
  if [[ $previous == --* ]]; then
    # An option with a set of values, as in "--cell {rnn,gru,lstm}=lstm".
    values=$(awk -v option="$previous" '
      $1 == option && match($0, /\{[^}]*\}/) {
        print substr($0, RSTART + 1, RLENGTH - 2) }' <<< "$help")
    if [ -n "$values" ]; then
      mapfile -t COMPREPLY < <(compgen -W "${values//,/ }" -- "$current")
      return
    fi
    # Other values: names of files, which is bash's own completion.
    awk -v option="$previous" '
      $1 == option && $2 ~ /^(TEXT|FILE|INT|UINT|FLOAT)/ { takes = 1 }
      END { exit !takes }' <<< "$help" && return
  fi
  if [[ $current == -* ]]; then
    values=$(grep -oE '^  (-[a-z],)?--[a-z0-9-]+' <<< "$help" | grep -oE -- '--.*')
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
  elif [ -z "$command" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  fi
}

complete -o default -F _lmserve lm_server lm_client lm_trainer lm_store
