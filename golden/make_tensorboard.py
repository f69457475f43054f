"""Writes golden/track/tensorboard.json: records of event files, by PyTorch's writer and TensorBoard's messages."""
import base64
import json
from pathlib import Path

import numpy as np
import tensorboard
import torch
from google.protobuf import struct_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter, summary

TIME = 1_700_000_000.25


class Memory:
    def __init__(self):
        self.bytes = b""

    def write(self, data):
        self.bytes += data

    def flush(self):
        pass


def record(event):
    memory = Memory()
    RecordWriter(memory).write(event.SerializeToString(deterministic=True))
    return base64.b64encode(memory.bytes).decode()


def hparams(tag, **content):
    data = plugin_data_pb2.HParamsPluginData(**content).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=plugin))])


def event(step, **content):
    return record(Event(wall_time=TIME, step=step, **content))


def main():
    values = [-3.5, -1e-3, 0.0, 0.0, 1e-13, 0.25, 1.0, 1.05, 7.0]
    bins = SummaryWriter("/tmp/golden-tensorboard").default_bins
    types = api_pb2.DataType
    infos = [
        api_pb2.HParamInfo(name="isTied", type=types.DATA_TYPE_BOOL),
        api_pb2.HParamInfo(name="learningRate", type=types.DATA_TYPE_FLOAT64),
        api_pb2.HParamInfo(name="tokenizer", type=types.DATA_TYPE_STRING),
    ]
    names = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in ("train/loss", "validation/loss")]
    start = plugin_data_pb2.SessionStartInfo(group_name="sotu", start_time_secs=TIME)
    for name, value in {"isTied": False, "learningRate": 0.0, "tokenizer": "bpe"}.items():
        kind = {bool: "bool_value", float: "number_value", str: "string_value"}[type(value)]
        start.hparams[name].CopyFrom(struct_pb2.Value(**{kind: value}))
    cases = {
        "version": event(0, file_version="brain.Event:2"),
        "restart": event(41, session_log=SessionLog(status=SessionLog.START)),
        "scalar": event(3, summary=summary.scalar("train/loss", 2.625)),
        "zero": event(3, summary=summary.scalar("train/loss", 0.0)),
        "not a number": event(3, summary=summary.scalar("train/loss", float("nan"))),
        "text": event(7, summary=summary.text("sample", "Das Wal\u200b 鲸 \U0001f40b")),
        "histogram": event(9, summary=summary.histogram("weights", np.array(values), bins)),
        "options": event(0, summary=hparams("session_start_info", session_start_info=start)),
        "experiment": event(
            0,
            summary=hparams(
                "experiment",
                experiment=api_pb2.Experiment(time_created_secs=TIME, hparam_infos=infos, metric_infos=names),
            ),
        ),
        "end": event(
            90,
            summary=hparams(
                "session_end_info",
                session_end_info=plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=TIME),
            ),
        ),
    }
    target = Path(__file__).parent / "track" / "tensorboard.json"
    target.parent.mkdir(exist_ok=True)
    versions = f"golden/make_tensorboard.py, torch {torch.__version__.split('+')[0]}, tensorboard {tensorboard.__version__}"
    text = json.dumps({"madeBy": versions, "timeSeconds": TIME, "values": values, "records": cases}, indent=1)
    target.write_text(text + "\n")


main()
