//! What is refused by name instead of being scored wrongly: patterns that give up, data that are not here, names that
//! nobody knows; and how a program makes its own names known.

use std::path::PathBuf;

use serde_json::Value;
use tailor_registry::{Entry, Parameter, Settings};
use task_eval::{
    AnswerKind, Components, Error, Filter, FilterStep, GenerateRequest, LanguageModel, Metric, ModelError,
    ModelTokenizer, Observation, ObservationKind, Observer, Options, PreparedTask, Score, ScoreRequest, SetupError,
    TaskLibrary, TaskResult,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// On a text of many `ab` without a `c` this pattern backtracks without end: fancy-regex stops after a million steps.
const ENDLESS: &str = "(a|b|ab)*(?>c)";

/// Writes the same answer to every prompt.
struct Parrot(Vec<u32>);

impl LanguageModel for Parrot {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Err("this model only writes".into())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(vec![self.0.clone(); requests.len()])
    }
}

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn tokenizer() -> Result<ModelTokenizer, Error> {
    ModelTokenizer::load(golden("models/bos"))
}

/// The scores of a generation task with these further keys, whose two documents are all answered with `answer`.
fn generated(keys: &str, answer: &str) -> Outcome<TaskResult> {
    generated_with(Components::default(), keys, answer)
}

fn generated_with(components: Components, keys: &str, answer: &str) -> Outcome<TaskResult> {
    let (folder, tokenizer) = (tempfile::tempdir()?, tokenizer()?);
    let data = "{\"q\": \"x\", \"a\": \"y\"}\n".repeat(2);
    std::fs::write(folder.path().join("data.jsonl"), data)?;
    let task = format!(
        "task: sums\noutput_type: generate_until\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
         dataset_path: json\ndataset_kwargs: {{data_files: {{test: data.jsonl}}}}\n\
         generation_kwargs: {{max_gen_toks: 8}}\n{keys}\n"
    );
    std::fs::write(folder.path().join("sums.yaml"), task)?;
    let task = TaskLibrary::load_with(&[folder.path().to_owned()], components)?.task("sums")?;
    let task = task.into_iter().next().ok_or("no task")?;
    let answer = tokenizer.encode_plain(answer)?;
    Ok(PreparedTask::new(&task, &tokenizer, &Options::default())?.evaluate(&mut Parrot(answer))?)
}

fn refusal(outcome: Outcome<TaskResult>) -> String {
    outcome.map_or_else(|error| error.to_string(), |result| format!("{:?}", result.metrics))
}

#[test]
fn a_filter_whose_pattern_gives_up_is_an_error_not_a_wrong_answer() {
    let keys = format!(
        "filter_list: [{{name: f, filter: [{{function: regex, regex_pattern: '{ENDLESS}'}}, \
         {{function: take_first}}]}}]"
    );
    let refusal = refusal(generated(&keys, &"ab".repeat(40)));
    for part in ["task `sums`", "document 0", "filter `regex`", ENDLESS] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn a_metric_whose_pattern_gives_up_is_an_error_not_a_wrong_answer() {
    let keys = format!("metric_list: [{{metric: exact_match, regexes_to_ignore: ['{ENDLESS}']}}]");
    let refusal = refusal(generated(&keys, &"ab".repeat(40)));
    for part in ["task `sums`", "document 0", "metric `exact_match`", ENDLESS] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn a_template_whose_pattern_gives_up_is_an_error() {
    let text = "ab".repeat(40);
    let keys = format!("description: \"{{{{ '{text}' | regex_replace('{ENDLESS}', '') }}}}\"");
    let refusal = refusal(generated(&keys, "x"));
    for part in ["task `sums`", "document 0", "`description` cannot be rendered"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn where_a_data_set_was_looked_for_is_said_once_a_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let task = "task: sums\noutput_type: loglikelihood\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
                dataset_path: owner/sums";
    std::fs::write(folder.path().join("sums.yaml"), task)?;
    let task = TaskLibrary::load(&[folder.path().to_owned()])?.task("sums")?.pop().ok_or("no task")?;
    let options = Options {
        data_root: folder.path().join("data"),
        hub_cache: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let Err(error) = PreparedTask::new(&task, &tokenizer()?, &options) else { return Err("found".into()) };
    let message = error.to_string();
    let root = folder.path().join("data/owner/sums").display().to_string();
    assert_eq!(message.matches(&root).count(), 1, "{message}");
    Ok(())
}

/// Finds everything equally likely, and says nothing of writing.
struct Scorer;

impl LanguageModel for Scorer {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(vec![Score { log_likelihood: -1.0, greedy: false }; requests.len()])
    }
}

#[test]
fn a_model_that_only_scores_says_so_when_it_is_to_write() -> Outcome {
    let task = TaskLibrary::load(&[golden("tasks")])?.task("g_gen")?.pop().ok_or("no task")?;
    let prepared = PreparedTask::new(&task, &tokenizer()?, &Options::default())?;
    let refusal = refusal(prepared.evaluate(&mut Scorer).map_err(Into::into));
    assert!(refusal.starts_with("task `g_gen`: the model failed: this model only scores"), "{refusal}");
    Ok(())
}

/// How many of some letter the answer has.
#[derive(Debug)]
struct Letters;

const LETTER: &[Parameter] = &[Parameter::text("letter", "The letter that is counted.").with_default_text("e")];

impl Entry for Letters {
    fn name(&self) -> &str {
        "letters"
    }

    fn summary(&self) -> &str {
        "How often a letter stands in the answer."
    }

    fn parameters(&self) -> &[Parameter] {
        LETTER
    }
}

impl Metric for Letters {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Text, ObservationKind::Number)]
    }

    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
        let letter = settings.text("letter")?.to_owned();
        Ok(Box::new(move |answers| Ok(Observation::Whole(answers.text()?.0.matches(&letter).count() as i64))))
    }

    fn higher_is_better(&self) -> bool {
        false
    }
}

