"""Starts an MLflow server, has Kindling's tracker send it a run and the same resumed, and reads what it has."""
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from mlflow import MlflowClient


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def wait_for(url):
    for _ in range(600):
        try:
            return urllib.request.urlopen(f"{url}/health", timeout=2).read()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"no server at {url}")


def main():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/kept"]
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *store]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(url)
            script = Path(__file__).parent / "write_tracked.mjs"
            subprocess.run(["node", str(script), f"{folder}/run", url], check=True)
            client = MlflowClient(url)
            experiment = client.get_experiment_by_name("whales")
            runs = client.search_runs([experiment.experiment_id])
            assert len(runs) == 1, runs  # the resumed run is the same
            run = runs[0]
            assert (run.info.run_name, run.info.status) == ("tracked", "FINISHED"), run.info
            assert run.data.params == {"learningRate": "0.001", "tokenizer": "bpe", "tied": "true"}, run.data.params
            history = client.get_metric_history(run.info.run_id, "train/loss")
            losses = [(metric.step, metric.value) for metric in sorted(history, key=lambda metric: metric.step)]
            assert [step for step, _ in losses] == list(range(1, 11)), losses
            assert losses[-1] == (10, 1.0) and losses[0] == (1, 10.0), losses
            assert run.data.metrics["validation/accuracy"] == 0.5
            names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
            texts = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "texts")}
            assert names == {"texts", "tracked.jsonl"} and "texts/sample-10.txt" in texts, (names, texts)
            path = client.download_artifacts(run.info.run_id, "texts/sample-10.txt", folder)
            assert Path(path).read_text() == "Call me Ishmael, step 10. 鲸"
        finally:
            server.terminate()
            server.wait()
    print("MLflow has one run: params, each step once, texts and a file")


main()
