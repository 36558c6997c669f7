//! A task made ready once and scored many times.
//!
//! Making it ready needs no model: documents are read, shots drawn, prompts written and cut into tokens. Scoring asks a
//! model and puts its answers through filters, metrics and aggregations (`scoring.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::chat::ChatTemplate;
use crate::config::{OutputType, TaskConfig};
use crate::dataset::Dataset;
use crate::document::{DocumentAt, DocumentReader};
use crate::error::Error;
use crate::fewshot::FewshotSampler;
use crate::hashes::{sha256, task_hash};
use crate::metrics::{Estimate, Observation};
use crate::model::{GenerateRequest, LanguageModel, Score, ScoreRequest};
use crate::options::Options;
use crate::preparation::{Gold, Preparation, PreparedDocument, Requests};
use crate::requests::RequestBuilder;
use crate::result::{DocumentResult, MetricValue, Response, TaskResult};
use crate::scoring::{Scorer, loss};
use crate::stops::StopStrings;
use crate::tokenizer::ModelTokenizer;

/// Documents whose prompts are made at the same time: bounds the shots that are held in memory.
const AT_ONCE: usize = 1024;

/// A task made ready once (documents, shots, prompts, tokens) and scored many times.
///
/// Shots are drawn when it is made, for all its documents in their order: evaluating some of them later changes no
/// prompt. Cloning it is cheap: clones share what was made ready.
///
/// ```
/// use task_eval::{Limit, Options, PreparedTask, TaskLibrary, ModelTokenizer};
///
/// # const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
/// let library = TaskLibrary::load(&[format!("{GOLDEN}/tasks").into()])?;
/// let tokenizer = ModelTokenizer::load(format!("{GOLDEN}/models/bos"))?;
/// let options = Options { limit: Some(Limit::Count(5)), ..Options::default() };
/// for task in library.task("g_fs_testsplit")? {
///     let prepared = PreparedTask::new(&task, &tokenizer, &options)?;
///     assert_eq!((prepared.name(), prepared.len()), ("g_fs_testsplit", 5));
/// }
/// # Ok::<(), task_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PreparedTask {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The task, with the run's split, if it names one, as its test split.
    pub(crate) config: TaskConfig,
    /// Those that are evaluated, in the split's order.
    pub(crate) documents: Vec<PreparedDocument>,
    /// Documents of the split, before the limit.
    pub(crate) original_len: usize,
    /// Shots before each question.
    pub(crate) shots: usize,
    /// Filters and metrics.
    pub(crate) scorer: Scorer,
    /// The template of its prompts, if they are conversations.
    pub(crate) chat_template: Option<String>,
    /// When a generated answer ends.
    stops: StopStrings,
    /// The window in tokens for which requests were cut.
    max_length: usize,
    /// Resamples of [`PreparedTask::evaluate`].
    bootstrap_iterations: usize,
}

