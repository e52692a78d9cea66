"""The page: a picture in; its overlay, mask and cutout out."""

import base64
import html
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from segkit.base.errors import InputError
from segkit.demo.subject import KINDS, Subject, analyse
from segkit.inference.model import Model

HEADER = "<h1>segkit</h1><p>Cuts the subject out of a picture.</p>"
WAITING = 20  # events; whoever comes later is told that the page is busy
KEPT = 3600  # seconds that a picture and its results are kept
SAVE = """(file) => {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
}"""


class Page:
    """The page for ``models`` by name. ``examples``: thumbnails by picture; ``folder``: where downloads are written,
    within the one that gradio serves."""

    def __init__(self, models: dict[str, Model], examples: dict[Path, Path], folder: Path) -> None:
        self.models = models
        self.examples = list(examples)
        self.folder = folder
        with gr.Blocks(title="segkit", analytics_enabled=False, fill_width=True, delete_cache=(600, KEPT)) as blocks:
            self._fill(blocks, [[str(thumbnail)] for thumbnail in examples.values()])
        self.blocks = blocks.queue(max_size=WAITING, api_open=False, default_concurrency_limit=1)

    def _fill(self, blocks: gr.Blocks, thumbnails: list[list[str]]) -> None:
        names = list(self.models)
        subject = gr.State(time_to_live=KEPT)
        file = gr.DownloadButton(visible="hidden")
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="controls"):
                gr.HTML(HEADER, elem_id="header")
                drop = gr.File(file_types=["image"], show_label=False, height=130, elem_id="drop")
                note = gr.HTML(elem_id="note")
                threshold = gr.Slider(0.01, 0.99, self._threshold(names[0]), step=0.01, label="Threshold", buttons=[])
                model = gr.Radio(names, value=names[0], label="Model", visible=len(names) > 1)
                examples = gr.Dataset(
                    label="Examples",
                    components=[gr.Image(render=False)],
                    samples=thumbnails,
                    type="index",
                    samples_per_page=8,
                    visible=bool(thumbnails),
                    elem_id="examples",
                )
            with gr.Column(elem_id="results"):
                picture, _ = _panel("picture")
                panels = [_panel(kind) for kind in KINDS]

        drawings = [drawing for drawing, _ in panels]
        results = [subject, note, picture, *drawings]
        seeing: dict[str, Any] = {"concurrency_id": "network", "show_progress_on": results[2:]}
        quiet: dict[str, Any] = {"show_progress": "hidden"}
        seen = drop.upload(self.look, [drop, model, threshold], results, **seeing)
        seen.then(lambda: None, None, drop, **quiet)  # ready for the next picture
        examples.click(self._look_at_example, [examples, model, threshold], results, **seeing)
        switched = model.input(self._threshold, model, threshold, **quiet)
        switched.then(self._look_again, [subject, model, threshold], results, **seeing)
        threshold.input(self._redraw, [subject, threshold], [note, *drawings], trigger_mode="always_last", **quiet)
        for kind, (_, button) in zip(KINDS, panels, strict=True):
            button.click(partial(self._write, kind), [subject, threshold], file, **quiet).success(None, file, js=SAVE)
        if self.examples:
            blocks.load(partial(self._look_at_example, 0), [model, threshold], results, **seeing)

    def _threshold(self, name: str) -> float:
        return self.models[name].metadata["threshold"]

    def look(self, path: str, name: str, threshold: float) -> list[Any]:
        """Run the network on a file; what the page then shows."""
        try:
            subject = analyse(self.models[name], Path(path))
        except InputError as error:
            return [None, _failed(error), _framed("picture"), *map(_framed, KINDS)]
        return [subject, _noted(subject, threshold), _shown("picture", subject, threshold), *_drawn(subject, threshold)]

    def _look_at_example(self, index: int, name: str, threshold: float) -> list[Any]:
        return self.look(str(self.examples[index]), name, threshold)

    def _look_again(self, subject: Subject | None, name: str, threshold: float) -> Any:
        return self.look(str(subject.path), name, threshold) if subject else gr.skip()

    def _redraw(self, subject: Subject | None, threshold: float) -> Any:
        return [_noted(subject, threshold), *_drawn(subject, threshold)] if subject else gr.skip()

    def _write(self, kind: str, subject: Subject | None, threshold: float) -> str:
        try:
            if subject is None:
                raise InputError("The picture is no longer here; drop it again.")
            return str(subject.write(kind, threshold, Path(tempfile.mkdtemp(dir=self.folder))))
        except InputError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from None


def _panel(kind: str) -> tuple[gr.HTML, gr.Button | None]:
    with gr.Column(elem_classes=["result", kind]):
        shown = gr.HTML(_framed(kind))
        if kind == "picture":
            return shown, None
        return shown, gr.Button("Download", size="sm", elem_id=f"download-{kind}")


def _framed(kind: str, image: str = "") -> str:
    return f'<h2>{kind.capitalize()}</h2><div class="stage">{image}</div>'


def _drawn(subject: Subject, threshold: float) -> list[str]:
    return [_shown(kind, subject, threshold) for kind in KINDS]


def _shown(kind: str, subject: Subject, threshold: float) -> str:
    """The preview within the page itself: a file for every position of the slider would have to be deleted."""
    image = subject.preview.image if kind == "picture" else subject.preview.draw(kind, threshold)
    content = io.BytesIO()
    image.save(content, "webp", quality=85, method=0, lossless=kind == "mask")
    source = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    ratio = image.width / image.height
    alt = html.escape(f"{kind.capitalize()} of {subject.path.name}")
    return _framed(kind, f'<img src="{source}" alt="{alt}" style="--ratio: {ratio:.4f}" decoding="sync">')


def _noted(subject: Subject, threshold: float) -> str:
    height, width = subject.probabilities.shape
    name = html.escape(subject.path.name)
    facts = f"{width} × {height} px · {subject.share(threshold):.1%} foreground · {subject.milliseconds:.0f} ms"
    return f"<p><b>{name}</b><br>{facts}</p>"


def _failed(error: InputError) -> str:
    return f'<p role="alert">{html.escape(str(error))}</p>'
