#!/bin/sh
# Installs the course from this stick, without network. Linux and macOS: sh install.sh [FOLDER]
for version in @PYTHONS@ 3; do
    if command -v "python$version" >/dev/null 2>&1; then
        exec "python$version" "$(dirname "$0")/install.py" "$@"
    fi
done
echo "There is no Python here. READ_ME.txt says which the packages are for; python.org has installers" >&2
exit 1
