"""Makes templates.json: chat templates and what transformers 5.23 writes with them; and with lm-evaluation-harness 0.4.13 the runs
../expected/chat_single, chat_turns, chat_strict and begun (../expected/chat_multi is made as the other runs are).

    python make.py        # in a virtual environment with lm_eval[hf]==0.4.13

The templates are our own, each in the manner of a family of models. The tiny model of the runs is models/bos.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=tempfile.mkdtemp())

import lm_eval
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent

TEMPLATES = {
    "headers": """{{- bos_token }}
{#- A comment. -#}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\\n\\n" }}
{%- if tools is not none %}{{- "Tools: " ~ tools|tojson }}{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
""",
    "alternating": """{%- set ns = namespace(index=0, system='') -%}
{%- for message in messages if message['role'] != 'system' -%}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
  {%- endif -%}
{%- endfor -%}
{{ bos_token }}
{%- for message in messages -%}
  {%- if message['role'] == 'system' -%}
    {%- set ns.system = message['content'] + '\\n\\n' -%}
  {%- elif message['role'] == 'user' -%}
    {{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}{%- set ns.system = '' -%}
  {%- else -%}
    {{ ' ' + message['content'].strip() + eos_token }}
  {%- endif -%}
  {%- set ns.index = ns.index + 1 -%}
{%- endfor -%}
{{ '<' ~ ns.index ~ '>' }}""",
    "no_system": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<turn>' + role + '\n' + message['content'] | trim + '</turn>\n' }}{% endfor %}
{% if add_generation_prompt %}{{'<turn>model\n'}}{% endif %}
""",
    "thinking": """{%- macro head(role) -%}<|{{ role }}|>{%- endmacro -%}
{%- set last = namespace(user=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set last.user = index %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- head(message.role) }}
        {% generation %}{{ content }}{% endgeneration %}
        {%- if loop.last or (not loop.last and reasoning) %}{{- '(' ~ reasoning.strip('\\n') ~ ')' }}{%- endif %}
    {%- else %}
        {{- head(message.role) + content }}
    {%- endif %}
    {{- '<|end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- head('assistant') }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}{{ last.user }}""",
    "printed": """{% for message in messages %}
{{ message }} {{ message | tojson }} {{ message.items() | list | length }} {{ loop.index }}/{{ loop.length }} {{ true }} {{ none }} {{ 1.0 }} {{ unknown }}
{{ message | tojson(indent=2) }} {{ message.get('tool', []) }} {{ unknown is defined }} {{ message['name'] | default('nobody') }}
{% endfor %}
{{ [1, 'é"\\n', {'a': []}] | tojson }} {{ pad_token }}{{ messages | map(attribute='role') | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
   {% if true -%}   x   {%- endif %}

end   """,
    "undefined": "{{ bos_token }}{{ nothing.at.all }}",
}
SHORT = [("user", " Which? "), ("assistant", " That "), ("user", "And\nnow?")]
CONVERSATIONS = {
    "system": [("system", " Be brief. "), *SHORT],
    "plain": SHORT,
    "one": [("user", "é {{ x }} <b>")],
    "begun": [*SHORT, ("assistant", "The answer is ")],
    "thought": [("user", "1?"), ("assistant", "<think>\nhm\n</think>\n\none"), ("user", "2?")],
    "twice": [("user", "1?"), ("user", "2?")],
}


def rendered(tokenizer, template, messages, variables):
    """As HFLM.apply_chat_template asks, without its second try; None for an error."""
    messages = [{"role": role, "content": content} for role, content in messages]
    begun = messages[-1]["role"] == "assistant"
    try:
        return tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun, **variables
        )
    except Exception:
        return None


def write_templates():
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "models/bos")
    cases = []
    for name, template in TEMPLATES.items():
        for conversation, messages in CONVERSATIONS.items():
            for variables in [{}, {"enable_thinking": False}] if name == "thinking" else [{}]:
                out = rendered(tokenizer, template, messages, variables)
                cases.append({"template": name, "conversation": conversation, "variables": variables, "out": out})
    whole = {"templates": TEMPLATES, "conversations": CONVERSATIONS}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in whole.items()]
    listed = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / "templates.json").write_text("{\n" + ",\n".join(lines) + ',\n"cases": [\n' + listed + "\n]\n}\n")


def run(name, template, tasks, multiturn, system):
    """A run of the harness on models/bos with this chat template, or in plain text."""
    out = GOLDEN / "expected" / name
    shutil.rmtree(out, ignore_errors=True)
    model = Path(tempfile.mkdtemp()) / "model"
    shutil.copytree(GOLDEN / "models/bos", model)
    if template:
        shutil.copy(GOLDEN / f"models/{template}/chat_template.jinja", model)
    arguments = dict(
        model="hf", model_args={"pretrained": str(model), "dtype": "auto"}, device="cpu", batch_size=4, limit=4, log_samples=True,
        tasks=tasks, system_instruction=system, apply_chat_template=template is not None, fewshot_as_multiturn=multiturn, bootstrap_iters=1000,
        task_manager=TaskManager(include_path=[str(GOLDEN / "tasks"), str(GOLDEN / "chat_tasks")], include_defaults=False),
    )
    os.chdir(GOLDEN)
    tracker = EvaluationTracker(output_path=str(out / "raw"))
    results = lm_eval.simple_evaluate(**arguments, evaluation_tracker=tracker)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    for file in (out / "raw").rglob("*.json*"):
        stem = file.name.rsplit("_2", 1)[0]
        if stem == "results":
            kept = ["results", "versions", "n-shot", "n-samples", "higher_is_better", "task_hashes", "group_subtasks", "system_instruction", "chat_template", "fewshot_as_multiturn"]
            whole = json.loads(file.read_text())
            (out / "results.json").write_text(json.dumps({key: whole[key] for key in kept}, indent=1, ensure_ascii=False) + "\n")
        else:
            file.rename(out / f"{stem}.jsonl")
    shutil.rmtree(out / "raw")


def main():
    write_templates()
    every = "g_fs_first_n g_genprefix g_mc_prefix g_wino g_mc_basic g_multi_target g_ll g_gen c_begun c_begun_inputs c_no_answer".split()
    run("chat_single", "bos_chat", every, False, "Be brief.")
    run("chat_turns", "bos_chat", every, True, None)
    run("begun", None, [task for task in every if task.startswith("c_")], None, None)
    run("chat_strict", "bos_strict", every, True, "Be brief.")


if __name__ == "__main__":
    main()
