//! A model behind a completions server gives the numbers that the same model gives without one.
#![cfg(feature = "completions")]

#[path = "support/request.rs"]
mod request;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use request::Request;
use serde_json::{Value, json};
use task_eval::{
    CompletionsError, CompletionsModel, CompletionsOptions, GenerateRequest, LanguageModel, ModelError, ModelTokenizer,
    Options, PreparedTask, Score, ScoreRequest, TaskLibrary,
};

type Outcome<T = ()> = Result<T, ModelError>;

const VOCABULARY: u32 = 60;
/// The model itself ends after this token.
const END: u32 = 2;
const NEVER: &(dyn Fn(&[u32]) -> bool + Sync) = &|_| false;

/// Numbers without a model: they follow from the tokens, and every prefix has other ones.
fn hash(tokens: &[u32]) -> u64 {
    let step = |hash: u64, &token: &u32| (hash ^ u64::from(token)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    tokens.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn favourite(seen: &[u32]) -> u32 {
    u32::try_from(hash(seen) % u64::from(VOCABULARY)).unwrap_or(0)
}

fn log_probability(seen: &[u32], token: u32) -> f64 {
    if token == favourite(seen) {
        return -0.1;
    }
    -1.0 - (hash(&[seen, &[token]].concat()) % 1000) as f64 / 70.0
}

/// The same numbers without a server.
struct Direct {
    max_length: usize,
}

impl LanguageModel for Direct {
    fn max_length(&self) -> usize {
        self.max_length
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let one = |request: &ScoreRequest| {
            let mut seen = request.context.to_vec();
            let mut score = Score { log_likelihood: 0.0, greedy: true };
            for &token in request.continuation.iter() {
                score.log_likelihood += log_probability(&seen, token);
                score.greedy &= token == favourite(&seen);
                seen.push(token);
            }
            score
        };
        Ok(requests.iter().map(one).collect())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        let one = |request: &GenerateRequest<'_>| {
            let mut new = Vec::new();
            while new.len() < request.max_new_tokens && new.last() != Some(&END) && !(request.stop)(&new) {
                new.push(favourite(&[&request.context[..], &new].concat()));
            }
            new
        };
        Ok(requests.iter().map(one).collect())
    }
}

/// In what a server differs from vLLM.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    None,
    BusyAtFirst(usize),
    Refuses,
    NoLogProbabilities,
    NoTopLogProbabilities,
    IgnoresEcho,
    AddsABeginToken,
    AnswersOnePrompt,
    AnswersBackwards,
    TokensAsText,
    /// `logprobs.content` with ids, and no other list.
    LlamaCpp,
    IsAWebsite,
    SaysNothing,
}

struct Seen {
    path: String,
    authorization: Option<String>,
    body: Value,
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serves until the tests end.
    fn start(habit: Habit) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                if habit == Habit::SaysNothing {
                    kept.push(stream);
                } else if let Err(error) = serve(&stream, habit, &log) {
                    eprintln!("the test's server: {error}");
                }
            }
        });
        Ok(Self { url, seen })
    }

    fn model(&self, options: CompletionsOptions) -> CompletionsModel {
        CompletionsModel::new(&self.url, "tiny", options)
    }

    fn seen<T>(&self, look: impl Fn(&Seen) -> T) -> Vec<T> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().map(look).collect()
    }
}

/// One request, one answer, one connection.
fn serve(stream: &TcpStream, habit: Habit, log: &Mutex<Vec<Seen>>) -> Outcome {
    let Request { path, authorization, body } = Request::read(stream)?;
    let body: Value = serde_json::from_slice(&body)?;
    let before = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(Seen { path, authorization, body: body.clone() });
        log.len() - 1
    };
    let (status, answer) = match habit {
        Habit::BusyAtFirst(count) if before < count => {
            ("503 Service Unavailable", json!({"error": {"message": "Loading model"}}).to_string())
        }
        Habit::Refuses => ("400 Bad Request", json!({"error": {"message": "no such model"}}).to_string()),
        Habit::IsAWebsite => ("200 OK", "<html>".to_owned()),
        _ => ("200 OK", complete(&body, habit)?.to_string()),
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len())?;
    Ok(())
}

