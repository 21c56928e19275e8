"""The check of mitmproxy's private API."""

from addon import layers


def test_this_mitmproxy_fits() -> None:
    assert layers.incompatibility() is None


def test_what_is_lacking_is_named() -> None:
    used = {
        "mitmproxy.proxy.layers.http": ("HttpLayer", "HttpLayer.gone"),
        "mitmproxy.gone": ("x",),
    }
    line = layers.incompatibility(used)
    assert line is not None
    assert line.endswith(
        "does not fit: it lacks mitmproxy.proxy.layers.http.HttpLayer.gone, mitmproxy.gone.x"
    )
