# Installs the Debian packages named as arguments, by root, without a question.
#
# They are wanted for their programs: no service of theirs is started or enabled (Debian's mosquitto would
# take the port of ours), and no PostgreSQL cluster is made. Both refusals last as long as this script.
set -eu
export DEBIAN_FRONTEND=noninteractive

services=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
our_services=
our_clusters=

restore() {
    [ -z "$our_services" ] || rm -f "$services"
    [ -z "$our_clusters" ] || mv -f "$clusters.kept" "$clusters"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM

apt_install() {
    # Lists may be absent or old: only then they are fetched.
    apt_get install "$@" || { apt_get update && apt_get install "$@"; }
}

apt_get() {
    apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

if [ ! -e "$services" ]; then
    our_services=yes
    printf '#!/bin/sh\nexit 101\n' > "$services"
    chmod 755 "$services"
fi

case " $* " in *" postgresql"*)
    # The package that makes clusters comes first, to be told not to.
    apt_install postgresql-common
    if [ -f "$clusters" ] && [ ! -e "$clusters.kept" ]; then
        cp -p "$clusters" "$clusters.kept"
        our_clusters=yes
        echo 'create_main_cluster = false' >> "$clusters"
    fi
esac

had_mosquitto=
[ ! -e /usr/sbin/mosquitto ] || had_mosquitto=yes

apt_install "$@"

if [ -z "$had_mosquitto" ] && [ -e /usr/sbin/mosquitto ]; then
    update-rc.d mosquitto disable
fi