fn complete(body: &Value, habit: Habit) -> Outcome<Value> {
    let prompts: Vec<Vec<u32>> = serde_json::from_value(body["prompt"].clone())?;
    let count = if habit == Habit::AnswersOnePrompt { 1 } else { prompts.len() };
    let one = |(index, prompt): (usize, &Vec<u32>)| choice(body, habit, index, prompt);
    let mut choices = prompts.iter().take(count).enumerate().map(one).collect::<Outcome<Vec<Value>>>()?;
    if habit == Habit::AnswersBackwards {
        choices.reverse();
    }
    Ok(json!({"object": "text_completion", "choices": choices}))
}

fn choice(body: &Value, habit: Habit, index: usize, prompt: &[u32]) -> Outcome<Value> {
    let mut tokens = prompt.to_vec();
    if habit == Habit::AddsABeginToken {
        tokens.insert(0, 1);
    }
    let prompt_length = tokens.len();
    let most = usize::try_from(body["max_tokens"].as_u64().ok_or("no max_tokens")?)?;
    let mut finish_reason = "length";
    while tokens.len() < prompt_length + most && finish_reason == "length" {
        tokens.push(favourite(&tokens));
        if tokens.last() == Some(&END) {
            finish_reason = "stop";
        }
    }
    let echoed = body["echo"] == true && habit != Habit::IgnoresEcho;
    let first = if echoed { 0 } else { prompt_length };
    let as_ids = body["return_tokens_as_token_ids"] == true && habit != Habit::TokensAsText;
    let name = |token: u32| if as_ids { format!("token_id:{token}") } else { format!("<{token}>") };
    let (mut names, mut chosen, mut best) = (Vec::new(), Vec::new(), Vec::new());
    for place in first..tokens.len() {
        let (seen, token) = (&tokens[..place], tokens[place]);
        names.push(name(token));
        chosen.push((place > 0).then(|| log_probability(seen, token)));
        let mut top = json!({name(favourite(seen)): log_probability(seen, favourite(seen))});
        top[name(token)] = log_probability(seen, token).into();
        best.push((place > 0).then_some(top));
    }
    let logprobs = match habit {
        Habit::NoLogProbabilities => Value::Null,
        Habit::NoTopLogProbabilities => json!({"tokens": names, "token_logprobs": chosen, "top_logprobs": null}),
        Habit::LlamaCpp => {
            json!({"content": tokens[first..].iter().map(|id| json!({"id": id, "token": "?"})).collect::<Vec<_>>()})
        }
        _ => json!({"tokens": names, "token_logprobs": chosen, "top_logprobs": best}),
    };
    Ok(json!({"index": index, "text": "?", "finish_reason": finish_reason, "logprobs": logprobs}))
}

/// Contexts and continuations of several lengths; every third continuation is the greedy one.
fn requests() -> Vec<ScoreRequest> {
    let request = |number: u32| {
        let context: Vec<u32> = (0..=number % 9).map(|place| (number * 7 + place * 11) % VOCABULARY).collect();
        let mut all = context.clone();
        for place in 0..=number % 4 {
            all.push(if number.is_multiple_of(3) { favourite(&all) } else { (number + place) % VOCABULARY });
        }
        ScoreRequest { continuation: all[context.len()..].into(), context: context.into() }
    };
    (0..50).map(request).collect()
}

fn options() -> CompletionsOptions {
    CompletionsOptions { retry_wait: Duration::from_millis(1), ..CompletionsOptions::default() }
}

/// What a server of this habit makes of two requests.
fn refusal(habit: Habit) -> Outcome<CompletionsError> {
    let server = Server::start(habit)?;
    let outcome = server.model(options()).score(&requests()[..2]);
    let error = outcome.err().ok_or_else(|| format!("{habit:?} is accepted"))?;
    Ok(*error.downcast::<CompletionsError>()?)
}

