"""What `record` records: one line a container, with the label a person gives it.

Versions are what the programs print of themselves. `main` matches the executable and the first words of the processes
that may speak for the container. Paths are the recorded root's own: Debian 12's packages, and under /opt what the npm,
PyPI and toolchains gave.
"""

from __future__ import annotations

# ruff: noqa: E501  (commands are one line each)
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    command: tuple[str, ...]
    language: str
    main: str = "."
    version: str | None = None
    libc: str | None = "glibc"
    injectable: bool | None = False
    agents: tuple[str, ...] = ()
    secure: bool = False
    accept: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()
    entering: tuple[str, ...] = ()
    """A command that enters the standing container from outside, as `kubectl exec` does."""
    uid: int = 0
    processes: int = 1
    listens: bool = True
    steady: int = 3

    def is_main(self, raw: dict[str, Any]) -> bool:
        return re.search(self.main, f"{raw['exe']} {' '.join(raw['cmdline'][:4])}") is not None


def sh(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)


SERVER_PY, WORKER_PY, SERVER_JS = "/opt/apps/server.py", "/opt/apps/worker.py", "/opt/apps/server.js"
PY, JAVA = "/usr/bin/python3", "/usr/bin/java"
STALE = {
    "NODE_VERSION": "9.9.9",
    "PYTHON_VERSION": "3.6.1",
    "JAVA_VERSION": "8",
    "RUBY_VERSION": "2.1.0",
    "GOLANG_VERSION": "1.1",
}
NODES = {"12": "12.22.12", "14": "14.21.3", "16": "16.20.2", "18": "18.20.8", "22": "22.23.3", "24": "24.21.0"}
RUBY = (
    "/usr/bin/ruby",
    "-rsocket",
    "-e",
    's=TCPServer.new("127.0.0.1",8080); loop{c=s.accept; c.gets; c.print "HTTP/1.1 200 OK\r\n\r\n"; c.close}',
)
HTTPD_CONF = (
    "printf 'Listen 8080\\nServerName x\\n' > /etc/apache2/ports.conf; mkdir -p /var/run/apache2 /var/log/apache2"
)
NGINX_CONF = "printf 'user www-data; events{} http { access_log off; server { listen 8080; } }' > /tmp/nginx.conf"
FPM_CONF = (
    "printf '[global]\\nerror_log=/dev/null\\n[www]\\nuser=www-data\\ngroup=www-data\\nlisten=%s\\npm=static\\n"
    "pm.max_children=2\\n' {} > /tmp/fpm.conf"
)


