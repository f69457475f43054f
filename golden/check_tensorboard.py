"""Reads with TensorBoard's EventAccumulator the event files of a run and of the same resumed (write_tracked.mjs)."""
import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PageAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2


def main():
    script = Path(__file__).parent / "write_tracked.mjs"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["node", str(script), folder], check=True)
        sizes = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
        events = str(Path(folder) / "tensorboard")
        run = EventAccumulator(events, size_guidance=sizes).Reload()
        page = PageAccumulator(events, tensor_size_guidance={"text": 0, "scalars": 0}).Reload()  # what its pages show
    losses = [(e.step, round(e.value, 5)) for e in run.Scalars("train/loss")]
    assert losses == [(step, round(10 / step, 5)) for step in range(1, 11)], losses
    assert [e.step for e in run.Scalars("validation/loss")] == [10]
    assert run.Scalars("validation/accuracy")[0].value == 0.5
    texts = [(e.step, e.tensor_proto.string_val[0].decode()) for e in page.Tensors("sample/text_summary")]
    assert [e.step for e in page.Tensors("train/loss")] == list(range(1, 11))
    assert texts == [(10, "Call me Ishmael, step 10. 鲸")], texts
    image = run.Images("red")[0]
    picture = Image.open(io.BytesIO(image.encoded_image_string))
    assert (image.width, image.height, picture.size, picture.getpixel((2, 1))) == (3, 2, (3, 2), (255, 0, 0))
    histogram = run.Histograms("weights")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max, sum(histogram.bucket)) == (4, -1, 2, 4), histogram
    plugin = run.PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(plugin["_hparams_/session_start_info"]).session_start_info
    assert start.hparams["learningRate"].number_value == 0.001 and start.hparams["tied"].bool_value
    assert set(plugin) == {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"}
    print("TensorBoard reads scalars, texts, images, histograms and options; the resumed run has each step once")


main()
