"""A page is reachable from this machine only."""

from __future__ import annotations

import pytest

from mantlet.errors import UsageError
from mantlet.web.serve import bind


def test_it_listens_on_the_loopback_address_and_says_when_a_port_is_taken() -> None:
    with bind(0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(UsageError, match=f"Port {port} cannot be used"):
            bind(port)
