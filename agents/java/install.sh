#!/bin/sh
# Fills a directory with the Java agent: install.sh TARGET. Used by the image build and by the tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1
mkdir -p "$target"
mvn --batch-mode --quiet --file "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$target" -Dmdep.stripVersion=true
mv "$target/opentelemetry-javaagent.jar" "$target/javaagent.jar"
(cd "$target" && sha256sum --check --quiet "$here/javaagent.sha256")
