#!/bin/sh
# Say something in the lobby with nothing but nc, of whatever kind. The status is 0 when the server has kept it.
#
# Start a server, and then this, with a port and the text:
#
#     .venv/bin/twistd -n chat
#     sh examples/say.sh 14900 the backup is done

export LC_ALL=C # so that tr and sed look at bytes, and no text is wrong for them
[ $# -gt 1 ] || { echo "usage: sh $0 PORT TEXT..." >&2 && exit 2; }
port=$1 && shift
text=$(printf %s "$*" | tr '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g')
id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # never the same twice: a server keeps a message once for each id
heard=$(
    {
        printf '{"type": "hello", "nick": "sh-%s"}\n{"type": "join", "room": "lobby"}\n' "$$"
        printf '{"type": "", "room": "lobby", "msg": "%s", "id": "%s"}\n{"type": "quit"}\n' "$text" "$id"
    } | nc 127.0.0.1 "$port"
)
case $heard in
*'{"type":"ack",'*) ;; # no text of others has this, since the quotes in a text are escaped
*) printf '%s\n' "not kept: ${heard:-nobody answers at port $port}" >&2 && exit 1 ;;
esac
