"""Reads with huggingface_hub a card that Kindling writes: front matter, results there and back, code that is Python."""
import ast
import re
import subprocess

from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index

PROGRAM = """
import { estimateEnergy, modelCard, thisHardware } from "./dist/track/index.js";
const task = { type: "text-classification", name: "Spam" };
const dataset = { type: "spamassassin", name: "SpamAssassin", split: "test" };
const results = [
  { task, dataset, metric: { type: "accuracy", value: 0.9871 }, interval: { low: 0.98, high: 0.99, confidence: 0.95 } },
  { task, dataset, metric: { type: "f1", name: "F1 of spam", value: 0.97 } },
];
const rest = { results, seconds: 60, hardware: thisHardware(), energy: estimateEnergy({ seconds: 60, cores: 2 }) };
const names = { license: "apache-2.0", languages: ["en", "no"], pipelineTag: process.argv[1], tags: ["yes", "1e3", "a: b"] };
const data = [{ name: "Enron", hubId: "me/enron" }];
const base = { baseModels: ["google-bert/bert-base-uncased"], baseModelRelation: "finetune" };
process.stdout.write(modelCard({ name: "me/spam", summary: "Tells spam from ham.", data, ...names, ...base, ...rest }));
"""


def main():
    for task in ("text-classification", "question-answering", "translation", "text-generation"):
        run = ["node", "--input-type=module", "-e", PROGRAM, task]
        text = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        card = ModelCard(text, ignore_metadata_errors=False)
        data = card.data
        assert (data.license, data.language, data.pipeline_tag) == ("apache-2.0", ["en", "no"], task)
        assert (data.base_model, data.datasets) == ("google-bert/bert-base-uncased", ["me/enron"])
        assert (data.library_name, data.tags) == ("transformers", ["kindling", "yes", "1e3", "a: b"])
        assert data.model_name == "me/spam"
        found = [(r.task_name, r.dataset_split, r.metric_type, r.metric_name, r.metric_value) for r in data.eval_results]
        assert found == [("Spam", "test", "accuracy", None, 0.9871), ("Spam", "test", "f1", "F1 of spam", 0.97)], found
        index = eval_results_to_model_index(data.model_name, data.eval_results)
        assert ModelCard(str(card)).data.to_dict()["model-index"] == index
        for code in re.findall(r"```python\n(.*?)```", text, re.S):
            ast.parse(code)
    print("huggingface_hub reads the cards, and writes the same results")


main()
