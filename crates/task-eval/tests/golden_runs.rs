//! `tests/golden/expected`: runs of lm-evaluation-harness 0.4.13. The prompts, the hashes and the scores that follow
//! from its model's answers must be the same here.

mod support;

use serde_json::Value;
use support::{Outcome, Replay, compare_entry, compare_samples, golden, read_json, read_samples};
use task_eval::{ChatOptions, Limit, ModelTokenizer, Options, PreparedTask, RunInfo, TaskLibrary, to_harness_json};

/// A run of the harness: its folder, its model and what was not as usual.
struct Run {
    name: &'static str,
    model: &'static str,
    options: Options,
}

fn run(name: &'static str, model: &'static str) -> Run {
    Run { name, model, options: Options::default() }
}

#[test]
fn a_tokenizer_that_adds_bos_gives_the_harnesss_results() -> Outcome {
    check(&run("bos", "bos"))
}

#[test]
fn a_tokenizer_whose_bos_is_its_eos_gives_the_harnesss_results() -> Outcome {
    check(&run("nobos", "nobos"))
}

#[test]
fn log_likelihood_tasks_give_the_harnesss_results() -> Outcome {
    for name in ["ll", "ll_empty", "ll_nocache"] {
        check(&run(name, "bos"))?;
    }
    Ok(())
}

#[test]
fn corpus_metrics_give_the_harnesss_results() -> Outcome {
    check(&run("binary", "bos"))
}

#[test]
fn metrics_of_generated_texts_give_the_harnesss_results() -> Outcome {
    check(&run("text", "bos"))
}

#[test]
fn a_limit_takes_the_first_documents_of_each_task() -> Outcome {
    let options = Options { limit: Some(Limit::Count(7)), ..Options::default() };
    check(&Run { options, ..run("lim_int", "bos") })
}

#[test]
fn a_short_window_changes_no_prompt() -> Outcome {
    let options = Options { max_length: Some(50), ..Options::default() };
    check(&Run { options, ..run("maxlen", "bos") })
}

/// Every sample and every result of the run.
/// The scores are those of a model in bfloat16, and of its own arithmetic: a step of theirs is up to 1.
#[test]
fn a_model_in_bf16_is_summed_up_as_the_harness_does() -> Outcome {
    check(&run("bf16", "bos"))
}

#[test]
fn answers_that_are_begun_give_the_harnesss_results() -> Outcome {
    let options = Options { limit: Some(Limit::Count(4)), bootstrap_iterations: 1000, ..Options::default() };
    check(&Run { options, ..run("begun", "bos") })
}

fn in_chat(single_turn: bool, system_instruction: Option<&str>) -> Options {
    Options {
        limit: Some(Limit::Count(4)),
        chat: Some(ChatOptions { single_turn, ..ChatOptions::default() }),
        system_instruction: system_instruction.map(str::to_owned),
        ..Options::default()
    }
}

#[test]
fn a_conversation_of_several_turns_is_the_harnesss() -> Outcome {
    check(&Run { options: in_chat(false, Some("Be brief.")), ..run("chat_multi", "bos_chat") })?;
    let options = Options { bootstrap_iterations: 1000, ..in_chat(false, None) };
    check(&Run { options, ..run("chat_turns", "bos_chat") })
}

#[test]
fn a_conversation_of_one_turn_is_the_harnesss() -> Outcome {
    let options = Options { bootstrap_iterations: 1000, ..in_chat(true, Some("Be brief.")) };
    check(&Run { options, ..run("chat_single", "bos_chat") })
}

#[test]
fn a_template_that_refuses_system_messages_is_given_none() -> Outcome {
    let options = Options { bootstrap_iterations: 1000, ..in_chat(false, Some("Be brief.")) };
    check(&Run { options, ..run("chat_strict", "bos_strict") })
}

