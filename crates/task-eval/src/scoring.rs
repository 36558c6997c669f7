//! From a document's answers to what each metric observes, and on to the task's numbers.
//!
//! ```text
//! responses ──pipeline of filters──► answer ──Observer of each metric──► Observation ──Aggregation──► Estimate
//! ```
//!
//! Of choices and log-likelihoods there is nothing to filter: every pipeline has the same observations. Which metric
//! reads what is not known here; it is said by the metric.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::code::{CodeError, Sandbox, Verdict};
use crate::components::Components;
use crate::config::{MetricConfig, OutputType, TaskConfig};
use crate::error::{Error, SetupError};
use crate::filters::pipeline::Pipeline;
use crate::metrics::{Answers, ChoiceAnswers, Estimate, Metric, Observation, Observer, choice_loss};
use crate::model::ScoreRequest;
use crate::options::CodeExecution;
use crate::preparation::{ChoiceGold, Gold, Grading, PreparedDocument, Requests};
use crate::python::text::python_str;
use crate::result::Response;

/// A task's filters and metrics, ready to run.
pub(crate) struct Scorer {
    /// The task's file, for errors.
    file: PathBuf,
    /// The task's name, for errors.
    task: String,
    output_type: OutputType,
    /// In the task's order.
    pipelines: Vec<Pipeline>,
    /// In the order in which the harness writes them.
    metrics: Vec<(MetricConfig, Observer)>,
    components: Arc<Components>,
    /// Where programs are run, if a metric runs them.
    sandbox: Option<Sandbox>,
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let metrics: Vec<&MetricConfig> = self.metrics().collect();
        f.debug_struct("Scorer").field("pipelines", &self.pipelines).field("metrics", &metrics).finish_non_exhaustive()
    }
}

/// What one filter's metrics observe in a document, in the order of [`Scorer::metrics`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filtered {
    /// The answer after the filter, for generated ones.
    pub answer: Option<Value>,
    /// One for each metric.
    pub observations: Vec<Observation>,
}

impl Scorer {
    /// Compiles the patterns of filters and metrics, and opens the sandbox, if one of these runs programs.
    ///
    /// # Errors
    /// [`Error::Code`] where programs must not or cannot be run;
    /// [`Error::Setup`] for a filter or a metric that cannot be made ready; it names file and key.
    pub(crate) fn new(task: &TaskConfig, execution: Option<&CodeExecution>) -> Result<Self, Error> {
        let failed = |key: String, source: SetupError| Error::Setup { file: task.file.clone(), key, source };
        let components = &task.components;
        let mut pipelines = Vec::with_capacity(task.filters.len());
        for (place, pipeline) in task.filters.iter().enumerate() {
            let ready = Pipeline::new(pipeline, components);
            pipelines
                .push(ready.map_err(|(step, error)| failed(format!("filter_list[{place}].filter[{step}]"), error))?);
        }
        let mut metrics = Vec::with_capacity(task.metrics.len());
        for (place, config) in task.metrics.iter().enumerate() {
            let metric = components.metrics.get(&config.metric).map_err(SetupError::from);
            let observer = metric.and_then(|metric| metric.observer(&config.settings));
            metrics.push((config.clone(), observer.map_err(|error| failed(format!("metric_list[{place}]"), error))?));
        }
        // Those of generated texts stand in the task's order.
        if task.output_type != OutputType::GenerateUntil {
            metrics.sort_by_key(|(config, _)| components.rank(&config.metric));
        }
        Ok(Self {
            file: task.file.clone(),
            task: task.task.clone(),
            output_type: task.output_type,
            pipelines,
            metrics,
            components: Arc::clone(components),
            sandbox: sandbox(task, execution)?,
        })
    }

