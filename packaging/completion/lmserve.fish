# SPDX-License-Identifier: Apache-2.0
#
# Completion of lm_server, lm_client, lm_trainer and lm_store in fish. Commands, options and the
# values of options are those that the program's --help has.

function __lmserve_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -l commands ($program --help 2>/dev/null | awk '
        /^Subcommands:/ { found = 1; next }
        found && /^  [a-z]/ { name = $1; sub(/^ *[^ ]+ */, ""); print name "\t" $0 }')
    set -l help ($program --help 2>/dev/null)
    set -l command
    for word in $words[2..-1]
        if string match -q -- "$word"\t'*' $commands
            set command $word
            set -a help ($program $word --help 2>/dev/null)
            break
        end
    end
    # An option with a set of values, as in "--cell {rnn,gru,lstm}=lstm".
    set -l values (printf '%s\n' $help | awk -v option="$words[-1]" '
        $1 == option && match($0, /\{[^}]*\}/) {
          print substr($0, RSTART + 1, RLENGTH - 2) }')
    if test -n "$values"
        string split , -- $values
        return
    end
    if string match -q -- '-*' (commandline -ct)
        printf '%s\n' $help | grep -oE '^  (-[a-z],)?--[a-z0-9-]+' | grep -oE -- '--.*'
    else if test -z "$command"
        printf '%s\n' $commands
    end
end

for program in lm_server lm_client lm_trainer lm_store
    complete -c $program -a '(__lmserve_complete)'
end
