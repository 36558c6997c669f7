//! The report of a finished study: one HTML page that needs nothing else.
//!
//! | file | what it makes |
//! |---|---|
//! | `rows.rs` | the scores of all models, as the rows of a table |
//! | `text.rs` | that table for a terminal, and a summary in sentences |
//! | `retained.rs` | how far the search's scores hold, and what bridges brought |
//! | `screening.rs` | what each layer of a model does, for `tailor inspect --screen` |
//! | `sinks.rs` | the layers that make an attention sink |
//! | `layer_map.rs` | which layer comes from where |
//! | `curve.rs` | the search, trial by trial |
//! | `importance.rs` | what removing a layer does to the objective, and which parameters matter, by the trials |
//! | `objectives.rs` | of a study with two objectives, its trials by both |
//! | `front.rs` | of a study with several objectives, the Pareto front |
//! | `training.rs` | the curve of a training, for `tailor heal` |
//! | `healing.rs` | the models that were healed from the study's recipes, as a table and with their curves |
//! | `svg.rs` | what the pictures have in common |
//! | `page.html`, `style.css` | the page, a template that [`write_report`] fills, and its style |

mod curve;
mod front;
mod healing;
mod importance;
mod layer_map;
mod objectives;
mod retained;
mod rows;
mod screening;
mod sinks;
mod svg;
mod text;
mod training;

use layer_ir::{Cost, Dtype, Expr, Family, OuterExpr, Recipe};
use minijinja::{Environment, Value, context};
use recipe_search::{
    BridgeMethod, FinishedSearch, Parents, Reference, Search, SearchResult, Study, StudyFolder, TestScores,
    TestedBaselines,
};
use zo_search::History;

pub use curve::{CurvePoint, search_curve};
pub use front::{FrontRow, front_curve, front_rows, front_table};
pub use healing::{HEALED_FILE, HealedModel, healed_models, healing_table, record_healed};
pub use importance::{ItemEffect, ItemEffects, ParameterShare, parameter_shares};
pub use layer_map::{Folded, LayerCell, LayerGroup, LayerMap, LayerUse};
pub use objectives::{ObjectivePair, objective_pairs};
pub use retained::{bridge_summary, indistinct_line, refit_gain, retained_line};
pub use rows::{Cell, Group, Row, groups, percent};
pub use screening::screening_table;
pub use sinks::sink_summary;
use text::layer_change;
pub use text::{MANY_TASKS, subject_table, summary, task_table};
pub use training::training_curve;

use crate::Error;
use healing::HealedRow;

const PAGE: &str = include_str!("page.html");
/// What the page of a finished study and that of one that runs look like.
pub(crate) const STYLE: &str = include_str!("style.css");

/// What a page is made of. Every method says one part of it.
struct Contents<'a> {
    study: &'a Study,
    family: &'a Family,
    recipe: &'a Recipe,
    /// What the tailored model takes, stored in `dtype`.
    cost: Cost,
    dtype: Dtype,
    result: &'a SearchResult,
    parents: &'a Parents,
    test: &'a TestScores,
    history: &'a History,
    healed: &'a [HealedModel],
}

/// Writes `report.html`, and its picture by itself as `layer_map.svg`, of the finished study in `folder`, whose test
/// scores [`Search::test`] gives. What was there before is replaced; no model is run.
///
/// # Errors
/// [`recipe_search::Error::Io`] when a file cannot be written; [`recipe_search::Error::LayerIr`] when the result's
/// recipe does not fit the models any more.
pub fn write_report(
    search: &Search,
    folder: &StudyFolder,
    finished: &FinishedSearch,
    test: &TestScores,
) -> Result<(), Error> {
    let FinishedSearch { result, parents, history } = finished;
    let (family, recipe) = (search.family(), &result.best.recipe);
    let dtype = recipe.dtype.unwrap_or_else(|| family.base().dtype());
    let valid = recipe.clone().validate(family, search.registry())?;
    let contents = Contents {
        study: search.study(),
        family,
        recipe,
        cost: Cost::of_recipe(family.base(), &valid, dtype),
        dtype,
        parents,
        history,
        result,
        test,
        healed: &healed_models(folder)?,
    };
    let map = LayerMap::of(recipe, family.base().num_layers());
    folder.write("layer_map.svg", &map.to_svg())?;
    folder.write("report.html", &contents.render()?)?;
    Ok(())
}

