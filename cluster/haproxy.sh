#!/bin/sh
# What Ray takes for HAProxy: haproxy_config.py says why.
exec "$HAPROXY_PYTHON" -I -S "${0%/*}/haproxy_config.py" "$@"
