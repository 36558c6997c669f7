//! A space and an objective of a user's own, named in a study like ours.

use std::path::Path;

use outside::objective::SoftWorst;
use outside::space::LayerChoice;
use recipe_search::{Search, SpaceSettings, StudyFile, StudyFolder, Tables, testing};
use tailor_registry::Choice;

#[test]
fn a_study_names_a_space_and_an_objective_of_the_users_own() -> Result<(), Box<dyn std::error::Error>> {
    testing::check_objective(&SoftWorst)?;
    let mut study = StudyFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../quickstart.toml"))?;
    study.space = SpaceSettings::new("layer_choice");
    study.search.objective = Choice::new("soft_worst");
    study.search.trials = 12;
    study.tasks.iter_mut().for_each(|task| task.limit = Some(40));

    let unknown = study.clone().check().err().ok_or("an unknown space is accepted")?;
    assert!(unknown.to_string().contains("no space is named `layer_choice`; there is `prune`"), "{unknown}");

    let mut tables = Tables::standard();
    tables.spaces.register(Box::new(LayerChoice))?;
    tables.objectives.register(Box::new(SoftWorst))?;
    let search = Search::new(study.check_with(tables)?)?;
    testing::check_space(&*search.space()?)?;
    let folder = tempfile::tempdir()?;
    let found = search.run(&StudyFolder::new(folder.path().join("study")), &mut |_| ())?;
    assert_eq!(found.result.trials, 12);
    assert_eq!(found.result.best.recipe.layers.len(), search.family().base().num_layers());
    Ok(())
}