#[test]
fn a_model_without_the_chat_template_asked_for_is_named() -> Outcome {
    let task = TaskLibrary::load(&[golden("tasks")])?.task("g_fs_first_n")?.pop().ok_or("no task")?;
    let named = ChatOptions { template: Some("tools".to_owned()), ..ChatOptions::default() };
    for (model, chat, part) in [
        ("bos", ChatOptions::default(), "there is no chat template beside it, as base models have none"),
        ("bos_chat", named, "there is no chat template `tools` beside it; there are `default`"),
    ] {
        let options = Options { chat: Some(chat), ..Options::default() };
        let error = PreparedTask::new(&task, &text_of(model)?, &options).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json: ") && error.contains(part), "{error}");
    }
    let text = text_of("bos")?.with_chat_template("{{ 1 +");
    let error = PreparedTask::new(&task, &text, &in_chat(false, None)).unwrap_err().to_string();
    assert!(error.contains("the chat template beside it is not valid: syntax error"), "{error}");
    Ok(())
}

#[test]
fn a_template_that_loses_the_beginning_of_an_answer_is_an_error() -> Outcome {
    let task = TaskLibrary::load(&[golden("tasks")])?.task("g_mc_prefix")?.pop().ok_or("no task")?;
    let text = text_of("bos")?.with_chat_template("{% for m in messages[:-1] %}{{ m.content }}{% endfor %}");
    let error = PreparedTask::new(&task, &text, &in_chat(false, None)).unwrap_err().to_string();
    assert!(error.starts_with("task `g_mc_prefix`, document 0: ") && error.contains("\"The answer is\""), "{error}");
    Ok(())
}

/// A golden model's tokenizer; those with a chat template have nothing else of their own.
fn text_of(model: &str) -> Outcome<ModelTokenizer> {
    let template = golden(&format!("models/{model}/chat_template.jinja"));
    if !template.exists() {
        return Ok(ModelTokenizer::load(golden(&format!("models/{model}")))?);
    }
    let changed = [("chat_template.jinja".to_owned(), std::fs::read(template)?)].into_iter().collect();
    Ok(ModelTokenizer::load_changed(golden("models/bos"), &changed)?)
}

fn check(run: &Run) -> Outcome {
    let theirs = read_json(&format!("expected/{}/results.json", run.name))?;
    let text = text_of(run.model)?;
    let library = TaskLibrary::load(&[golden("tasks"), golden("chat_tasks")])?;
    let groups = theirs.get("groups").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = groups.filter(|name| *name == "g_group_w").collect();
    let grouped: Vec<String> = library.select(&names)?.tasks.into_iter().map(|task| task.task).collect();
    let tasks = theirs["n-samples"].as_object().ok_or("no n-samples")?;
    names.extend(tasks.keys().map(String::as_str).filter(|name| !grouped.iter().any(|other| other == name)));
    let selection = library.select(&names)?;
    assert_eq!(selection.tasks.len(), tasks.len(), "{}", run.name);
    let (mut prepared, mut results) = (Vec::new(), Vec::new());
    for task in &selection.tasks {
        let ready = PreparedTask::new(task, &text, &run.options)?;
        let samples = read_samples(run.name, &task.task)?;
        let mut model = Replay::new(&ready, &samples, &text, text.max_length())?;
        let result = ready.evaluate(&mut model)?;
        compare_samples(run.name, &ready, &result, &samples)?;
        prepared.push(ready);
        results.push(result);
    }
    let info = RunInfo { options: run.options.clone(), ..RunInfo::default() };
    let ours = to_harness_json(&selection, &prepared, &results, &info);
    for key in ["results", "groups"] {
        for (task, entry) in theirs.get(key).and_then(Value::as_object).into_iter().flatten() {
            compare_entry(&format!("{} {key} {task}", run.name), &ours[key][task], entry)?;
        }
    }
    for key in ["versions", "n-shot", "n-samples", "task_hashes", "group_subtasks"] {
        assert_eq!(ours[key], theirs[key], "{}: {key}", run.name);
    }
    for key in ["fewshot_as_multiturn", "chat_template", "system_instruction"] {
        assert_eq!(ours[key], theirs[key], "{}: {key}", run.name);
    }
    compare_directions(&ours["higher_is_better"], &theirs["higher_is_better"]);
    Ok(())
}

/// Of a group, the harness also lists metrics that the group does not sum up.
fn compare_directions(ours: &Value, theirs: &Value) {
    for (task, metrics) in theirs.as_object().into_iter().flatten() {
        for (metric, direction) in metrics.as_object().into_iter().flatten() {
            if let Some(found) = ours[task].get(metric) {
                assert_eq!(found, direction, "{task}: {metric}");
            }
        }
    }
}