    /// The metrics, in the order in which results have them.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &MetricConfig> {
        self.metrics.iter().map(|(metric, _)| metric)
    }

    /// The names of the pipelines, in the task's order.
    pub(crate) fn filter_names(&self) -> impl Iterator<Item = &str> {
        self.pipelines.iter().map(|pipeline| pipeline.name.as_str())
    }

    /// Whether observing takes time, as programs are run.
    pub(crate) fn runs_programs(&self) -> bool {
        self.sandbox.is_some()
    }

    /// What every filter's metrics observe.
    ///
    /// # Errors
    /// [`Error::Filter`] and [`Error::Metric`] for an answer that one of them cannot read.
    pub(crate) fn observe(&self, document: &PreparedDocument, responses: &[Response]) -> Result<Vec<Filtered>, Error> {
        if self.output_type == OutputType::GenerateUntil {
            return self.pipelines.iter().map(|pipeline| self.generated(pipeline, document, responses)).collect();
        }
        let observations = match &document.gold {
            Gold::Choice(gold) => self.choices(gold, document, responses)?,
            Gold::Text(text) => self.likelihood(text, document.index, responses)?,
            Gold::Texts(_) => Vec::new(),
        };
        Ok(self.pipelines.iter().map(|_| Filtered { answer: None, observations: observations.clone() }).collect())
    }

    /// The task's number of one metric, of what it observed in all documents.
    pub(crate) fn aggregate(
        &self,
        metric: &MetricConfig,
        observations: &[&Observation],
        iterations: usize,
    ) -> Result<Estimate, Error> {
        let aggregation = self.components.aggregations.get(&metric.aggregation).map_err(|error| Error::Setup {
            file: self.file.clone(),
            key: "metric_list".to_owned(),
            source: error.into(),
        })?;
        Ok(aggregation.aggregate(observations, iterations))
    }

    /// What each metric observes in a document's answers.
    fn observed(&self, document: usize, answers: &Answers<'_>) -> Result<Vec<Observation>, Error> {
        let observe = |(config, observer): &(MetricConfig, Observer)| {
            observer(answers).map_err(|source| Error::Metric {
                task: self.task.clone(),
                document,
                metric: config.name.clone(),
                source,
            })
        };
        self.metrics.iter().map(observe).collect()
    }

    /// What the metrics observe in a generated text after one pipeline.
    fn generated(
        &self,
        pipeline: &Pipeline,
        document: &PreparedDocument,
        responses: &[Response],
    ) -> Result<Filtered, Error> {
        let texts = match responses.first() {
            Some(Response::Text { texts }) => texts.as_slice(),
            _ => &[],
        };
        let answer = pipeline.apply(texts, &document.values).map_err(|(filter, source)| Error::Filter {
            task: self.task.clone(),
            document: document.index,
            filter,
            source,
        })?;
        let text = python_str(&answer);
        let golds: &[String] = if let Gold::Texts(golds) = &document.gold { golds } else { &[] };
        let passed = self.passed(&answer, golds)?;
        let observations = self.observed(document.index, &Answers::Text { answer: &text, golds, passed: &passed })?;
        Ok(Filtered { answer: Some(answer), observations })
    }

    /// For each program that a pipeline leaves whether it passes one of the golds, which are tests; none where no
    /// metric asks for it.
    fn passed(&self, answer: &Value, golds: &[String]) -> Result<Vec<bool>, Error> {
        let Some(sandbox) = &self.sandbox else { return Ok(Vec::new()) };
        let programs = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
        let passes = |program: &Value| {
            for tests in golds {
                let verdict = sandbox.verdict(&format!("{}\n{tests}", python_str(program)));
                let verdict = verdict.map_err(|source| Error::Code { task: self.task.clone(), source })?;
                if verdict == Verdict::Passed {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        programs.iter().map(passes).collect()
    }

    /// What the metrics observe in choices. The first answers are those of the choices after the question; the others,
    /// if there are any, those of the choices alone.
    fn choices(
        &self,
        gold: &ChoiceGold,
        document: &PreparedDocument,
        responses: &[Response],
    ) -> Result<Vec<Observation>, Error> {
        let (mut log_likelihoods, greedy): (Vec<f64>, Vec<bool>) = responses.iter().filter_map(score).unzip();
        let whole_prompts = self.output_type == OutputType::WholePromptPpl;
        if whole_prompts {
            per_token(&mut log_likelihoods, document.score_requests());
        }
        let count = gold.characters.len().min(log_likelihoods.len());
        let (asked, unconditional) = log_likelihoods.split_at(count);
        let answers = ChoiceAnswers {
            log_likelihoods: asked,
            unconditional,
            greedy: &greedy[..count],
            golds: &gold.places,
            characters: &gold.characters,
            bytes: &gold.bytes,
            right: if let Grading::Share(right) = &gold.grading { Some(right) } else { None },
            agreement: if let Grading::Agreement(agreement) = &gold.grading { Some(agreement) } else { None },
        };
        let answers = if whole_prompts { Answers::WholePrompts(answers) } else { Answers::Choices(answers) };
        self.observed(document.index, &answers)
    }

    /// What the metrics observe in one text's likelihood, rolling or not.
    fn likelihood(&self, text: &str, document: usize, responses: &[Response]) -> Result<Vec<Observation>, Error> {
        let (log_likelihood, greedy) = responses.first().and_then(score).unwrap_or((f64::NAN, false));
        let answers = if self.output_type == OutputType::LoglikelihoodRolling {
            Answers::RollingLogLikelihood { log_likelihood, text }
        } else {
            Answers::LogLikelihood { log_likelihood, greedy }
        };
        self.observed(document, &answers)
    }
}

/// The sandbox of a task with a metric that runs programs.
fn sandbox(task: &TaskConfig, execution: Option<&CodeExecution>) -> Result<Option<Sandbox>, Error> {
    let metrics = &task.components.metrics;
    let runs = |config: &&MetricConfig| metrics.get(&config.metric).is_ok_and(Metric::runs_programs);
    let Some(metric) = task.metrics.iter().find(runs) else { return Ok(None) };
    let opened = match execution {
        Some(execution) => Sandbox::open(execution),
        None => Err(CodeError::NotAllowed { metric: metric.name.clone() }),
    };
    opened.map(Some).map_err(|source| Error::Code { task: task.task.clone(), source })
}

/// Divides each ln p by the number of tokens of its text. The first token counts, although nothing predicts it, as in
/// OpenCompass: the negative of the quotient is the loss that its perplexity mode compares.
fn per_token(log_likelihoods: &mut [f64], requests: &[ScoreRequest]) {
    for (log_likelihood, request) in log_likelihoods.iter_mut().zip(requests) {
        *log_likelihood /= (request.context.len() + request.continuation.len()) as f64;
    }
}

/// ln p of a response, and whether it is the greedy one; None of a text.
fn score(response: &Response) -> Option<(f64, bool)> {
    match response {
        Response::Score { log_likelihood, greedy } => Some((*log_likelihood, *greedy)),
        Response::Rolling { log_likelihood } => Some((*log_likelihood, false)),
        Response::Text { .. } => None,
    }
}

/// The dense loss of [`DocumentResult`](crate::DocumentResult), in nats: per document for choices, per token for texts.
pub(crate) fn loss(document: &PreparedDocument, responses: &[Response]) -> Option<f64> {
    let scores: Vec<f64> = responses.iter().filter_map(score).map(|(ll, _)| ll).collect();
    match (&document.gold, &document.requests) {
        (Gold::Choice(gold), _) => choice_loss(scores.get(..gold.characters.len())?, &gold.places),
        (_, Requests::Score(requests) | Requests::Rolling(requests)) => {
            let tokens: usize = requests.iter().map(|request| request.continuation.len()).sum();
            (tokens > 0).then(|| -scores.iter().sum::<f64>() / tokens as f64)
        }
        (_, Requests::Generate(_)) => None,
    }
}
