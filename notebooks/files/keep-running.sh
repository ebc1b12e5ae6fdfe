#!/usr/bin/env bash
# Keeps a program running: starts it again whenever it fails, with growing pauses.
#
#     ./keep-running.sh ../../qprocessor.py --queue work --acknowledge --prefetch 1
#
# To stop both the loop and the program: Ctrl-C, or `kill` with the loop's process id.
# Four things that such a loop must get right, and that `while true; do …; done` gets wrong:
#
# 1. Exit code 0 means "finished as asked". Then the loop ends too.
# 2. Some failures never pass: a wrong flag, a wrong password. Then it gives up and says so.
# 3. Growing pauses. A program that fails at once would otherwise be started hundreds of times
#    a second, and press a broker that has trouble already.
# 4. Whoever stops the loop means the program too. It is asked (SIGTERM), not killed, so that it
#    can finish the message in hand.
#
# What the loop can't do: outlive a reboot, or end the program when the loop itself is killed by
# kill -9. A service manager can: see qprocessor.service.

set -u  # a variable's name mistyped is an error, not an empty word
set -m  # the program gets a process group of its own: Ctrl-C reaches the loop alone, which passes it on

first_pause=${FIRST_PAUSE:-1}      # seconds, before the first new start
longest_pause=${LONGEST_PAUSE:-60} # seconds; each pause is twice the one before, up to this
ran_well_after=${RAN_WELL_AFTER:-30} # seconds; whoever ran so long begins with the first pause again

# Exit codes that the next attempt won't change. 126 and 127 are the shell's own: not a program,
# no such program. The others are qprocessor's: wrong flag, TLS, password, virtual host,
# permission, and a queue that can't be had like this (`qprocessor.py --help` lists them).
give_up_on=${GIVE_UP_ON:-"2 6 7 8 10 12 13 126 127"}

if [ $# -eq 0 ]; then
    echo "usage: $0 PROGRAM [ARGUMENT…]" >&2
    exit 2
fi

say() { echo "[keep-running] $*" >&2; }

child=
asked_to_stop=
told=
pass_on() {
    if [ -n "$child" ]; then
        told=yes
        kill -TERM "$child" 2>/dev/null
    fi
}
stop() {
    asked_to_stop=yes
    pass_on
}
trap stop INT TERM HUP

# Runs a command to its end and leaves its exit code in $code. It runs in the background, and the
# loop waits: in the foreground no signal would be heard before its end.
run() {
    "$@" &
    child=$!
    if [ -n "$asked_to_stop" ] && [ -z "$told" ]; then
        pass_on # the signal came before $child had its value
    fi
    wait "$child"
    code=$?
    while [ -n "$asked_to_stop" ] && kill -0 "$child" 2>/dev/null; do
        wait "$child" # the signal ended the first `wait`; the program finishes its message
        code=$?
    done
    child=
}

pause=$first_pause
while true; do
    began=$(date +%s)
    run "$@"
    if [ -n "$asked_to_stop" ]; then
        say "stopped as asked"
        exit "$code"
    fi
    if [ "$code" -eq 0 ]; then
        say "finished by itself"
        exit 0
    fi
    case " $give_up_on " in
        *" $code "*)
            say "exit code $code: trying again won't help"
            exit "$code"
            ;;
    esac

    if [ $(($(date +%s) - began)) -ge "$ran_well_after" ]; then
        pause=$first_pause
    fi
    say "exit code $code: starting again in $pause s"
    sleep "$pause" & # in the background, so that a signal is heard during the pause
    child=$!
    [ -n "$asked_to_stop" ] || wait "$child"
    kill -KILL "$child" 2>/dev/null # where a signal ended the `wait`, the pause is over too
    child=
    if [ -n "$asked_to_stop" ]; then
        say "stopped as asked"
        exit 0
    fi
    # awk, since the shell itself can't count in parts of a second
    pause=$(awk -v pause="$pause" -v longest="$longest_pause" \
        'BEGIN { pause *= 2; print (pause < longest) ? pause : longest }')
done
