"""odigos-cp: an observability control plane for Kubernetes. This file imports nothing: the detector ships beside it."""