def _python() -> tuple[Scenario, ...]:
    debian: dict[str, Any] = {"language": "python", "version": "3.11.2", "injectable": True}
    return (
        Scenario("python-server", "Debian's Python", (PY, SERVER_PY, "8080"), **debian),
        Scenario(
            "python-stale-env",
            "an image's variables of other languages",
            (PY, SERVER_PY, "8080"),
            environment=STALE,
            **debian,
        ),
        Scenario(
            "python-env-of-another-patch",
            "PYTHON_VERSION of another patch",
            (PY, SERVER_PY, "8080"),
            environment={"PYTHON_VERSION": "3.11.9"},
            **debian,
        ),
        Scenario("python-worker", "a worker that listens on nothing", (PY, WORKER_PY), listens=False, **debian),
        Scenario(
            "python-tini",
            "tini over Python",
            ("/usr/bin/tini", "--", PY, SERVER_PY, "8080"),
            main="python3.11 ",
            processes=2,
            **debian,
        ),
        Scenario(
            "python-deleted",
            "the interpreter was replaced under its process",
            ("/opt/pyx/bin/python3.11", SERVER_PY, "8080"),
            prepare=(
                "mkdir -p /opt/pyx/bin; cp /usr/bin/python3.11 /opt/pyx/bin/python3.11",
                "( sleep 2; rm -f /opt/pyx/bin/python3.11 ) >/dev/null 2>&1 </dev/null &",
            ),
            steady=16,
            **debian,
        ),
        Scenario(
            "python-renamed",
            "the interpreter under another name",
            ("/opt/pyx/bin/worker", SERVER_PY, "8080"),
            prepare=("mkdir -p /opt/pyx/bin; cp /usr/bin/python3.11 /opt/pyx/bin/worker",),
            **debian,
        ),
        Scenario(
            "python-named-node",
            "a Python whose file is named node",
            ("/opt/pyx/bin/node", SERVER_PY, "8080"),
            prepare=("mkdir -p /opt/pyx/bin; cp /usr/bin/python3.11 /opt/pyx/bin/node",),
            **debian,
        ),
        Scenario(
            "python-isolated",
            "Python that ignores the environment",
            (PY, "-I", SERVER_PY, "8080"),
            language="python",
            version="3.11.2",
            injectable=False,
        ),
        Scenario(
            "python-loader",
            "started by naming the loader",
            ("/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3.11", SERVER_PY, "8080"),
            **debian,
        ),
        Scenario(
            "python-secure",
            "a file capability: secure execution",
            ("/opt/pyx/bin/capable", SERVER_PY, "8080"),
            prepare=(
                "mkdir -p /opt/pyx/bin; cp /usr/bin/python3.11 /opt/pyx/bin/capable; setcap cap_net_raw+ep /opt/pyx/bin/capable",
            ),
            uid=1000,
            secure=True,
            **debian,
        ),
        Scenario(
            "python-312-image",
            "a Python of an image, with its variable",
            ("/opt/python-312/bin/python3.12", SERVER_PY, "8080"),
            language="python",
            version="3.12.1",
            injectable=True,
            environment={"PYTHON_VERSION": "3.12.1", "LD_LIBRARY_PATH": "/opt/python-312/lib"},
        ),
        Scenario(
            "python-313-pyenv",
            "a Python of pyenv",
            ("/root/.pyenv/versions/3.13.0/bin/python3.13", SERVER_PY, "8080"),
            language="python",
            version="3.13.0",
            injectable=True,
        ),
        Scenario(
            "gunicorn",
            "gunicorn: titles over the environment",
            ("/usr/bin/gunicorn", "-w", "2", "-b", "127.0.0.1:8080", "--chdir", "/opt/apps", "wsgi:app"),
            main="python3.11|gunicorn",
            processes=3,
            **debian,
        ),
        Scenario(
            "uwsgi",
            "uwsgi: Python in a C program",
            (
                "/usr/bin/uwsgi-core",
                "--plugin",
                "python3",
                "--http-socket",
                ":8080",
                "--chdir",
                "/opt/apps",
                "--module",
                "wsgi",
                "--master",
                "--processes",
                "2",
            ),
            language="python",
            injectable=True,
            version="3.11.2",
            main="uwsgi",
            processes=3,
        ),
        Scenario(
            "pyinstaller-file",
            "PyInstaller, one file",
            ("/opt/frozen/frozen",),
            language="python",
            version="3.11.2",
            main="frozen",
            processes=2,
        ),
        Scenario(
            "pyinstaller-folder",
            "PyInstaller, one folder",
            ("/opt/frozen/frozendir/frozendir",),
            language="python",
            version="3.11.2",
        ),
        Scenario("pypy", "PyPy", ("/usr/bin/pypy3", SERVER_PY, "8080"), language="python", injectable=True),
        Scenario(
            "python-with-java-machine",
            "Python that loads a Java machine",
            (
                PY,
                "-c",
                "import jpype, sys; jpype.startJVM(convertStrings=False); sys.argv=['x','8080']; exec(open('/opt/apps/server.py').read())",
            ),
            environment={"PYTHONPATH": "/opt/lib", "JAVA_HOME": "/usr/lib/jvm/java-17-openjdk-amd64"},
            **debian,
        ),
        Scenario(
            "python-newrelic",
            "New Relic's bootstrap on PYTHONPATH",
            (PY, SERVER_PY, "8080"),
            environment={"PYTHONPATH": "/opt/lib/newrelic/bootstrap:/opt/lib"},
            agents=("newrelic",),
            **debian,
        ),
        Scenario(
            "python-vendor-names",
            "variables that name vendors and load nothing",
            (PY, SERVER_PY, "8080"),
            environment={
                "DD_SERVICE": "cart",
                "DD_AGENT_HOST": "10.0.0.1",
                "NEW_RELIC_APP_NAME": "cart",
                "OTEL_SERVICE_NAME": "cart",
            },
            **debian,
        ),
        Scenario(
            "supervisord-python",
            "supervisord, itself Python, over Python",
            sh(
                "printf '[supervisord]\\nnodaemon=true\\n[program:app]\\ncommand=/usr/bin/python3 /opt/apps/server.py 8080\\n' > /tmp/sv.conf; exec supervisord -c /tmp/sv.conf"
            ),
            main="server.py",
            processes=2,
            **debian,
        ),
        Scenario(
            "python-over-node",
            "Python over Node.js, both listen",
            (
                PY,
                "-c",
                "import subprocess,sys; subprocess.Popen(['/opt/node/22/bin/node','/opt/apps/server.js','8081']); sys.argv=['x','8080']; exec(open('/opt/apps/server.py').read())",
            ),
            main="python3.11",
            processes=2,
            **debian,
        ),
        Scenario(
            "go-over-python",
            "a supervisor in Go over Python",
            ("/opt/native/go-stripped", "run", PY, SERVER_PY, "8080"),
            main="python3.11",
            processes=2,
            **debian,
        ),
    )


