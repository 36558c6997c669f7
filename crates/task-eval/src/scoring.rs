//! From a document's answers to what each metric observes.

use serde_json::Value;

use crate::config::{MetricConfig, OutputType, TaskConfig};
use crate::error::Error;
use crate::filters::Pipeline;
use crate::metrics::accuracy::argmax;
use crate::metrics::exact_match::ExactMatch;
use crate::metrics::likelihood::{choice_loss, count_words, share};
use crate::metrics::text::TextMetric;
use crate::metrics::{METRICS, MetricKind, Observation, brier};
use crate::preparation::{ChoiceGold, Gold, Grading, PreparedDocument, Work};
use crate::python::text::python_str;
use crate::result::Response;

/// A task's filters and metrics, ready to run.
#[derive(Debug)]
pub(crate) struct Scorer {
    task: String,
    output_type: OutputType,
    pipelines: Vec<Pipeline>,
    /// In the order in which the harness writes them.
    metrics: Vec<(MetricConfig, ExactMatch)>,
}

/// What one filter's metrics observe in a document, in the order of [`Scorer::metrics`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filtered {
    /// The answer after the filter, for generated ones.
    pub answer: Option<Value>,
    pub observations: Vec<Observation>,
}

impl Scorer {
    pub(crate) fn new(task: &TaskConfig) -> Result<Self, Error> {
        let bad = |key: &str, (pattern, source): (String, Box<fancy_regex::Error>)| Error::Pattern {
            file: task.file.clone(),
            key: key.to_owned(),
            pattern,
            source,
        };
        let pipelines = task.filters.iter().map(Pipeline::new).collect::<Result<_, _>>();
        let ready = |metric: &MetricConfig| Ok((metric.clone(), ExactMatch::new(&metric.exact_match)?));
        let metrics = task.metrics.iter().map(ready).collect::<Result<Vec<_>, _>>();
        let mut metrics = metrics.map_err(|error| bad("metric_list.regexes_to_ignore", error))?;
        // Those of generated texts stand in the task's order.
        if task.output_type != OutputType::GenerateUntil {
            metrics.sort_by_key(|(metric, _)| METRICS.iter().position(|row| row.kind == metric.metric));
        }
        Ok(Self {
            task: task.task.clone(),
            output_type: task.output_type,
            pipelines: pipelines.map_err(|error| bad("filter_list", error))?,
            metrics,
        })
    }

    pub(crate) fn metrics(&self) -> impl Iterator<Item = &MetricConfig> {
        self.metrics.iter().map(|(metric, _)| metric)
    }

    pub(crate) fn filter_names(&self) -> impl Iterator<Item = &str> {
        self.pipelines.iter().map(|pipeline| pipeline.name.as_str())
    }

