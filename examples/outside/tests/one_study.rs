//! A merge method, a strategy, a space, an objective, a store and a metric of a user's own, all named in one study
//! file.

use std::path::Path;
use std::sync::Arc;

use outside::merge_method::TiesLike;
use outside::metric::HitAt;
use outside::objective::SoftWorst;
use outside::space::LayerChoice;
use outside::store::LineFiles;
use outside::strategy::{Widening, WideningSearch};
use recipe_search::{Search, StudyFile, StudyFolder, Tables, testing};
use zo_search::Space;
use zo_search::storage::StorageKind;

const STUDY: &str = r#"
store = "line_files"
include = ["TASKS"]

[models]
base = "FAMILY/base"
variants = { math = "FAMILY/math", lists = "FAMILY/lists" }

[space]
kind = "layer_choice"
method = "ties_like"

[[tasks]]
name = "lists_in_two"
metric = "hit_at"
limit = 40

[[tasks]]
name = "family_arithmetic"
limit = 40

[search]
strategy = { name = "widening", widest = 3 }
objective = "soft_worst"
trials = 12
"#;

const TASK: &str = r"
include: FAMILY/tasks/family_lists.yaml
task: lists_in_two
dataset_kwargs:
  data_files:
    train: FAMILY/tasks/data/lists_train.jsonl
    validation: FAMILY/tasks/data/lists_validation.jsonl
    test: FAMILY/tasks/data/lists_test.jsonl
metric_list: [{metric: hit_at, k: 2}]
";

fn tables() -> Result<Tables, Box<dyn std::error::Error>> {
    let mut tables = Tables::standard();
    tables.merge_methods.register(TiesLike)?;
    tables.strategies.register(Box::new(Widening))?;
    tables.stores.register(Box::new(LineFiles))?;
    tables.spaces.register(Box::new(LayerChoice))?;
    tables.objectives.register(Box::new(SoftWorst))?;
    let mut components = task_eval::Components::default();
    components.metrics.register(Box::new(HitAt))?;
    tables.task_components = Arc::new(components);
    Ok(tables)
}

#[test]
fn a_study_names_six_things_of_the_users_own() -> Result<(), Box<dyn std::error::Error>> {
    let family = Path::new(env!("CARGO_MANIFEST_DIR")).join("../family").canonicalize()?;
    let folder = tempfile::tempdir()?;
    let place = |text: &str| {
        text.replace("FAMILY", &family.display().to_string()).replace("TASKS", &folder.path().display().to_string())
    };
    std::fs::write(folder.path().join("lists_in_two.yaml"), place(TASK))?;
    let text = place(STUDY).replace("include = [", &format!("include = [\"{}/tasks\", ", family.display()));
    let file: StudyFile = toml::from_str(&text)?;
    let unknown = file.clone().check().err().ok_or("a space that is in no table is accepted")?;
    assert!(unknown.to_string().contains("no space is named `layer_choice`; there"), "{unknown}");

    let search = Search::new(file.check_with(tables()?)?)?;
    testing::check_space(&*search.space()?)?;
    let out = StudyFolder::new(folder.path().join("study"));
    let found = search.run(&out, &mut |_| ())?;
    assert_eq!(found.result.trials, 12);
    assert!(out.file("journal.lines/00000012").is_file());
    let again = search.resume(&out, &mut |_| ())?;
    assert_eq!(again.history.digest(), found.history.digest());
    let merged = found.history.trials().iter().filter(|record| {
        let choices = (0..12).map(|layer| record.trial.point.categorical(&format!("layer_{layer}")));
        choices.into_iter().any(|choice| choice.is_ok_and(|choice| choice == "merged"))
    });
    assert!(merged.count() > 0, "no trial merged by the method of the user's own");
    Ok(())
}

#[test]
fn what_is_outside_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
    testing::check_objective(&SoftWorst)?;
    let folder = tempfile::tempdir()?;
    zo_search::testing::check_storage(|| LineFiles.at(folder.path().join("a.lines").as_os_str()))?;
    let space = Space::new().subset("s", 6, 2).float("x", 0.0..=1.0);
    zo_search::testing::check_laws(|| WideningSearch::new(space.clone(), 7, 3))?;
    Ok(())
}
