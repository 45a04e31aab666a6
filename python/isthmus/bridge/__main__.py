"""``python -m isthmus.bridge FOLDER``: answer the request in an exchange folder."""

from __future__ import annotations

import sys

from isthmus.bridge.exchange import serve

if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
