//! What follows a search: the checkpoint if one is wanted, the scores on the test split, the report.
//!
//! All of it is derived from what the study's folder holds, so that it may be cut off and done again: `tailor resume`
//! comes back here, `tailor report` to the report alone.

use std::path::{Path, PathBuf};

use merge_ops::{ExportOptions, RecipeTensors, check_output};
use recipe_search::{FinishedSearch, Search, StudyFolder, TestScores, TimeSpent};
use tailor::report::{
    HealedModel, bridge_summary, front_rows, front_table, healed_models, healing_table, indistinct_line, percent,
    retained_line, sink_summary, summary, task_table, write_report,
};
use tailor::{Error, LayerMap};

use super::console::Console;
use super::progress::Progress;

/// What is made of a search's result.
#[derive(Debug, clap::Args)]
pub(super) struct Ending {
    /// Also write the tailored model as a checkpoint into this folder, load it back, and score it on the test split.
    #[arg(long, value_name = "OUT")]
    export: Option<PathBuf>,
    /// Leave the test split and the report for `tailor report DIR`: scoring the family, the baselines and the whole
    /// front there can take longer than the search.
    #[arg(long)]
    no_test: bool,
}

impl Ending {
    /// Whether the checkpoint could be written after the search: better known before it.
    ///
    /// # Errors
    /// [`Error::BadOption`] when one of the two folders lies in the other; what merge-ops says of the folder.
    pub fn check(&self, folder: &StudyFolder) -> Result<(), Error> {
        let Some(out) = &self.export else { return Ok(()) };
        if out == folder.path() || out.starts_with(folder.path()) || folder.path().starts_with(out) {
            let expected = "a folder apart from that of the study";
            return Err(Error::BadOption { option: "export", found: out.display().to_string(), expected });
        }
        Ok(check_output(out, false)?)
    }

    /// Writes the checkpoint if that is wanted; unless they are left out, scores everything on the test split and writes
    /// the report; and says what came out.
    ///
    /// # Errors
    /// What the export, the tasks and the files say. The study's result stays in its folder in any case.
    pub fn finish(
        &self,
        search: &Search,
        folder: &StudyFolder,
        finished: &FinishedSearch,
        mut progress: Progress<'_>,
        console: &Console,
    ) -> Result<(), Error> {
        let recipe = &finished.result.best.recipe;
        if let Some(out) = &self.export {
            progress.stage(format!("writing {}", out.display()));
            let recipe = recipe.clone().validate(search.family(), search.registry())?;
            let source = RecipeTensors { family: search.family(), recipe: &recipe, registry: search.registry() };
            merge_ops::export(source, out, &ExportOptions::default())?;
        }
        let mut files = vec![format!("Recipe {}", folder.file("best.yaml").display())];
        if self.no_test {
            progress.end();
            console.say(&LayerMap::of(recipe, search.family().base().num_layers()).to_text())?;
        } else {
            let test = tested(search, folder, finished, self.export.as_deref(), &mut progress)?;
            write_report(search, folder, finished, &test)?;
            progress.end();
            console.say(&described(search, finished, &test, &healed_models(folder)?))?;
            files.push(format!("report {}", folder.file("report.html").display()));
        }
        files.extend(self.export.as_deref().map(|out| format!("model {}", out.display())));
        console.say(&format!("{}.", files.join(", ")))
    }
}

/// The scores on the test split, those of the checkpoint at `export` and of the study's healed models among them.
///
/// # Errors
/// What models, tasks and files say.
pub(super) fn tested(
    search: &Search,
    folder: &StudyFolder,
    finished: &FinishedSearch,
    export: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<TestScores, Error> {
    let test = search.test(folder, finished, export, &mut |event| progress.show(event))?;
    let healed: Vec<PathBuf> = healed_models(folder)?.into_iter().map(|model| model.path).collect();
    Ok(search.test_trained(folder, test, &healed, &mut |event| progress.show(event))?)
}

/// The layer map, the table of tasks, and what they come to.
fn described(search: &Search, finished: &FinishedSearch, test: &TestScores, healed: &[HealedModel]) -> String {
    let (result, recipe) = (&finished.result, &finished.result.best.recipe);
    let (layers, kept) = (search.family().base().num_layers(), recipe.layers.len());
    format!(
        "{}\nScores on the test split, which the search has not seen:\n\n{}\n{}{}{}{}",
        LayerMap::of(recipe, layers).to_text(),
        task_table(test, layers, kept),
        conclusions(finished, test, layers),
        front_table(&front_rows(result, test)),
        healing_table(healed, test),
        time(&result.time)
    )
}

/// What the tables come to: how far the scores hold, what the tailored model keeps, what bridges brought, and which
/// layers make an attention sink.
pub(super) fn conclusions(finished: &FinishedSearch, test: &TestScores, layers: usize) -> String {
    let FinishedSearch { result, parents, .. } = finished;
    let sentences = [
        retained_line(result, test),
        indistinct_line(&result.confirmation, &parents.reference),
        summary(test, layers, result.best.recipe.layers.len()),
        bridge_summary(result, test, &parents.reference),
        sink_summary(parents, &result.best.recipe),
    ];
    sentences.into_iter().filter(|text| !text.is_empty()).map(|text| text + "\n").collect()
}

/// Where the time of the trials went.
fn time(time: &TimeSpent) -> String {
    if time.by_workers {
        return format!("{} trials in {:.1} s, evaluated by workers.", time.ran, time.trials);
    }
    let share = |seconds| percent(time.share(seconds));
    let work = |layer_tokens| percent(time.work_share(layer_tokens));
    format!(
        "{} trials in {:.1} s: {} in forward passes, {} building layers (reading, merging), {} bookkeeping.\n\
         Of {:.1} M layer-tokens, {} were not computed: {} as prompts begin alike, {} as recipes begin alike.",
        time.ran,
        time.trials,
        share(time.forward),
        share(time.build),
        share(time.bookkeeping()),
        time.layer_tokens as f64 / 1e6,
        work(time.shared + time.kept),
        work(time.shared),
        work(time.kept)
    )
}
