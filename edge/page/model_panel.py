"""The panel that says which model answers and whether it is better, and that brings the previous one back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from garmentlite.edge.errors import GarmentliteError
from garmentlite.edge.model_swap import ModelInUse, ModelSwap
from garmentlite.edge.page.collected_panel import in_thread
from garmentlite.edge.page.features import Feature
from garmentlite.edge.page.handlers import Page, PageHandler

_SCRIPT = Path(__file__).parent / "static" / "model.js"


def model_panel(swap: ModelSwap) -> Feature:
    """Makes the panel.

    Args:
        swap: Watches the model file.
    """
    return Feature(
        name="model",
        title="Model",
        script=_SCRIPT.read_text(encoding="utf-8"),
        handlers=[
            ("/model", ModelHandler, {"swap": swap}),
            ("/model/back", BackHandler, {"swap": swap}),
        ],
    )


class ModelHandler(PageHandler):
    """Says which model answers."""

    def initialize(self, page: Page, swap: ModelSwap | None = None, **_: Any) -> None:
        """Takes what the handlers share."""
        super().initialize(page)
        assert swap is not None
        self.swap = swap

    def get(self) -> None:
        """Sends the model and the comparison with the previous one."""
        self.send_json(_document(self.swap.state))


class BackHandler(ModelHandler):
    """Goes back to the previous model."""

    def get(self) -> None:
        """Refuses, since only `post` changes something."""
        self.write_error(405)

    async def post(self) -> None:
        """Goes one step back and sends the model that answers now."""
        try:
            self.send_json(_document(await in_thread(self.swap.step_back)))
        except GarmentliteError as error:
            self.refuse(409, str(error))


def _document(state: ModelInUse) -> dict[str, Any]:
    return {
        "name": state.name,
        "sha256": state.sha256,
        "has_previous": state.has_previous,
        "comparison": None if state.comparison is None else state.comparison.as_document(),
    }