def _node() -> tuple[Scenario, ...]:
    new: dict[str, Any] = {"language": "nodejs", "version": NODES["22"], "injectable": True}
    node = "/opt/node/22/bin/node"
    plain = tuple(
        Scenario(
            f"node-{major}",
            f"Node.js {major}",
            (f"/opt/node/{major}/bin/node", SERVER_JS),
            language="nodejs",
            version=version,
            injectable=True,
        )
        for major, version in NODES.items()
    )
    return (
        *plain,
        Scenario(
            "node-debian",
            "Debian's Node.js: a small program over libnode",
            ("/usr/bin/node", SERVER_JS),
            language="nodejs",
            version="18.20.4",
            injectable=True,
        ),
        Scenario(
            "node-title",
            "a false title, and variables of others",
            (node, SERVER_JS),
            environment={"TITLE": "python app.py", **STALE},
            **new,
        ),
        Scenario(
            "node-renamed",
            "Node.js under another name",
            ("/opt/node/22/bin/shop", SERVER_JS),
            prepare=("cp /opt/node/22/bin/node /opt/node/22/bin/shop",),
            **new,
        ),
        Scenario(
            "node-named-java",
            "Node.js whose file is named java",
            ("/opt/node/22/bin/java", SERVER_JS),
            prepare=("cp /opt/node/22/bin/node /opt/node/22/bin/java",),
            **new,
        ),
        Scenario(
            "node-dumb-init",
            "dumb-init and a shell that stays",
            ("/usr/bin/dumb-init", "/bin/sh", "-c", f"{node} {SERVER_JS}; true"),
            main="node ",
            processes=3,
            **new,
        ),
        Scenario(
            "node-npm",
            "npm, a shell, and the application",
            (node, "/opt/apps/npm-cli.js", "start"),
            prepare=(
                "printf \"process.title='npm start';require('child_process').spawn('/bin/sh',['-c','/opt/node/22/bin/node /opt/apps/server.js; true'],{stdio:'inherit'})\" > /opt/apps/npm-cli.js",
            ),
            main="server.js$",
            processes=3,
            **new,
        ),
        Scenario(
            "node-pm2",
            "pm2 and what it manages",
            (node, "/opt/pm2/node_modules/pm2/bin/pm2-runtime", "start", SERVER_JS, "-i", "1"),
            environment={"PATH": "/opt/node/22/bin:/usr/bin:/bin"},
            main="server.js",
            processes=2,
            steady=10,
            **new,
        ),
        Scenario(
            "node-secure",
            "a file capability: NODE_OPTIONS is ignored",
            ("/opt/node/22/bin/capable", SERVER_JS),
            prepare=(
                "cp /opt/node/22/bin/node /opt/node/22/bin/capable; setcap cap_net_raw+ep /opt/node/22/bin/capable",
            ),
            uid=1000,
            secure=True,
            language="nodejs",
            version=NODES["22"],
            injectable=False,
        ),
        Scenario(
            "node-datadog",
            "Datadog's tracer by an option",
            (node, "-r", "/opt/agents/dd-trace/init.js", SERVER_JS),
            agents=("datadog",),
            **new,
        ),
        Scenario(
            "node-with-exec",
            "somebody's Python in an exec",
            (node, SERVER_JS),
            entering=(PY, SERVER_PY, "8090"),
            main="/node/",
            processes=2,
            **new,
        ),
        Scenario(
            "node-zombie",
            "a zombie beside the application",
            (
                PY,
                "-c",
                "import os,time\nif os.fork()==0:\n os._exit(0)\nif os.fork()==0:\n os.execv('/opt/node/22/bin/node',['node','/opt/apps/server.js'])\ntime.sleep(999)",
            ),
            main="/node/",
            processes=3,
            **new,
        ),
        Scenario("node-single-executable", "Node.js and its script in one file", ("/opt/sea/shop",), **new),
        Scenario(
            "bun-single-executable",
            "Bun and its script in one file",
            ("/opt/sea/bunapp",),
            language="bun",
            version="1.4.5",
        ),
        Scenario("bun", "Bun", ("/opt/bun/bun", SERVER_JS), language="bun", version="1.4.5"),
        Scenario(
            "bun-renamed",
            "Bun under another name",
            ("/opt/bun/node", SERVER_JS),
            prepare=("cp /opt/bun/bun /opt/bun/node",),
            language="bun",
            version="1.4.5",
        ),
        Scenario(
            "deno",
            "Deno",
            ("/opt/deno/deno", "run", "-A", "/opt/apps/deno.ts"),
            prepare=(
                'echo \'Deno.serve({port: 8080, hostname: "127.0.0.1"}, () => new Response("ok"))\' > /opt/apps/deno.ts',
            ),
            language="deno",
            version="2.9.6",
        ),
        Scenario(
            "deno-renamed",
            "Deno under another name",
            ("/opt/deno/shop", "run", "-A", "/opt/apps/deno.ts"),
            prepare=("cp /opt/deno/deno /opt/deno/shop",),
            language="deno",
            version="2.9.6",
        ),
    )


