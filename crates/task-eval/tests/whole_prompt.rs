//! `output_type: whole_prompt_ppl`: which requests it makes, how its choice is made, and which metrics it refuses.
//! Scores against torch are in layer-runtime's `golden_tasks`.

use std::path::PathBuf;

use task_eval::{
    LanguageModel, ModelError, ModelTokenizer, Options, PreparedTask, Score, ScoreRequest, TaskConfig, TaskLibrary,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn task() -> Outcome<TaskConfig> {
    Ok(TaskLibrary::load(&[golden("whole_prompt")])?.task("w_choices")?.pop().ok_or("no task")?)
}

/// Finds each token after the first as likely as the function says.
struct PerToken(fn(u32) -> f64);

impl LanguageModel for PerToken {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let sum = |request: &ScoreRequest| request.continuation.iter().map(|&token| (self.0)(token)).sum();
        Ok(requests.iter().map(|request| Score { log_likelihood: sum(request), greedy: false }).collect())
    }
}

#[test]
fn a_request_is_the_whole_prompt_after_its_first_token() -> Outcome {
    for model in ["bos", "nobos"] {
        let tokenizer = ModelTokenizer::load(golden(&format!("models/{model}")))?;
        let prepared = PreparedTask::new(&task()?, &tokenizer, &Options::default())?;
        let samples = prepared.samples(&prepared.evaluate(&mut PerToken(|_| -1.0))?)?;
        for (document, sample) in samples.iter().enumerate() {
            let texts = sample["arguments"].as_object().ok_or("no arguments")?.values();
            for (request, texts) in prepared.score_requests(document).iter().zip(texts) {
                let text = |key| texts[key].as_str().ok_or("no text");
                let whole = tokenizer.encode(&format!("{}{}", text("arg_0")?, text("arg_1")?))?;
                assert_eq!([&*request.context, &*request.continuation].concat(), whole, "{model}");
                assert_eq!(request.context.len(), 1);
            }
        }
    }
    Ok(())
}

/// Equal per token but for the first one, which no model predicts and which counts: of n tokens the loss is
/// (n - 1) / n, so the shortest prompt wins, and the first of equally short ones.
#[test]
fn the_loss_is_divided_by_all_tokens_and_the_first_of_equals_is_chosen() -> Outcome {
    let tokenizer = ModelTokenizer::load(golden("models/bos"))?;
    let prepared = PreparedTask::new(&task()?, &tokenizer, &Options::default())?;
    let result = prepared.evaluate(&mut PerToken(|_| -1.0))?;
    for document in &result.documents {
        let (requests, right) = prepared.choices(document.index).ok_or("no choices")?;
        let lengths: Vec<usize> = requests.iter().map(|request| request.continuation.len()).collect();
        let shortest = lengths.iter().min().and_then(|least| lengths.iter().position(|length| length == least));
        let hit = f64::from(u8::from(shortest == Some(right)));
        assert_eq!(document.metric("acc,none"), Some(hit), "document {}: {lengths:?}", document.index);
    }
    Ok(())
}

#[test]
fn what_is_trained_on_is_the_choice_after_its_question() -> Outcome {
    let tokenizer = ModelTokenizer::load(golden("models/bos"))?;
    let whole = PreparedTask::new(&task()?, &tokenizer, &Options::default())?;
    let as_choices = [("output_type".to_owned(), "multiple_choice".into())].into_iter().collect();
    let choices = PreparedTask::new(&task()?.with_overrides(&as_choices)?, &tokenizer, &Options::default())?;
    for document in 0..whole.len() {
        assert_eq!(whole.gold_answer(document, &tokenizer)?, choices.gold_answer(document, &tokenizer)?);
    }
    Ok(())
}

#[test]
fn normalised_metrics_are_refused() -> Outcome {
    let overrides = [("metric_list".to_owned(), serde_json::json!([{"metric": "acc_norm"}]))].into_iter().collect();
    let error = task()?.with_overrides(&overrides).unwrap_err().to_string();
    assert!(error.contains("supported: acc, as this task's answers are perplexities of whole prompts"), "{error}");
    Ok(())
}
