"""Has `wandb sync` upload what Kindling's tracker wrote, to a server of this script, and compares what arrives."""
import gzip
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


class Server(http.server.BaseHTTPRequestHandler):
    """As much of W&B's API as a sync of an offline run asks for."""

    protocol_version = "HTTP/1.1"
    rows: list = []
    summary: dict = {}
    runs: list = []
    ends: list = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.answer(self.graphql(json.loads(body)) if self.path == "/graphql" else self.stream(body))

    def do_GET(self):
        self.answer({})

    do_PUT = do_POST

    def stream(self, body):
        if "file_stream" not in self.path:
            return {}
        sent = json.loads(body)
        files = sent.get("files", {})
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.rows.append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summary.update(json.loads(line))
        if sent.get("complete"):
            self.ends.append(sent.get("exitcode"))
        return {"exitcode": None, "limits": {}}

    def graphql(self, request):
        name = request.get("operationName")
        if name == "UpsertBucket":
            self.runs.append(request["variables"])
            project = {"id": "p", "name": "whales", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": request["variables"]["name"], "displayName": "tracked", "project": project}
            return {"data": {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}}
        if name == "CreateRunFiles":
            return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}}}
        return {"data": {}}

    def answer(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["node", str(Path(__file__).parent / "write_tracked.mjs"), folder], check=True)
        folders = list(Path(folder, "wandb").iterdir())
        assert len(folders) == 1, folders  # the resumed run went on in the same file
        environment = os.environ | {"WANDB_BASE_URL": base, "WANDB_API_KEY": "0" * 40, "WANDB_ENTITY": "me"}
        program = Path(sys.executable).parent / "wandb"
        sync = [str(program), "sync", "--yes", str(folders[0])]
        result = subprocess.run(sync, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
        assert list(folders[0].glob("*.synced")), "wandb did not say that it is synced"
    losses = [(row["_step"], row.get("train/loss")) for row in Server.rows]
    assert losses == [(step, 10 / step) for step in range(1, 11)], losses
    last = Server.rows[-1]
    assert last["validation/accuracy"] == 0.5 and re.match("Call me Ishmael", last["sample"])
    assert last["weights"]["_type"] == "histogram" and sum(last["weights"]["values"]) == 4
    configs = [json.loads(run["config"]) for run in Server.runs if run.get("config")]
    assert configs[0]["learningRate"]["value"] == 0.001 and configs[0]["tokenizer"]["value"] == "bpe", configs
    assert Server.runs[0]["project"] == "whales" and Server.runs[0]["displayName"] == "tracked"
    assert Server.summary["validation/loss"] == 2, Server.summary
    assert Server.ends == [0], Server.ends
    print("wandb sync uploads the run: config, each step once, text, histogram, summary, end")


main()