def _java() -> tuple[Scenario, ...]:
    app = ("-Xmx64m", "-cp", "/opt/apps", "App")
    debian: dict[str, Any] = {"language": "java", "version": "17.0.19", "injectable": True}
    return (
        Scenario("java-17", "Debian's OpenJDK 17", (JAVA, *app), **debian),
        Scenario(
            "java-25",
            "Temurin 25",
            ("/opt/jdk25/bin/java", *app),
            language="java",
            version="25.0.3",
            injectable=True,
            environment={"JAVA_VERSION": "jdk-11.0.2"},
        ),
        Scenario(
            "java-jlink",
            "a runtime image without the module for agents",
            ("/opt/jre-min/bin/java", *app),
            language="java",
            version="25.0.3",
            injectable=False,
        ),
        Scenario(
            "java-renamed",
            "the launcher under another name",
            ("/opt/jdk25/bin/shop", *app),
            prepare=("cp /opt/jdk25/bin/java /opt/jdk25/bin/shop",),
            language="java",
            version="25.0.3",
            injectable=True,
        ),
        Scenario(
            "java-jsvc",
            "jsvc starts the machine",
            (
                "/usr/bin/jsvc",
                "-nodetach",
                "-home",
                "/usr/lib/jvm/java-17-openjdk-amd64",
                "-cp",
                "/opt/apps:/usr/share/java/commons-daemon.jar",
                "Service",
            ),
            prepare=("rm -f /var/run/jsvc.pid",),
            main="jsvc",
            processes=2,
            **debian,
        ),
        Scenario(
            "java-shell",
            "an entrypoint that stays, and a helper in Python",
            sh(f"{PY} {WORKER_PY} & {JAVA} -Xmx64m -cp /opt/apps App; true"),
            main="java ",
            processes=3,
            **debian,
        ),
        Scenario(
            "java-datadog",
            "Datadog's agent",
            (JAVA, "-javaagent:/opt/agents/dd-java-agent.jar", *app),
            agents=("datadog",),
            **debian,
        ),
        Scenario(
            "java-opentelemetry",
            "OpenTelemetry's agent by JAVA_TOOL_OPTIONS",
            (JAVA, *app),
            environment={"JAVA_TOOL_OPTIONS": "-javaagent:/opt/agents/opentelemetry-javaagent.jar"},
            agents=("opentelemetry",),
            **debian,
        ),
        Scenario(
            "java-beside-python",
            "two applications side by side",
            sh(f"{PY} {SERVER_PY} 8081 & {JAVA} -Xmx64m -cp /opt/apps App; true"),
            language="unknown",
            libc=None,
            injectable=None,
            processes=3,
            steady=8,
        ),
        Scenario(
            "native-image",
            "a GraalVM native image",
            ("/opt/closure/compiler",),
            language="graalvm-native",
            libc="static",
            listens=False,
        ),
    )