    /// What every filter's metrics observe.
    pub(crate) fn observe(&self, document: &PreparedDocument, responses: &[Response]) -> Result<Vec<Filtered>, Error> {
        if self.output_type == OutputType::GenerateUntil {
            return self.pipelines.iter().map(|pipeline| self.generated(pipeline, document, responses)).collect();
        }
        let observations = match &document.gold {
            Gold::Choice(gold) => self.choice(gold, responses),
            Gold::Text(text) => self.likelihood(text, responses),
            Gold::Texts(_) => Vec::new(),
        };
        Ok(self.pipelines.iter().map(|_| Filtered { answer: None, observations: observations.clone() }).collect())
    }

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
        let answer = pipeline.apply(texts).map_err(|(filter, source)| Error::Filter {
            task: self.task.clone(),
            document: document.index,
            filter,
            source,
        })?;
        let text = python_str(&answer);
        let golds: &[String] = if let Gold::Texts(golds) = &document.gold { golds } else { &[] };
        let observe = |(metric, exact): &(MetricConfig, ExactMatch)| match TextMetric::of(metric.metric) {
            Some(metric) => {
                let counts = Box::new(metric.counts(&text, golds));
                Ok(Observation::Text { metric, golds: golds.to_vec(), answer: text.clone(), counts })
            }
            None => {
                let equal = exact.matches_any(&text, golds).map_err(|source| Error::Metric {
                    task: self.task.clone(),
                    document: document.index,
                    metric: metric.metric.name(),
                    source,
                })?;
                Ok(Observation::Number(f64::from(u8::from(equal))))
            }
        };
        let observations = self.metrics.iter().map(observe).collect::<Result<_, Error>>()?;
        Ok(Filtered { answer: Some(answer), observations })
    }

    fn choice(&self, gold: &ChoiceGold, responses: &[Response]) -> Vec<Observation> {
        let scores: Vec<(f64, bool)> = responses.iter().filter_map(score).collect();
        let count = gold.characters.len();
        let lls: Vec<f64> = scores.iter().take(count).map(|(ll, _)| *ll).collect();
        let is_gold = |place: usize| gold.places.iter().any(|&right| i64::try_from(place) == Ok(right));
        let right = |values: Vec<f64>| Observation::Number(f64::from(u8::from(is_gold(argmax(&values)))));
        let per = |lengths: &[usize]| lls.iter().zip(lengths).map(|(ll, &length)| ll / length as f64).collect();
        let first_gold = gold.places.first().copied().unwrap_or(-1);
        let agreement = match &gold.grading {
            Grading::Agreement(choices) => choices.get(argmax(&lls)),
            _ => None,
        };
        let observe = |(metric, _): &(MetricConfig, ExactMatch)| match metric.metric {
            MetricKind::F1 if agreement.is_some() => {
                Observation::Number(agreement.map_or(0.0, |agreement| agreement.f1))
            }
            MetricKind::Em => Observation::Whole(i64::from(agreement.is_some_and(|agreement| agreement.exact))),
            MetricKind::AccNorm => right(per(&gold.characters)),
            MetricKind::AccBytes => right(per(&gold.bytes)),
            MetricKind::AccMutualInfo => {
                let alone = scores.iter().skip(count).map(|(ll, _)| *ll);
                right(lls.iter().zip(alone).map(|(ll, alone)| ll - alone).collect())
            }
            MetricKind::ExactMatch => {
                let greedy =
                    scores.iter().take(count).enumerate().any(|(place, (_, greedy))| *greedy && is_gold(place));
                Observation::Whole(i64::from(greedy))
            }
            MetricKind::F1 | MetricKind::Mcc => {
                let predicted = i64::try_from(argmax(&lls)).unwrap_or(-1);
                Observation::Classes { gold: first_gold, predicted }
            }
            MetricKind::BrierScore => {
                Observation::Distribution { gold: first_gold, probabilities: brier::softmax(&lls) }
            }
            _ => match &gold.grading {
                Grading::Share(counted) => Observation::Number(share(&lls, counted)),
                _ => right(lls.clone()),
            },
        };
        self.metrics.iter().map(observe).collect()
    }

    fn likelihood(&self, text: &str, responses: &[Response]) -> Vec<Observation> {
        let (log_likelihood, greedy) = responses.first().and_then(score).unwrap_or((f64::NAN, false));
        let observe = |(metric, _): &(MetricConfig, ExactMatch)| match metric.metric {
            MetricKind::Acc => Observation::Whole(i64::from(greedy)),
            MetricKind::WordPerplexity => Observation::Weighted { log_likelihood, count: count_words(text) },
            MetricKind::BytePerplexity | MetricKind::BitsPerByte => {
                Observation::Weighted { log_likelihood, count: text.len() }
            }
            _ => Observation::Number(log_likelihood),
        };
        self.metrics.iter().map(observe).collect()
    }
}

fn score(response: &Response) -> Option<(f64, bool)> {
    match response {
        Response::Score { log_likelihood, greedy } => Some((*log_likelihood, *greedy)),
        Response::Rolling { log_likelihood } => Some((*log_likelihood, false)),
        Response::Text { .. } => None,
    }
}

/// The dense loss of [`DocumentResult`](crate::DocumentResult).
pub(crate) fn loss(document: &PreparedDocument, responses: &[Response]) -> Option<f64> {
    let scores: Vec<f64> = responses.iter().filter_map(score).map(|(ll, _)| ll).collect();
    match (&document.gold, &document.work) {
        (Gold::Choice(gold), _) => choice_loss(scores.get(..gold.characters.len())?, &gold.places),
        (_, Work::Score(requests) | Work::Rolling(requests)) => {
            let tokens: usize = requests.iter().map(|request| request.continuation.len()).sum();
            (tokens > 0).then(|| -scores.iter().sum::<f64>() / tokens as f64)
        }
        (_, Work::Generate(_)) => None,
    }
}
