"""Listens on nothing."""

import ssl
import threading

threading.Event().wait(ssl.OPENSSL_VERSION_NUMBER)