def _compiled() -> tuple[Scenario, ...]:
    def native(
        name: str, title: str, language: str, file: str, libc: str = "glibc", version: str | None = None, **more: Any
    ) -> Scenario:
        return Scenario(
            name, title, (f"/opt/native/{file}", "8080"), language=language, libc=libc, version=version, **more
        )

    return (
        native("go", "Go with symbols", "go", "go-plain", version="1.26.8"),
        native("go-static", "Go, static and stripped", "go", "go-stripped", "static", "1.26.8"),
        native("go-pie", "Go, position-independent and stripped", "go", "go-pie", "glibc", "1.26.8"),
        native("go-named-node", "Go whose file is named node", "go", "node", "static", "1.26.8", environment=STALE),
        Scenario(
            "go-esbuild",
            "Go without build info",
            ("/opt/esbuild/esbuild", "--servedir=/opt/apps", "--serve=127.0.0.1:8080"),
            language="go",
            libc="static",
            prepare=("chmod +x /opt/esbuild/esbuild",),
        ),
        Scenario(
            "go-memfd",
            "Go in memory only",
            (
                PY,
                "-c",
                "import os; f=os.memfd_create('svc',0); os.write(f,open('/opt/native/go-stripped','rb').read()); os.execv(f'/proc/self/fd/{f}',['svc'])",
            ),
            language="go",
            libc="static",
            version="1.26.8",
        ),
        native("rust", "Rust with symbols", "rust", "rust", version="1.95.0"),
        native("rust-stripped", "Rust, stripped", "rust", "rust-strip", version="1.95.0"),
        native("rust-static", "Rust, static and stripped", "rust", "rust-static", "static", "1.95.0"),
        native("rust-without-comment", "Rust without its compiler's mark", "rust", "rust-nocomment"),
        native("rust-named-ruby", "Rust whose file is named ruby", "rust", "ruby", version="1.95.0"),
        native("c", "C", "c", "c-dyn"),
        native("c-stripped", "C, stripped", "c", "c-strip"),
        native("c-static", "C, static and stripped", "c", "c-static", "static"),
        native("c-static-pie", "C, static, position-independent, stripped", "c", "c-spie", "static"),
        native("c-musl", "C on musl", "c", "c-musl", "musl"),
        native("c-musl-static", "C on musl, static", "c", "c-musl-static", "static"),
        native("cpp", "C++", "cpp", "cpp-dyn"),
        native("cpp-linked-in", "C++ with its library linked in, stripped", "cpp", "cpp-slib"),
        native("cpp-static", "C++, static and stripped", "cpp", "cpp-static", "static"),
        native("cpp-static-symbols", "C++, static, with symbols", "cpp", "cpp-static-sym", "static"),
    )


