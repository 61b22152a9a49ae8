#!/bin/sh
# Unpacks a package of Debian that this system need not have: debian.sh FOLDER PACKAGE VERSION. The version is the beginning of
# one, such as 1.95.0. The files are in FOLDER/PACKAGE afterwards. Fails with status 3 where no suite has the version.
#
# Lists and packages are kept apart from the system's.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
package=$2
version=$3
[ "$(cat "$folder/$package/version" 2>/dev/null)" != "$version" ] || exit 0

command -v apt-get >/dev/null && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || exit 3
# Where this system, a Debian, has its own packages from.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1)
[ -n "$mirror" ] || exit 3
state=$folder/apt
mkdir -p "$state/lists/partial" "$state/archives/partial"
for suite in bullseye bookworm-backports trixie trixie-backports sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$state/sources"
cmp -s "$state/sources" "$state/sources.list" || { mv "$state/sources" "$state/sources.list" && rm -f "$state/updated"; }
cat >"$state/apt.conf" <<END
Dir::State "$state";
Dir::State::Lists "$state/lists";
Dir::State::status "/dev/null";
Dir::Cache "$state";
Dir::Cache::Archives "$state/archives";
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "-";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END
export APT_CONFIG="$state/apt.conf"
if [ -z "$(find "$state" -maxdepth 1 -name updated -mmin -60)" ]; then
    apt-get -qq -o APT::Update::Error-Mode=any update
    touch "$state/updated"
fi
found=$(apt-cache madison "$package" | tr -d ' ' | cut -d'|' -f2 | grep -F "$version" | grep "^\(1:\)\?$version" | head -n 1) || true
[ -n "$found" ] || exit 3
cd "$state"
apt-get -qq download "$package=$found"
rm -rf "${folder:?}/$package"
dpkg-deb -x "$package"_*.deb "$folder/$package"
rm "$package"_*.deb
echo "$version" >"$folder/$package/version"
