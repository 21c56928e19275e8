"""HTTP layers for claimed flows: the only place that leans on mitmproxy's private layer API.

Hooks cannot do what is done here: answer a broken upstream in OpenAI's shape instead of
mitmproxy's HTML, give up on a silent upstream, keep a waiting client's connection alive, end a
stream that broke half-way with an error event, limit the size of a body while it arrives, and add
the credential to the bytes on the wire but not to the flow.

Flows without an exchange behave exactly as in stock mitmproxy.
"""
