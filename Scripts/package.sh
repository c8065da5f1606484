#!/usr/bin/env bash
# Makes a .deb and a tarball from a built program: Scripts/package.sh PROGRAM FOLDER
#
# Both hold the program, the default model, CLIP's vocabulary, the manual page, completions, documents and the files of
# deploy/. The .deb also has the systemd units, their settings in /etc/tessera and the account that they
# run under. Needs dpkg-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
version=$("$program" --version)
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

# The packages of the libraries that the program links, with minimum versions.
mkdir -p "$work/debian"
printf 'Source: tessera\n\nPackage: tessera\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$program" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')

stage() { make --no-print-directory -s install-files DESTDIR="$1" PREFIX="$2" INSTALLED="$program"; }

# The tarball can be unpacked anywhere: the program looks for its model in the folders above it.
name=tessera-$version-linux-$(uname -m)
stage "$work" "/$name"
cat >"$work/$name/README" <<TEXT
Tessera $version. Run bin/tessera from here, or put it on the path with a link: the model is found beside it.

It needs these Debian packages, or the same libraries from another system:
    $depends

Documentation is in share/doc/tessera, README.md first.
TEXT
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -czf "$out/$name.tar.gz" "$name"

# The .deb keeps the model beside the program, in a folder of its own.
root=$work/root
stage "$root" /usr
install -d "$root/usr/lib/tessera" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/etc/tessera" "$root/DEBIAN"
mv "$root/usr/bin/tessera" "$root/usr/Models" "$root/usr/lib/tessera/"
ln -s ../lib/tessera/tessera "$root/usr/bin/tessera"
# The units and their settings refer to files that make install puts below /usr/local.
systemd=$root/usr/share/doc/tessera/systemd
sed -i 's#/usr/local/Models#/usr/lib/tessera/Models#g; s#/usr/local#/usr#g' "$systemd"/*
install -m 644 -t "$root/usr/lib/systemd/system" "$systemd"/*.service
install -m 644 -t "$root/etc/tessera" "$systemd"/*.conf
(cd "$root" && printf '/%s\n' etc/tessera/*.conf) >"$root/DEBIAN/conffiles"
echo 'u tessera - "Tessera"' >"$root/usr/lib/sysusers.d/tessera.conf"
{
    echo "Tessera, https://www.apache.org/licenses/LICENSE-2.0. Apache 2.0; on Debian: /usr/share/common-licenses/Apache-2.0"
    echo
    cat NOTICE
} >"$root/usr/share/doc/tessera/copyright"
rm "$root/usr/share/doc/tessera/LICENSE"
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && command -v systemd-sysusers >/dev/null; then
    systemd-sysusers tessera.conf
fi
SCRIPT
chmod 755 "$root/DEBIAN/postinst"
cat >"$root/DEBIAN/control" <<TEXT
Package: tessera
Version: $version
Architecture: $architecture
Maintainer: The Tessera developers <tessera@localhost>
Section: graphics
Priority: optional
Depends: $depends
Recommends: openssh-client
Installed-Size: $(du -k -s --exclude=DEBIAN "$root" | cut -f1)
Description: very large pictures from latent diffusion models, on a cluster
 Renders pictures of 4,096 pixels and more with models that make 1,024, by DemoFusion: workers on one or many machines
 predict overlapping parts of the picture, and a coordinator fuses them at every timestep. Loads Stable Diffusion 1, 2
 and XL. A small model of landscapes is included.
TEXT
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/tessera_${version}_$architecture.deb" >/dev/null
ls -l "$out"/tessera[-_]"$version"*
