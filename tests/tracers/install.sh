#!/usr/bin/env bash
# Makes one environment per tracer under .tracers, with the versions pinned in requirements/.
# A tracer that does not install here is left out, and its test says so.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-.tracers}
python=${PYTHON:-python3}
mkdir -p "$root"

install_python() {
  "$python" -m venv "$root/$1" && "$root/$1/bin/python" -m pip install -qq -r "$2"
}

install_node() {
  mkdir -p "$root/$1" && cp "$2" "$root/$1/package.json" && (cd "$root/$1" && npm install --silent)
}

for file in "$here"/requirements/*; do
  name=$(basename "${file%.*}")
  cmp -s "$file" "$root/$name/.installed" && continue
  echo "Installing $name …"
  rm -rf "${root:?}/$name"
  if [[ $file == *.json ]]; then install_node "$name" "$file"; else install_python "$name" "$file"; fi \
    && cp "$file" "$root/$name/.installed" || echo "$name does not install here." >&2
done