impl PreparedTask {
    /// Reads the documents, draws the shots, renders and tokenises the prompts.
    ///
    /// # Errors
    /// What is wrong with the data (missing, empty, broken files), with a document (a template, a built-in function, a
    /// target that no choice is), with the shots (too few), with a text for this tokenizer and window, or with the
    /// patterns of filters and metrics. Each error names the task and the document, or the file and the key.
    pub fn new(task: &TaskConfig, tokenizer: &ModelTokenizer, options: &Options) -> Result<Self, Error> {
        let mut config = task.clone();
        if let Some(split) = &options.split {
            config.test_split = Some(split.clone());
        }
        let split = config.evaluated_split().ok_or_else(|| Error::NoSplit { task: config.task.clone() })?;
        // First, as programs that must not be run are no reason to read the data.
        let scorer = Scorer::new(&config, options.code_execution.as_ref())?;
        let mut dataset = Dataset::new(&config, options);
        let all = dataset.split(split)?.to_vec();
        let chosen = chosen(&config.task, all.len(), options)?;
        let nothing = || Error::NothingToEvaluate {
            task: config.task.clone(),
            limit: options.limit.map_or(0.0, crate::options::Limit::as_number),
        };
        let first = all.first().filter(|_| !chosen.is_empty()).ok_or_else(nothing)?;
        let max_length = options.max_length.unwrap_or(tokenizer.max_length());
        let reader = DocumentReader::new(&config, first.values.keys().cloned().collect())?;
        let mut shots = FewshotSampler::new(&config, &mut dataset, options)?;
        let system = options.system_instruction.as_deref();
        let chat = options.chat.as_ref().map(|chat| ChatTemplate::new(tokenizer, chat)).transpose()?;
        let first = DocumentAt { document: first, index: 0 };
        let preparation = Preparation::new(&reader, tokenizer, system, chat.as_ref(), max_length, first)?;
        let mut documents = Vec::with_capacity(chosen.len());
        for chunk in chosen.chunks(AT_ONCE) {
            // One after the other, as each draw depends on those before it.
            let drawn = chunk.iter().map(|place| shots.draw(&all[*place])).collect::<Result<Vec<_>, _>>()?;
            let rows = chunk.par_iter().zip(drawn).map(|(place, shots)| {
                preparation.document(DocumentAt { document: &all[*place], index: *place }, &shots)
            });
            for document in rows.collect::<Vec<_>>() {
                documents.push(document?);
            }
        }
        let inner = Inner {
            scorer,
            stops: StopStrings::new(tokenizer, &config.generation.until)?,
            documents,
            original_len: all.len(),
            shots: shots.shots_per_document(),
            max_length,
            bootstrap_iterations: options.bootstrap_iterations,
            chat_template: chat.as_ref().map(|chat| chat.source().to_owned()),
            config: config.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        &self.inner.config.task
    }

    /// The task as it was evaluated.
    pub fn config(&self) -> &TaskConfig {
        &self.inner.config
    }

    /// The metrics that an evaluation reports, by `metric,filter` in the order of [`TaskResult::metrics`], and whether
    /// more is better.
    #[must_use]
    pub fn reported_metrics(&self) -> Vec<(String, bool)> {
        let scorer = &self.inner.scorer;
        let under = |filter: &str| {
            let key = |metric: &str| format!("{metric},{filter}");
            scorer.metrics().map(|metric| (key(&metric.name), metric.higher_is_better)).collect::<Vec<_>>()
        };
        scorer.filter_names().flat_map(under).collect()
    }

    /// SHA-256, in hexadecimal, of all that scores depend on beside the model: documents, prompts, right answers, and
    /// the task file but for where the documents lie.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut config = self.config().raw().clone();
        config.retain(|key, _| !matches!(key.as_str(), "dataset_path" | "dataset_name" | "dataset_kwargs"));
        sha256(&format!("{}{}", self.hash(), serde_json::Value::Object(config)))
    }

    /// The harness's `task_hash`.
    pub(crate) fn hash(&self) -> String {
        task_hash(&self.inner.documents, self.inner.scorer.filter_names().count())
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.inner.documents.len()
    }

    /// Whether there is no document; never true, as making such a task is an error.
    pub fn is_empty(&self) -> bool {
        self.inner.documents.is_empty()
    }

    /// The number of shots before each question.
    pub fn shots(&self) -> usize {
        self.inner.shots
    }

    /// The number of documents in the split, before the limit.
    pub fn original_len(&self) -> usize {
        self.inner.original_len
    }

    /// All score requests of one document, for those who count or cache; empty for generation.
    ///
    /// A choice that merges into its context's last token has an empty continuation: the model is not asked, and the
    /// choice counts as certain (ln p = 0), as in the harness.
    pub fn score_requests(&self, document: usize) -> &[ScoreRequest] {
        match self.inner.documents.get(document).map(|document| &document.requests) {
            Some(Requests::Score(requests) | Requests::Rolling(requests)) => requests,
            _ => &[],
        }
    }

    /// The tokens of one document with its right answer after its question: text that the model should find likely,
    /// such as a calibration wants. Of a rolling text the first window, of a generation the question alone; none where
    /// no choice is right.
    pub fn gold_tokens(&self, document: usize) -> Option<Vec<u32>> {
        let document = self.inner.documents.get(document)?;
        let request = match (&document.requests, &document.gold) {
            (Requests::Generate(context), _) => return Some(context.to_vec()),
            (Requests::Score(requests), Gold::Choice(gold)) => requests.get(gold.first()?)?,
            (Requests::Score(requests) | Requests::Rolling(requests), _) => requests.first()?,
        };
        Some([&*request.context, &*request.continuation].concat())
    }

    /// The requests of one multiple-choice document, one for each of its choices, and the place of the right one, the
    /// first of several. None for a document of another kind, or of whose choices none is right.
    pub fn choices(&self, document: usize) -> Option<(&[ScoreRequest], usize)> {
        let document = self.inner.documents.get(document)?;
        let (Requests::Score(requests), Gold::Choice(gold)) = (&document.requests, &document.gold) else {
            return None;
        };
        // Behind them stand the choices without their question, where a metric wants those.
        let choices = requests.get(..gold.bytes.len())?;
        let right = gold.first()?;
        (right < choices.len()).then_some((choices, right))
    }