impl Contents<'_> {
    /// The page as text.
    fn render(&self) -> Result<String, Error> {
        let mut environment = Environment::new();
        environment.add_template("page.html", PAGE).map_err(Error::Template)?;
        let context = self.context()?;
        environment.get_template("page.html").and_then(|page| page.render(context)).map_err(Error::Template)
    }

    /// What the names in the template stand for: texts that are rounded already, pictures, and rows of tables.
    fn context(&self) -> Result<Value, Error> {
        let (layers, kept) = (self.family.base().num_layers(), self.recipe.layers.len());
        let (reference, delivered) = (&self.test.reference, self.test.delivered());
        let margin = self.test.best_baseline().map(|best| reference.difference(delivered, &best.scores));
        let signed = |share: f64| format!("{:+.1} points", 100.0 * share);
        let effects = ItemEffects::of(self.history);
        let parents = Cost::of_checkpoint(self.family.base(), layers, self.dtype);
        Ok(context! {
            style => STYLE,
            name => self.study.name.as_str(),
            layers, kept,
            split => "test",
            change => layer_change(layers, kept),
            retention => percent(reference.retention(delivered)),
            retention_error => points(reference.retention_error(delivered)),
            retention_base => percent(reference.retention_of_base(delivered)),
            margin => margin.map_or_else(|| "n/a".into(), |(margin, _)| signed(margin)),
            margin_error => margin.map_or_else(|| "n/a".into(), |(_, error)| points(error)),
            parameters => millions(self.cost.parameters),
            parent_parameters => millions(parents.parameters),
            layer_map => LayerMap::of(self.recipe, layers).to_svg(),
            outer_tensors => outer_tensors(self.recipe),
            many => delivered.len() > MANY_TASKS,
            tasks => delivered.iter().map(|score| score.task.clone()).collect::<Vec<_>>(),
            baseline_note => self.baseline_note(),
            groups => groups(self.test, layers, kept).into_iter().map(group_value).collect::<Vec<_>>(),
            curve => search_curve(&CurvePoint::all(self.history)),
            facts => self.facts(),
            effects => effects.as_ref().map(ItemEffects::to_svg),
            effects_note => effects.as_ref().map(ItemEffects::note),
            front => self.front(),
            front_curve => front_curve(&front_rows(self.result, self.test), &self.baselines_by_size()),
            healed => self.healed(),
            confirmation => self.confirmation(),
            optimism => signed(self.optimism()),
            retained => retained_line(self.result, self.test),
            indistinct => indistinct_line(&self.result.confirmation, &self.parents.reference),
            bridges => bridge_summary(self.result, self.test, &self.parents.reference),
            sinks => sink_summary(self.parents, self.recipe),
            refitted => self.result.confirmation.iter().any(|candidate| candidate.sequential.is_some()),
            recipe => self.recipe.to_yaml()?,
            version => env!("CARGO_PKG_VERSION"),
            seed => self.study.seed,
            device => self.study.runtime.device.as_str(),
            hash => self.history.digest(),
        })
    }

    /// The table of the front; empty for a study with one objective, and then the page has no such part.
    fn front(&self) -> Vec<Value> {
        let rows = front_rows(self.result, self.test).into_iter().map(|row| {
            context! {
                removed => row.removed,
                parameters => millions(row.parameters),
                trial => row.trial,
                search => percent(row.search),
                confirm => row.confirmed.map_or_else(|| "not scored".into(), percent),
                test => percent(row.test),
                error => points(row.error),
                file => row.file,
            }
        });
        rows.collect()
    }

    /// The models that were healed, each with its curve.
    fn healed(&self) -> Vec<Value> {
        let own = self.test.recipe.as_str();
        let models = self.healed.iter().map(|model| {
            let HealedRow { name, of, training, before, after, kept, test } = HealedRow::of(model, self.test, own);
            let curve = training_curve(&model.curve, model.best);
            context! { name, of, training, before, after, kept, test, curve }
        });
        models.collect()
    }

    /// How many layers each baseline lacks, and what it retains on the test split.
    fn baselines_by_size(&self) -> Vec<(usize, f64)> {
        let layers = self.family.base().num_layers();
        let removed = |named: &recipe_search::ModelScores| Some(layers.saturating_sub(named.layers?));
        let sized = self.test.baselines.iter().filter_map(|named| Some((removed(named)?, named)));
        sized.map(|(removed, named)| (removed, self.test.reference.retention(&named.scores))).collect()
    }

    /// How the baselines were made, in a sentence.
    fn baseline_note(&self) -> String {
        let settings = &self.study.baselines;
        format!(
            "Baselines: {} random removals of each model; block influence, angular distance and greedy removal judged \
             on {} calibration documents of each task. The search began with their recipes.{}{}",
            settings.random_draws,
            settings.calibration,
            if self.study.space.bridge == BridgeMethod::Off { "" } else { " Each has the same bridges as the trials." },
            match settings.test {
                TestedBaselines::Best => " Here are the best of each method by the search's documents.",
                TestedBaselines::All => "",
            }
        )
    }

    /// What the search did, where its time went, and what the tailored model takes: names and values.
    fn facts(&self) -> Vec<Value> {
        let (search, time, cost) = (&self.study.search, &self.result.time, &self.cost);
        let full = self.history.trials().iter().filter(|record| record.trial.fidelity.is_full()).count();
        // The time of workers is not known here.
        let known = |value: String| if time.by_workers { "on workers".to_owned() } else { value };
        let share = |seconds| known(percent(time.share(seconds)));
        let facts = [
            ("strategy", search.strategy.name.clone()),
            ("trials", format!("{}, of which {full} on all search documents", self.result.trials)),
            ("wall time of the trials", format!("{:.1} s for {} trials", time.trials, time.ran)),
            ("in forward passes", share(time.forward)),
            ("building layers (reading, merging)", share(time.build)),
            ("bookkeeping", share(time.bookkeeping())),
            ("layer-tokens asked for", known(millions(time.layer_tokens))),
            ("saved as prompts begin alike", known(percent(time.work_share(time.shared)))),
            ("saved as recipes begin alike", known(percent(time.work_share(time.kept)))),
            ("tailored weights", format!("{:.1} MB as {:?}", cost.bytes as f64 / 1e6, self.dtype)),
            ("work of a token", format!("{} FLOPs", millions(cost.flops_per_token))),
            (
                "KV cache of a token",
                cost.kv_bytes_per_token.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes")),
            ),
        ];
        facts.into_iter().map(|(name, value)| context! { name, value }).collect()
    }

    /// The candidates, with what they retain on documents that the search saw and on those that it did not.
    fn confirmation(&self) -> Vec<Value> {
        let reference = &self.parents.reference;
        let unseen = |scores: &recipe_search::Scores| {
            if scores.is_empty() { "not scored".to_string() } else { percent(self.unseen().retention(scores)) }
        };
        let rows = self.result.confirmation.iter().map(|candidate| {
            context! {
                name => candidate.name.clone(),
                search => percent(reference.retention(&candidate.search)),
                confirm => unseen(&candidate.confirm),
                refit => refit_gain(candidate, reference),
                chosen => candidate.name == self.result.best.name,
            }
        });
        rows.collect()
    }

    /// The parents on the documents kept for the confirmation; where that is not known, on the search documents.
    fn unseen(&self) -> &Reference {
        self.result.unseen.as_ref().unwrap_or(&self.parents.reference)
    }

    /// By how much the search documents flatter the candidates, on average: a share of the best parents' scores; 0 when
    /// nothing was confirmed.
    fn optimism(&self) -> f64 {
        let reference = &self.parents.reference;
        let confirmed: Vec<f64> = self
            .result
            .confirmation
            .iter()
            .filter(|candidate| !candidate.confirm.is_empty())
            .map(|candidate| reference.retention(&candidate.search) - self.unseen().retention(&candidate.confirm))
            .collect();
        confirmed.iter().sum::<f64>() / confirmed.len().max(1) as f64
    }
}