def _servers() -> tuple[Scenario, ...]:
    nginx = ("/usr/sbin/nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off;")
    supervised = (
        "printf '[supervisord]\\nnodaemon=true\\n[program:fpm]\\ncommand=/usr/sbin/php-fpm8.2 -F -y /tmp/fpm.conf\\n"
        '[program:web]\\ncommand=/usr/sbin/nginx -c /tmp/nginx.conf -g "daemon off;"\\n\' > /tmp/sv.conf'
    )
    return (
        Scenario(
            "nginx-lua",
            "nginx with Lua in it",
            nginx,
            language="nginx",
            version="1.22.1",
            prepare=(NGINX_CONF,),
            processes=2,
        ),
        Scenario(
            "apache-php",
            "PHP in Apache",
            ("/usr/sbin/apache2", "-DFOREGROUND"),
            language="php",
            version="8.2.32",
            injectable=True,
            accept=("apache",),
            environment={
                "APACHE_RUN_DIR": "/var/run/apache2",
                "APACHE_RUN_USER": "www-data",
                "APACHE_RUN_GROUP": "www-data",
                "APACHE_LOG_DIR": "/var/log/apache2",
                "APACHE_PID_FILE": "/var/run/apache2/a.pid",
                "APACHE_LOCK_DIR": "/tmp",
            },
            prepare=(HTTPD_CONF, "a2dismod -qf wsgi; a2enmod -q php8.2"),
            processes=3,
        ),
        Scenario(
            "apache-python",
            "Python in Apache",
            ("/usr/sbin/apache2", "-DFOREGROUND"),
            language="python",
            version="3.11.2",
            injectable=True,
            accept=("apache",),
            environment={
                "APACHE_RUN_DIR": "/var/run/apache2",
                "APACHE_RUN_USER": "www-data",
                "APACHE_RUN_GROUP": "www-data",
                "APACHE_LOG_DIR": "/var/log/apache2",
                "APACHE_PID_FILE": "/var/run/apache2/a.pid",
                "APACHE_LOCK_DIR": "/tmp",
            },
            prepare=(HTTPD_CONF, "a2dismod -qf php8.2; a2enmod -q wsgi"),
            processes=3,
        ),
        Scenario(
            "apache",
            "Apache alone",
            ("/usr/sbin/apache2", "-DFOREGROUND"),
            language="apache",
            version="2.4.68",
            environment={
                "APACHE_RUN_DIR": "/var/run/apache2",
                "APACHE_RUN_USER": "www-data",
                "APACHE_RUN_GROUP": "www-data",
                "APACHE_LOG_DIR": "/var/log/apache2",
                "APACHE_PID_FILE": "/var/run/apache2/a.pid",
                "APACHE_LOCK_DIR": "/tmp",
            },
            prepare=(HTTPD_CONF, "a2dismod -qf php8.2 wsgi"),
            processes=3,
        ),
        Scenario(
            "php-fpm",
            "php-fpm",
            ("/usr/sbin/php-fpm8.2", "-F", "-y", "/tmp/fpm.conf"),
            language="php",
            version="8.2.32",
            injectable=True,
            prepare=(FPM_CONF.format("127.0.0.1:9000"),),
            processes=3,
        ),
        Scenario(
            "php-fpm-nginx-supervisord",
            "supervisord over php-fpm on a unix socket, and nginx",
            ("/usr/bin/supervisord", "-c", "/tmp/sv.conf"),
            language="php",
            version="8.2.32",
            injectable=True,
            main="php-fpm",
            prepare=(FPM_CONF.format("/tmp/fpm.sock"), NGINX_CONF, supervised),
            processes=6,
            steady=6,
        ),
        Scenario(
            "php-server",
            "php -S",
            ("/usr/bin/php8.2", "-S", "127.0.0.1:8080", "-t", "/opt/apps"),
            language="php",
            version="8.2.32",
            injectable=True,
            environment={"PHP_VERSION": "7.4.1"},
        ),
        Scenario(
            "ruby",
            "Ruby",
            RUBY,
            language="ruby",
            version="3.1.2",
            injectable=True,
            environment={"RUBY_VERSION": "2.7.0"},
        ),
        Scenario(
            "puma",
            "puma",
            ("/usr/bin/puma", "-b", "tcp://127.0.0.1:8080", "-w", "2", "/opt/apps/config.ru"),
            prepare=("echo 'run ->(env) { [200, {}, [\"ok\"]] }' > /opt/apps/config.ru",),
            language="ruby",
            version="3.1.2",
            injectable=True,
            processes=3,
        ),
        Scenario(
            "postgres",
            "PostgreSQL",
            ("/usr/lib/postgresql/15/bin/postgres", "-D", "/tmp/pg", "-k", "/tmp"),
            uid=33,
            language="postgres",
            version="15.18",
            prepare=(
                "rm -rf /tmp/pg; mkdir /tmp/pg; chown 33:33 /tmp/pg; setpriv --reuid=33 --regid=33 --clear-groups /usr/lib/postgresql/15/bin/initdb -D /tmp/pg",
            ),
            processes=5,
        ),
        Scenario(
            "mariadb",
            "MariaDB",
            (
                "/usr/sbin/mariadbd",
                "--no-defaults",
                "--user=root",
                "--datadir=/tmp/my",
                "--socket=/tmp/my.sock",
                "--lc-messages-dir=/usr/share/mysql",
                "--skip-grant-tables",
            ),
            language="mysql",
            prepare=("rm -rf /tmp/my; mkdir -p /tmp/my/mysql",),
        ),
        Scenario(
            "redis",
            "Redis, whose file is another's link",
            ("/usr/bin/redis-server", "--port", "8080", "--save", ""),
            language="redis",
        ),
        Scenario(
            "haproxy",
            "HAProxy",
            ("/usr/sbin/haproxy", "-W", "-f", "/tmp/ha.cfg"),
            language="c",
            main="haproxy",
            processes=2,
            prepare=(
                "printf 'defaults\\n mode http\\n timeout client 1s\\n timeout server 1s\\n timeout connect 1s\\nfrontend f\\n bind :8080\\n' > /tmp/ha.cfg",
            ),
        ),
        Scenario("memcached", "memcached", ("/usr/bin/memcached", "-u", "root", "-p", "8080"), language="c"),
        Scenario(
            "erlang",
            "Erlang and its helpers",
            ("/usr/bin/erl", "-noshell", "-sname", "x@localhost", "-eval", "gen_tcp:listen(8080, [])."),
            language="erlang",
            main="beam.smp",
            processes=2,
            steady=6,
        ),
        Scenario(
            "perl",
            "Perl",
            (
                "/usr/bin/perl",
                "-MIO::Socket::INET",
                "-e",
                "my $s=IO::Socket::INET->new(LocalAddr=>'127.0.0.1',LocalPort=>8080,Listen=>5); while(my $c=$s->accept){close $c}",
            ),
            language="perl",
            version="5.36.0",
        ),
        Scenario("lua", "Lua", ("/usr/bin/lua5.4", "-e", "io.read()"), language="lua", version="5.4.4", listens=False),
        Scenario("luajit", "LuaJIT", ("/usr/bin/luajit", "-e", "io.read()"), language="lua", listens=False),
        Scenario(
            "mono",
            "Mono",
            ("/usr/bin/mono", "/opt/apps/mono-app.exe"),
            language="mono",
            version="6.8.0.105",
            listens=False,
        ),
        Scenario(
            "dotnet",
            ".NET Core",
            ("/opt/dotnet/dotnet", "/opt/apps/dn/app.dll"),
            language="dotnet",
            version="3.1.23",
            injectable=True,
            environment={"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "DOTNET_VERSION": "8.0.1"},
            listens=False,
        ),
        Scenario(
            "tcl",
            "a language without a name here",
            ("/usr/bin/tclsh8.6", "/opt/apps/s.tcl"),
            prepare=("echo 'socket -server x 8080; vwait forever' > /opt/apps/s.tcl",),
            language="unknown",
            libc=None,
            injectable=None,
        ),
        Scenario(
            "guile",
            "another one",
            ("/usr/bin/guile", "-c", "(sleep 999)"),
            language="unknown",
            libc=None,
            injectable=None,
            listens=False,
        ),
        Scenario(
            "shell-only",
            "a shell and a sleep",
            sh("sleep 999; true"),
            language="unknown",
            libc=None,
            injectable=None,
            listens=False,
            processes=2,
        ),
        Scenario(
            "s6-python",
            "s6 over a service",
            ("/usr/bin/s6-svscan", "/tmp/s6"),
            prepare=(
                "rm -rf /tmp/s6; mkdir -p /tmp/s6/app; printf '#!/bin/sh\\nexec /usr/bin/python3 /opt/apps/server.py 8080\\n' > /tmp/s6/app/run; chmod +x /tmp/s6/app/run",
            ),
            language="python",
            version="3.11.2",
            injectable=True,
            main="python3.11",
            processes=3,
        ),
        Scenario(
            "runit-ruby",
            "runit over a service",
            ("/usr/bin/runsvdir", "/tmp/sv"),
            prepare=(
                "rm -rf /tmp/sv; mkdir -p /tmp/sv/app; printf '#!/bin/sh\\nexec ruby -rsocket -e \"TCPServer.new(8080).accept\"\\n' > /tmp/sv/app/run; chmod +x /tmp/sv/app/run",
            ),
            language="ruby",
            version="3.1.2",
            injectable=True,
            main="ruby3.1",
            processes=3,
        ),
    )


SCENARIOS = (*_python(), *_node(), *_java(), *_compiled(), *_servers())
