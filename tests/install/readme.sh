#!/usr/bin/env bash
# Runs the programs of README with README's own commands: readme.sh PREFIX WHEEL PYTHON_ENVIRONMENT IMAGES SCRATCH_FOLDER
# IMAGES has a folder good and an image scratched.pgm. The Python environment has Pillow, and its packages' versions are
# those that README's own environment gets.
set -euo pipefail
prefix=$(realpath "$1")
wheel=$(realpath "$2")
python=$(realpath "$3")
images=$(realpath "$4")
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
rm -rf "$5"
mkdir -p "$5/home" "$5/target"
cd "$5"

# The files that README names. README's programs read PGM files without comments, as Pillow writes them.
"$python/bin/python" - "$images" <<'END'
import sys
from pathlib import Path

from PIL import Image

images = Path(sys.argv[1])
Path("good").mkdir()
for path in (images / "good").iterdir():
    Image.open(path).save(f"good/{path.name}")
for name in "image.pgm", "image.png":
    Image.open(images / "scratched.pgm").save(name)
END
block() { "$python/bin/python" "$here/extract.py" "$root/README.md" "$@" 2>/dev/null; }
block c >program.c
block cpp >program.cpp
block csharp >program.cs
block python >program.py

# All commands but those for trying npad and those of the command-line tool, in README's order.
for ((number = 0; ; number++)); do
  commands=$(block sh "$number") || break
  case $commands in *"make demo"* | *"npad fit"*) continue ;; esac
  printf '%s\n' "$commands"
done >commands.sh
# npad has been installed and its wheel has been built by who calls this.
make() { :; }
export -f make
ln -s "$prefix" home/npad
ln -s "$(dirname "$wheel")" target/wheels
"$python/bin/pip" freeze --disable-pip-version-check --exclude npad >constraints.txt
export PIP_CONSTRAINT=$PWD/constraints.txt PIP_CACHE_DIR=${PIP_CACHE_DIR-$HOME/.cache/pip} PIP_DISABLE_PIP_VERSION_CHECK=1
HOME=$PWD/home NPAD=$root bash -euo pipefail commands.sh >out.txt 2>err.txt ||
  { cat out.txt err.txt && exit 1; }
[ "$(grep -c ^DEFECTIVE out.txt)" = 4 ] || { echo "not every program finds the defect:" && cat out.txt && exit 1; }
test -s overlay.png

# The programs that npad studio's page shows, which load a model.
mkdir page
cp "$root"/cli/src/studio/page/score.cpp "$root"/cli/src/studio/page/Score.cs page
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
"$prefix/bin/npad" fit good -o model.npad 2>err.txt
"$prefix/bin/npad" score model.npad image.pgm --json >scores.txt 2>err.txt
c++ -std=c++17 page/score.cpp $(pkg-config --cflags --libs npad opencv4) -o page/score
mcs -r:NpadNet.dll -out:Score.exe page/Score.cs
page/score model.npad image.pgm >page/cpp.txt
mono Score.exe model.npad image.pgm >page/csharp.txt
"$python/bin/python" - <<'END'
import json
from struct import pack, unpack

single = lambda text: unpack("f", pack("f", float(text)))[0]
expected = single(json.loads(open("scores.txt").read())["score"])
for language, shown in ("cpp", single(f"{expected:.6g}")), ("csharp", expected):
    line = open(f"page/{language}.txt").read()
    assert line.startswith("image.pgm: DEFECTIVE, ") and single(line.split()[-1]) == shown, (line, expected)
END