#[test]
fn scores_are_the_models_whatever_the_batch() -> Outcome {
    let requests = requests();
    let expected = Direct { max_length: 64 }.score(&requests)?;
    assert!(expected.iter().any(|score| score.greedy) && expected.iter().any(|score| !score.greedy));
    for habit in [Habit::None, Habit::TokensAsText, Habit::AnswersBackwards] {
        for batch_size in [0, 1, 7, 50, 1000] {
            let server = Server::start(habit)?;
            let found = server.model(CompletionsOptions { batch_size, ..options() }).score(&requests)?;
            assert_eq!(found, expected, "{habit:?}, batches of {batch_size}");
            assert_eq!(server.seen(|_| ()).len(), requests.len().div_ceil(batch_size.max(1)), "{habit:?}");
        }
    }
    Ok(())
}

#[test]
fn a_request_says_what_the_harness_says_and_asks_for_token_ids() -> Outcome {
    let server = Server::start(Habit::None)?;
    let request = ScoreRequest { context: [5, 6].into(), continuation: [7].into() };
    let with_key = CompletionsOptions { api_key: Some("secret".to_owned()), ..options() };
    assert!(!format!("{with_key:?}").contains("secret"));
    server.model(with_key).score(std::slice::from_ref(&request))?;
    server.model(CompletionsOptions { token_ids: false, ..options() }).score(&[request])?;
    let harness = json!({
        "model": "tiny", "prompt": [[5, 6, 7]], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234,
        "echo": true,
    });
    let mut asking = harness.clone();
    asking["return_tokens_as_token_ids"] = true.into();
    assert_eq!(server.seen(|seen| seen.body.clone()), [asking, harness]);
    assert_eq!(server.seen(|seen| seen.authorization.clone()), [Some("Bearer secret".to_owned()), None]);
    assert_eq!(server.seen(|seen| seen.path.clone()), ["/v1/completions", "/v1/completions"]);
    Ok(())
}

#[test]
fn answers_are_the_models_whatever_the_step() -> Outcome {
    let at_a_multiple = |new: &[u32]| new.last().is_some_and(|token| token.is_multiple_of(9));
    let requests: Vec<GenerateRequest<'_>> = (0..30_usize)
        .map(|number| GenerateRequest {
            context: [u32::try_from(number).unwrap_or(0), 9].into(),
            max_new_tokens: [0, 1, 5, 40][number % 4],
            stop: if number.is_multiple_of(2) { NEVER } else { &at_a_multiple },
        })
        .collect();
    let expected = Direct { max_length: 64 }.generate(&requests)?;
    assert!(expected.iter().any(|answer| answer.last() == Some(&END)), "none ends by itself");
    for habit in [Habit::None, Habit::LlamaCpp] {
        for (batch_size, generation_step) in [(1, 1), (4, 3), (30, 64)] {
            let server = Server::start(habit)?;
            let found =
                server.model(CompletionsOptions { batch_size, generation_step, ..options() }).generate(&requests)?;
            assert_eq!(found, expected, "{habit:?}, batches of {batch_size}, steps of {generation_step}");
        }
    }
    Ok(())
}

#[test]
fn a_task_has_the_same_result_through_a_server() -> Outcome {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = ModelTokenizer::load(golden.join("models/bos"))?;
    let library = TaskLibrary::load(&[golden.join("tasks")])?;
    let server = Server::start(Habit::None)?;
    let mut served = server.model(CompletionsOptions { max_length: text.max_length() + 2, ..options() });
    assert_eq!(served.window(), text.max_length());
    let mut direct = Direct { max_length: text.max_length() };
    let options = Options { bootstrap_iterations: 0, ..Options::default() };
    for task in library.select(&["g_mc_basic", "g_gen", "g_roll"])?.tasks {
        let prepared = PreparedTask::new(&task, &text, &options)?;
        assert_eq!(prepared.evaluate(&mut served)?, prepared.evaluate(&mut direct)?, "{}", task.task);
    }
    Ok(())
}

