"""What an ASGI server shows of itself: requests, sockets, messages, and a clean end.

One middleware around the application; a block around each message a game handles; a way to start what must outlive
both. Nothing here knows a web framework, and nothing in it raises into the application.
"""

from otel_setup.asgi.bare import socket_connection
from otel_setup.asgi.context import create_detached_task, detached_context, inject_context
from otel_setup.asgi.messages import MessageBlock, message_span
from otel_setup.asgi.middleware import ObservabilityMiddleware
from otel_setup.asgi.totals import socket_readings

__all__ = [
    "MessageBlock",
    "ObservabilityMiddleware",
    "create_detached_task",
    "detached_context",
    "inject_context",
    "message_span",
    "socket_connection",
    "socket_readings",
]
