#!/bin/sh
# Install the Debian packages whose programs the tests talk to: a DICOMweb server. Needs root once.
set -eu
PACKAGES="orthanc orthanc-dicomweb"
if command -v Orthanc >/dev/null && [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # No service is to be started: the tests start servers of their own.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.tests
    chmod 755 /usr/sbin/policy-rc.d.tests
    [ -e /usr/sbin/policy-rc.d ] || ln -s policy-rc.d.tests /usr/sbin/policy-rc.d
    echo "installing $PACKAGES (Debian packages, about a minute)" >&2
    status=0
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends $PACKAGES; } >/dev/null || status=$?
    [ "$(readlink /usr/sbin/policy-rc.d || true)" != policy-rc.d.tests ] || rm /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.tests
    exit $status
fi
echo "error: the tests need the Debian packages $PACKAGES" >&2
echo "What to do: sudo apt-get install $PACKAGES" >&2
exit 90