#[test]
fn an_overloaded_server_is_asked_again() -> Outcome {
    let requests = &requests()[..3];
    let expected = Direct { max_length: 64 }.score(requests)?;
    let server = Server::start(Habit::BusyAtFirst(2))?;
    assert_eq!(server.model(options()).score(requests)?, expected);
    assert_eq!(server.seen(|_| ()).len(), 3);

    let server = Server::start(Habit::BusyAtFirst(2))?;
    let error = server.model(CompletionsOptions { retries: 1, ..options() }).score(requests).unwrap_err();
    assert!(error.to_string().ends_with("/v1/completions: the server answers 503: Loading model"), "{error}");
    Ok(())
}

#[test]
fn a_refusal_is_told_in_the_servers_words_and_not_repeated() -> Outcome {
    let server = Server::start(Habit::Refuses)?;
    let error = server.model(options()).score(&requests()[..1]).unwrap_err().downcast::<CompletionsError>()?;
    assert!(matches!(&*error, CompletionsError::Status { status: 400, message, .. } if message == "no such model"));
    assert_eq!(server.seen(|_| ()).len(), 1);
    Ok(())
}

#[test]
fn an_answer_that_is_no_score_is_an_error_that_says_why() -> Outcome {
    let error = refusal(Habit::NoLogProbabilities)?;
    assert!(matches!(error, CompletionsError::NoLogProbabilities { field: "token_logprobs", .. }), "{error}");
    assert!(error.to_string().contains("`--logits_all true`"), "{error}");
    let error = refusal(Habit::NoTopLogProbabilities)?;
    assert!(matches!(error, CompletionsError::NoLogProbabilities { field: "top_logprobs", .. }), "{error}");
    let error = refusal(Habit::IgnoresEcho)?;
    assert!(matches!(error, CompletionsError::WrongLength { tokens: 2, found: 1, .. }), "{error}");
    let error = refusal(Habit::AddsABeginToken)?;
    assert!(matches!(error, CompletionsError::OtherPrompt { place: 0, sent: 0, scored: 1, .. }), "{error}");
    let error = refusal(Habit::AnswersOnePrompt)?;
    assert!(matches!(error, CompletionsError::WrongCount { asked: 2, answered: 1, .. }), "{error}");
    let error = refusal(Habit::IsAWebsite)?;
    assert!(matches!(error, CompletionsError::NotCompletions { .. }), "{error}");
    Ok(())
}

#[test]
fn a_token_without_a_number_is_an_error_that_names_its_place() -> Outcome {
    let server = Server::start(Habit::None)?;
    let without_context = ScoreRequest { context: [].into(), continuation: [7].into() };
    let error = server.model(options()).score(&[without_context]).unwrap_err().downcast::<CompletionsError>()?;
    assert!(matches!(*error, CompletionsError::NoLogProbability { place: 0, .. }), "{error}");
    Ok(())
}

#[test]
fn generation_needs_token_ids() -> Outcome {
    let request = GenerateRequest { context: [3].into(), max_new_tokens: 4, stop: NEVER };
    for (habit, token_ids) in [(Habit::TokensAsText, true), (Habit::None, false), (Habit::NoLogProbabilities, true)] {
        let server = Server::start(habit)?;
        let mut model = server.model(CompletionsOptions { token_ids, ..options() });
        let error = model.generate(std::slice::from_ref(&request)).unwrap_err().downcast::<CompletionsError>()?;
        assert!(matches!(*error, CompletionsError::NoTokenIds { .. }), "{habit:?}: {error}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_or_silent_is_a_connection_error() -> Outcome {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut model = CompletionsModel::new(&format!("http://{nobody}/v1"), "tiny", options());
    let error = model.score(&requests()[..1]).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(CompletionsError::Connection { .. })), "{error}");
    assert!(error.to_string().contains("is the server running"), "{error}");

    let server = Server::start(Habit::SaysNothing)?;
    let impatient = CompletionsOptions { timeout: Duration::from_millis(100), retries: 1, ..options() };
    let error = server.model(impatient).score(&requests()[..1]).unwrap_err();
    assert!(error.to_string().contains("Raise `timeout`"), "{error}");
    Ok(())
}
