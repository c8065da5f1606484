#!/usr/bin/env bash
# Installs the .deb in a separate Debian without Swift, unpacks the tarball there, and renders with both:
# Tests/package_trial.sh [FOLDER]. Needs root, debootstrap and a network.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=${1:-.build/packages}
[ "$(id -u)" = 0 ] || { echo "skipped: debootstrap needs root"; exit 0; }
command -v debootstrap >/dev/null || { echo "skipped: install debootstrap"; exit 0; }
root=$(mktemp -d /tmp/tessera-root-XXXXXX)
chmod 755 "$root"
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >"$root.log" ||
    { tail "$root.log"; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc" # the program finds its model by /proc/self/exe
cp "$packages"/tessera_*.deb "$packages"/tessera-*.tar.gz "$root/tmp/"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }

inside sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    /tmp/tessera_*.deb' >"$root/tmp/apt.log" 2>&1 || { cat "$root/tmp/apt.log"; exit 1; }
inside sh -c '! command -v swift' >/dev/null
picture=(--prompt "a lake at sunset" --size 256x256 --steps 3 --seed 1)
inside tessera doctor
inside tessera render "${picture[@]}" --output /tmp/deb.png
for file in usr/share/man/man1/tessera.1.gz usr/share/bash-completion/completions/tessera usr/share/doc/tessera/README.md \
    usr/share/doc/tessera/copyright usr/lib/systemd/system/tessera-worker@.service etc/tessera/worker.conf \
    usr/lib/systemd/system/tessera-serve.service etc/tessera/serve.conf; do
    [ -e "$root/$file" ] || { echo "$file is missing"; exit 1; }
done
if grep -r /usr/local "$root"/usr/lib/systemd/system/tessera-* "$root/etc/tessera"; then echo "no such folder in a .deb"; exit 1; fi
model=$(sed -n 's/^TESSERA_MODEL=//p' "$root/etc/tessera/serve.conf")
inside tessera inspect "$model" >/dev/null

inside sh -c 'mkdir /opt/t && tar -C /opt/t -xzf /tmp/tessera-*.tar.gz && ln -s /opt/t/*/bin/tessera /usr/local/bin/t'
inside t render "${picture[@]}" --output /tmp/tar.png
cmp "$root/tmp/deb.png" "$root/tmp/tar.png"

inside env DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq tessera >/dev/null 2>&1
[ ! -e "$root/usr/lib/tessera" ] && [ ! -e "$root/etc/tessera" ] || { echo "files stay after a purge"; exit 1; }
echo "both packages render, and the .deb leaves nothing behind"
