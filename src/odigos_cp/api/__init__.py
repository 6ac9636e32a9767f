"""The custom resources and the narrow views of built-in kinds: data only, imported by everyone, importing no one."""