    /// One document's question and its right answer, as tokens: what a model is trained on. Several right answers give
    /// the first; none is there where no choice is right.
    ///
    /// Of a rolling text it is the first window. The answer of a generation stands as in a shot, with the text behind
    /// it at which generation stops, or the model's own end.
    ///
    /// # Errors
    /// A text that this tokenizer refuses, or that does not fit the window; names task and document.
    pub fn gold_answer(&self, document: usize, tokenizer: &ModelTokenizer) -> Result<Option<ScoreRequest>, Error> {
        let Some(prepared) = self.inner.documents.get(document) else { return Ok(None) };
        let request = match (&prepared.requests, &prepared.gold) {
            (Requests::Generate(_), Gold::Texts(texts)) => {
                let (Some(answer), Some(texts)) = (texts.first(), prepared.arguments.first()) else { return Ok(None) };
                let config = &self.inner.config;
                let stop = config.generation.until.first().map(String::as_str);
                let stop = stop.or_else(|| tokenizer.eos().map(|(_, text)| text)).unwrap_or_default();
                let answer = format!("{}{answer}{stop}", config.target_delimiter);
                return self.builder(prepared, tokenizer).score(&texts.context, &answer).map(Some);
            }
            (Requests::Score(_), Gold::Choice(gold)) if self.config().output_type == OutputType::WholePromptPpl => {
                let texts = gold.first().and_then(|place| prepared.arguments.get(place));
                let answer = texts.map(|texts| (&texts.context, texts.continuation.as_deref().unwrap_or_default()));
                return answer
                    .map(|(context, choice)| self.builder(prepared, tokenizer).score(context, choice))
                    .transpose();
            }
            (Requests::Score(requests), Gold::Choice(gold)) => gold.first().and_then(|place| requests.get(place)),
            (Requests::Score(requests) | Requests::Rolling(requests), _) => requests.first(),
            (Requests::Generate(_), _) => None,
        };
        Ok(request.cloned())
    }

    /// Makes further requests of one document.
    fn builder<'a>(&'a self, document: &PreparedDocument, tokenizer: &'a ModelTokenizer) -> RequestBuilder<'a> {
        RequestBuilder::new(tokenizer, &self.inner.config.task, document.index, self.inner.max_length)
    }