/// A group of rows as the template reads it.
fn group_value(group: Group) -> Value {
    let cell = |cell: Cell| context! { score => cell.score, error => cell.error, best => cell.best };
    let row = |row: Row| {
        let Row { name, layers, cells, average, retention, retention_base, retention_model } = row;
        let cells = cells.into_iter().map(cell).collect::<Vec<_>>();
        context! { name, layers, average, retention, retention_base, retention_model, cells }
    };
    context! { name => group.name, class => group.class, rows => group.rows.into_iter().map(row).collect::<Vec<_>>() }
}

/// Where embedding, final norm and head come from, in three sentences.
fn outer_tensors(recipe: &Recipe) -> String {
    let of = |outer: &OuterExpr| match outer {
        Expr::Take(source) => source.model.clone(),
        Expr::Merge(merge) => {
            let models: Vec<&str> = merge.sources.iter().map(|source| source.of.model.as_str()).collect();
            format!("{} of {}", merge.method, models.join(", "))
        }
    };
    let outer = &recipe.outer;
    format!("Embedding: {}. Final norm: {}. Head: {}.", of(&outer.embedding), of(&outer.final_norm), of(&outer.head))
}

/// A share in points, hundredths of the best parents' scores.
fn points(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A large count, short, in thousands (k), millions (M) or thousands of millions (G).
fn millions(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}
