#!/bin/sh
# Say something in the lobby with nothing but nc, any version of it. The exit status is 0 if the server has stored it.
#
# Start a server, and then this script with a port and a text:
#
#     .venv/bin/twistd -n chat
#     sh examples/say.sh 14900 the backup is done

export LC_ALL=C # tr and sed then work on bytes, so that no text is invalid for them
[ $# -gt 1 ] || { echo "usage: sh $0 PORT TEXT..." >&2 && exit 2; }
port=$1 && shift
text=$(printf %s "$*" | tr '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g')
id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # a new one each time: a server stores one message for each id
heard=$(
    {
        printf '{"type": "hello", "nick": "sh-%s"}\n{"type": "join", "room": "lobby"}\n' "$$"
        printf '{"type": "", "room": "lobby", "msg": "%s", "id": "%s"}\n{"type": "quit"}\n' "$text" "$id"
    } | nc 127.0.0.1 "$port"
)
case $heard in
*'{"type":"ack",'*) ;; # no text of others has this, since the quotes in a text are escaped
*) printf '%s\n' "not stored: ${heard:-nobody answers at port $port}" >&2 && exit 1 ;;
esac
