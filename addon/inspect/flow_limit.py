"""The list of flows kept short: mitmweb and mitmproxy themselves keep every flow for ever."""

from mitmproxy import ctx, http


class FlowLimit:
    """Past `max_flows` the oldest finished flow goes, those with a mark last."""

    name = "llm_flow_limit"

    def __init__(self, max_flows: int) -> None:
        self._max_flows = max_flows

    def response(self, flow: http.HTTPFlow) -> None:
        view = ctx.master.addons.get("view")
        # What is being loaded from a file should be there to be looked at.
        if view is None or not flow.live:
            return
        if (excess := view.store_count() - self._max_flows) > 0:
            finished = [each for each in view.resolve("@all") if not each.live]
            finished.sort(key=lambda each: bool(each.marked))
            view.remove(finished[:excess])

    error = response
