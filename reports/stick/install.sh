#!/bin/sh
# Installs the course from this stick, without network. Linux and macOS: sh install.sh [FOLDER]
here=$(dirname "$0")
for version in @PYTHONS@ ""; do
    if command -v "python$version" >/dev/null 2>&1; then
        exec "python$version" "$here/install.py" "$@"
    fi
done
exec python3 "$here/install.py" "$@"