    /// Scores every document. The model is called once or twice, with all requests at once: for scores and for texts.
    ///
    /// # Errors
    /// [`Error::WindowTooSmall`] for a model that sees fewer tokens than the task was prepared for; [`Error::Model`]
    /// and [`Error::WrongCount`] for one that fails; [`Error::Filter`] and [`Error::Metric`] for an answer that cannot
    /// be scored.
    pub fn evaluate(&self, model: &mut dyn LanguageModel) -> Result<TaskResult, Error> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.run(model, &all, self.inner.bootstrap_iterations)
    }

    /// Scores some documents, named by their places from 0; their order is kept.
    ///
    /// Made to be called often: standard errors that need a bootstrap are left out.
    ///
    /// # Errors
    /// As [`PreparedTask::evaluate`]; [`Error::NoSuchDocument`] for a place beyond the task,
    /// [`Error::NothingToEvaluate`] for no place at all.
    pub fn evaluate_documents(&self, model: &mut dyn LanguageModel, documents: &[usize]) -> Result<TaskResult, Error> {
        self.run(model, documents, 0)
    }

    /// Asks the model about the documents at these places and sums its answers up.
    fn run(&self, model: &mut dyn LanguageModel, places: &[usize], iterations: usize) -> Result<TaskResult, Error> {
        let find = |&index: &usize| {
            let (task, len) = (self.name().to_owned(), self.len());
            self.inner.documents.get(index).ok_or(Error::NoSuchDocument { task, index, len })
        };
        let documents = places.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        if documents.is_empty() {
            return Err(Error::NothingToEvaluate { task: self.name().to_owned(), limit: 0.0 });
        }
        let (prepared, model_length) = (self.inner.max_length, model.max_length());
        if model_length < prepared {
            let task = self.name().to_owned();
            return Err(Error::WindowTooSmall { task, prepared, model: model_length });
        }
        let responses = self.ask(model, &documents)?;
        self.summarise(&documents, responses, iterations)
    }

    /// The model's answers, document by document.
    fn ask(&self, model: &mut dyn LanguageModel, documents: &[&PreparedDocument]) -> Result<Vec<Vec<Response>>, Error> {
        let requests = documents.iter().flat_map(|document| document.score_requests());
        let scores: Vec<ScoreRequest> = requests.filter(|request| !request.continuation.is_empty()).cloned().collect();
        let stop = |new: &[u32]| self.inner.stops.reached(new);
        let generate = |document: &&PreparedDocument| match &document.requests {
            Requests::Generate(context) => Some(GenerateRequest {
                context: Arc::clone(context),
                max_new_tokens: self.inner.config.generation.max_new_tokens,
                stop: &stop,
            }),
            _ => None,
        };
        let generations: Vec<GenerateRequest<'_>> = documents.iter().filter_map(generate).collect();
        let scored = if scores.is_empty() { Vec::new() } else { self.checked(scores.len(), model.score(&scores))? };
        let generated = if generations.is_empty() {
            Vec::new()
        } else {
            self.checked(generations.len(), model.generate(&generations))?
        };
        let (mut scored, mut generated) = (scored.into_iter(), generated.into_iter());
        documents
            .iter()
            .map(|document| match &document.requests {
                Requests::Score(requests) => {
                    let mut answer = |request: &ScoreRequest| {
                        let certain = Score { log_likelihood: 0.0, greedy: true };
                        if request.continuation.is_empty() { Some(certain) } else { scored.next() }
                    };
                    Ok(requests.iter().filter_map(|request| answer(request).map(Response::from)).collect())
                }
                Requests::Rolling(windows) => {
                    let log_likelihood = scored.by_ref().take(windows.len()).map(|score| score.log_likelihood).sum();
                    Ok(vec![Response::Rolling { log_likelihood }])
                }
                Requests::Generate(_) => {
                    let text = self.inner.stops.cut(&generated.next().unwrap_or_default())?;
                    // Greedy decoding repeats itself, so it is done once.
                    Ok(vec![Response::Text { texts: vec![text; self.inner.config.repeats] }])
                }
            })
            .collect()
    }

    /// The model's answers, if there are as many as requests.
    fn checked<T>(&self, asked: usize, answers: Result<Vec<T>, crate::model::ModelError>) -> Result<Vec<T>, Error> {
        let task = || self.name().to_owned();
        let answers = answers.map_err(|source| Error::Model { task: task(), source })?;
        if answers.len() == asked {
            Ok(answers)
        } else {
            Err(Error::WrongCount { task: task(), asked, answered: answers.len() })
        }
    }

    /// The result: each metric's observations document by document, and their aggregation.
    fn summarise(
        &self,
        documents: &[&PreparedDocument],
        responses: Vec<Vec<Response>>,
        iterations: usize,
    ) -> Result<TaskResult, Error> {
        let scorer = &self.inner.scorer;
        let mut observed: IndexMap<String, Vec<Observation>> = IndexMap::new();
        let mut results = Vec::with_capacity(documents.len());
        if scorer.runs_programs() {
            // All at once, as their verdicts are kept.
            let all = documents.par_iter().zip(&responses);
            all.try_for_each(|(document, responses)| scorer.observe(document, responses).map(drop))?;
        }
        for (document, responses) in documents.iter().zip(responses) {
            let mut metrics = IndexMap::new();
            let filtered = scorer.observe(document, &responses)?;
            for (filter, filtered) in scorer.filter_names().zip(filtered) {
                for (metric, observation) in scorer.metrics().zip(filtered.observations) {
                    let key = format!("{},{filter}", metric.name);
                    metrics.insert(key.clone(), observation.value());
                    observed.entry(key).or_default().push(observation);
                }
            }
            results.push(DocumentResult {
                index: document.index,
                metrics,
                loss: loss(document, &responses),
                responses,
            });
        }
        let mut metrics = IndexMap::new();
        for filter in scorer.filter_names() {
            for metric in scorer.metrics() {
                let key = format!("{},{filter}", metric.name);
                let observations: Vec<&Observation> = observed.get(&key).into_iter().flatten().collect();
                let Estimate { value, stderr } = scorer.aggregate(metric, &observations, iterations)?;
                metrics.insert(key, MetricValue { value, stderr, higher_is_better: metric.higher_is_better });
            }
        }
        Ok(TaskResult { task: self.name().to_owned(), documents: results, metrics })
    }
}

impl PreparedDocument {
    /// The requests that are scored; none of a generation.
    pub(crate) fn score_requests(&self) -> &[ScoreRequest] {
        match &self.requests {
            Requests::Score(requests) | Requests::Rolling(requests) => requests,
            Requests::Generate(_) => &[],
        }
    }
}

/// The places of the documents that are evaluated, ascending, of `len`.
fn chosen(task: &str, len: usize, options: &Options) -> Result<Vec<usize>, Error> {
    let Some(samples) = &options.samples else {
        return Ok((0..options.limit.map_or(len, |limit| limit.of(len))).collect());
    };
    if let Some(sample) = samples.iter().find(|sample| **sample >= len) {
        return Err(Error::NoSuchSample { task: task.to_owned(), sample: *sample, len });
    }
    Ok(samples.iter().copied().collect::<BTreeSet<_>>().into_iter().collect())
}