/// Each answer twice.
#[derive(Debug)]
struct Doubled;

impl Entry for Doubled {
    fn name(&self) -> &str {
        "doubled"
    }

    fn summary(&self) -> &str {
        "Each answer twice, one after the other."
    }
}

impl Filter for Doubled {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        let twice = |answer: Value| Value::from(answer.as_str().unwrap_or_default().repeat(2));
        Ok(Box::new(move |answers| Ok(answers.into_iter().map(twice).collect())))
    }
}

fn components() -> Outcome<Components> {
    let mut components = Components::default();
    components.metrics.register(Box::new(Letters))?;
    components.filters.register(Box::new(Doubled))?;
    Ok(components)
}

const PIPELINE: &str = "filter_list: [{name: twice, filter: [{function: doubled}, {function: take_first}]}]";

#[test]
fn a_metric_and_a_filter_of_ones_own_are_named_in_a_task_file_and_take_parameters() -> Outcome {
    for (metric, expected) in [("{metric: letters}", 4.0), ("{metric: letters, letter: t}", 6.0)] {
        let result = generated_with(components()?, &format!("{PIPELINE}\nmetric_list: [{metric}]"), "the cat the")?;
        let found = result.metrics.get("letters,twice").ok_or("no metric")?;
        assert_eq!((found.value, found.higher_is_better), (expected, false));
    }
    Ok(())
}

#[test]
fn a_name_that_is_in_no_table_is_refused_with_those_that_are() -> Outcome {
    for (keys, parts) in [
        (
            "metric_list: [{metric: accuracy}]",
            ["`metric_list[0].metric`: no metric is named `accuracy`; there are", "`pass_at_k`, `letters`"],
        ),
        (
            "metric_list: [{metric: letters, aggregation: average}]",
            ["`metric_list[0].aggregation`: no aggregation is named `average`; there are `mean`", "`ter`"],
        ),
        (
            "filter_list: [{name: f, filter: [{function: trim}]}]",
            ["`filter_list[0].filter[0].function`: no filter is named `trim`; there are `regex`", "`doubled`"],
        ),
    ] {
        let refusal = refusal(generated_with(components()?, keys, "x"));
        for part in parts {
            assert!(refusal.contains(part), "{refusal}");
        }
    }
    Ok(())
}

#[test]
fn a_metric_is_refused_where_its_answers_its_aggregation_or_its_parameters_do_not_fit() -> Outcome {
    for (metric, part) in [
        (
            "{metric: acc}",
            "`metric_list[0].metric: acc` is not supported here; supported: exact_match, bleu, chrf, chrf++, ter, \
             rouge1, rouge2, rougeL, rougeLsum, pass_at_1, pass_at_k, letters, as this task's answers are generated \
             texts; `acc` is computed from choices, perplexities of whole prompts, log-likelihoods",
        ),
        (
            "{metric: letters, aggregation: bleu}",
            "`metric_list[0].aggregation: bleu` is not supported here; supported: mean, median, nanmean, perplexity, \
             as `letters` observes numbers",
        ),
        ("{metric: letters, word: a}", "`metric_list[0]`: metric `letters` has no parameter `word`; there is `letter`"),
        ("{metric: letters, letter: 3}", "`metric_list[0]`: metric `letters`: `letter` is 3; it must be a text"),
        ("{metric: exact_match, regexes_to_ignore: '('}", "`metric_list[0]`: the pattern `(` cannot be compiled"),
    ] {
        let refusal = refusal(generated_with(components()?, &format!("metric_list: [{metric}]"), "x"));
        assert!(refusal.contains(part), "{refusal}");
    }
    Ok(())
}
