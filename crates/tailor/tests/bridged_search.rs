//! Studies whose candidates and baselines are bridged.

mod support;

use layer_ir::{BaseRef, Expr, LayerRef, Merge, OutputLayer, Recipe};
use merge_ops::{ExportOptions, RecipeTensors, Registry};
use recipe_search::{Search, Study, StudyFolder, testing};
use support::{Family, LAYERS, Result};

/// A family whose study has bridges.
fn bridged() -> Result<Family> {
    let family = Family::new()?;
    family.replace("study.toml", "remove = 2", "remove = 2\nbridge = \"refit\"")?;
    Ok(family)
}

fn files(family: &Family, folder: &str) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(family.path(folder))?;
    let names: std::io::Result<Vec<_>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

#[test]
fn every_candidate_and_baseline_of_a_study_is_bridged() -> Result {
    let family = bridged()?;
    let said = family.run("search study.toml --out found --export tailored --quiet")?;
    for part in [
        "random removal 1, base, bridged",
        "greedy by perplexity (SLEB), code, bridged",
        ", without bridges ",
        ", refitted layer by layer",
        "Of the best parents: search documents ",
        ", confirm ",
        "Refitting layer by layer helped ",
    ] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    let parents = family.json("found/parents.json")?;
    for scored in parents["baselines"].as_array().ok_or("no baselines")? {
        assert!(scored["without_bridges"].is_array(), "{}", scored["baseline"]["label"]);
    }
    let differs = |scored: &serde_json::Value| scored["scores"] != scored["without_bridges"];
    assert!(parents["baselines"].as_array().into_iter().flatten().any(differs), "no bridge changes a score");

    // What was found can be moved, and is the model that was scored.
    std::fs::rename(family.path("found"), family.path("moved"))?;
    family.run("eval tailored --tasks words --include tasks --output written.json")?;
    family.run("eval moved/best.yaml --tasks words --include tasks --output recipe.json")?;
    let accuracy =
        |name: &str| -> Result<Option<f64>> { Ok(family.json(name)?["results"]["words"]["acc,none"].as_f64()) };
    let test = family.json("moved/test.json")?;
    assert!(accuracy("written.json")?.is_some());
    assert_eq!(accuracy("written.json")?, accuracy("recipe.json")?);
    assert_eq!(accuracy("recipe.json")?, test["tailored"][0]["score"].as_f64());
    let retained = &family.json("moved/result.json")?["retention"];
    for documents in ["search", "confirm", "test"] {
        assert!(retained[documents].is_f64(), "{retained}");
    }
    assert!(std::fs::read_to_string(family.path("moved/report.html"))?.contains("Of the best parents: search"));

    // A trial whose bridges' files are gone is written all the same.
    family.run("export moved trial --trial 11")?;
    family.run("report moved")?;
    Ok(())
}

/// Only the files that a kept recipe names stay, and the statistics from which the others come again.
#[test]
fn files_of_bridges_that_no_kept_recipe_names_are_removed() -> Result {
    let family = bridged()?;
    family.run("search study.toml --out found --quiet")?;
    let result = std::fs::read_to_string(family.path("found/result.json"))?;
    let files = files(&family, "found/bridges")?;
    let (statistics, bridges): (Vec<&String>, Vec<&String>) =
        files.iter().partition(|name| name.starts_with("statistics-"));
    assert_eq!(statistics.len(), 3, "{files:?}");
    assert!(!bridges.is_empty(), "{files:?}");
    for bridge in bridges {
        assert!(result.contains(&format!("bridges/{bridge}")), "{bridge} is named by no kept recipe");
    }
    Ok(())
}

#[test]
fn a_search_with_bridges_that_was_cut_off_resumes_to_the_same_result() -> Result {
    let family = bridged()?;
    family.run("search study.toml --out whole --quiet")?;
    family.run("search study.toml --out cut --quiet")?;
    let journal = std::fs::read_to_string(family.path("cut/journal.jsonl"))?;
    let kept: String = journal.split_inclusive('\n').take(journal.lines().count() / 2).collect();
    family.write("cut/journal.jsonl", &kept)?;
    std::fs::remove_file(family.path("cut/result.json"))?;
    std::fs::remove_dir_all(family.path("cut/bridges"))?;
    family.run("resume cut --quiet")?;
    let digest = |folder: &str| -> Result<String> {
        Ok(zo_search::Study::read(family.path(folder).join("journal.jsonl"))?.digest())
    };
    assert_eq!(digest("cut")?, digest("whole")?);
    let result = |folder: &str| -> Result<serde_json::Value> {
        let mut result = family.json(&format!("{folder}/result.json"))?;
        result.as_object_mut().ok_or("no result")?.remove("time");
        Ok(result)
    };
    assert_eq!(result("cut")?, result("whole")?);
    assert_eq!(files(&family, "cut/bridges")?, files(&family, "whole/bridges")?);
    Ok(())
}

#[test]
fn the_refit_of_candidates_changes_o_proj_where_the_study_says_so() -> Result {
    for wanted in [false, true] {
        let family = bridged()?;
        let study = std::fs::read_to_string(family.path("study.toml"))?;
        family.write("study.toml", &format!("{study}\n[bridge]\no_proj = {wanted}\n"))?;
        let mut found = false;
        for seed in 1..=3 {
            family.run(&format!("search study.toml --seed {seed} --out found-{seed} --quiet"))?;
            let folder = format!("found-{seed}/bridges");
            for file in files(&family, &folder)?.iter().filter(|file| file.starts_with("bridge-")) {
                let bytes = std::fs::read(family.path(&folder).join(file))?;
                found |= bytes.windows(6).any(|name| name == b"o_proj");
            }
        }
        assert_eq!(found, wanted);
    }
    Ok(())
}

/// The bridges are part of what the trials are.
#[test]
fn a_study_whose_bridges_have_changed_does_not_go_on() -> Result {
    let family = bridged()?;
    family.run("search study.toml --out found --quiet")?;
    let study = std::fs::read_to_string(family.path("found/study.toml"))?;
    for (from, to, key) in [
        ("bridge = \"refit\"", "bridge = \"replaceme\"", "`space.bridge` was \"refit\" and is \"replaceme\" now"),
        ("bridge = \"refit\"", "bridge = \"off\"", "`space.bridge` was \"refit\" and is absent now"),
        ("tokens = 8000", "tokens = 150", "`bridge.tokens`"),
        ("    0.001,\n", "", "`space.ridge`"),
    ] {
        assert!(study.contains(from), "{study}");
        family.write("found/study.toml", &study.replace(from, to))?;
        let complaint = family.fail("resume found --quiet")?;
        assert!(complaint.contains(key) && complaint.contains("found/journal.jsonl"), "{key}: {complaint}");
    }
    family.write("found/study.toml", &study)?;
    family.replace("study.toml", "seed = 5", "seed = 6")?;
    let complaint = family.fail("search study.toml --out other --warm-start found --quiet")?;
    assert!(complaint.contains("the calibration text of the bridges"), "{complaint}");
    Ok(())
}

#[test]
fn a_refit_stays_only_where_it_helps_on_unseen_documents() -> Result {
    let family = bridged()?;
    let (mut kept, mut tried) = (0, 0);
    for seed in 1..=6 {
        family.run(&format!("search study.toml --seed {seed} --out found-{seed} --quiet"))?;
        let result = family.json(&format!("found-{seed}/result.json"))?;
        for candidate in result["confirmation"].as_array().ok_or("no candidates")? {
            let refit = &candidate["sequential"];
            if refit.is_null() {
                continue;
            }
            let score = |form: &str| refit[form]["confirm"][0]["score"].as_f64().ok_or("no score");
            let helps = score("after")? > score("before")?;
            assert_eq!(refit["kept"], helps, "{}", candidate["name"]);
            let form = &refit[if helps { "after" } else { "before" }];
            assert_eq!((&candidate["search"], &candidate["confirm"]), (&form["search"], &form["confirm"]));
            (kept, tried) = (kept + usize::from(helps), tried + 1);
        }
    }
    assert!(0 < kept && kept < tried, "{kept} of {tried}: a family of random numbers is mended at times");

    family.replace("study.toml", "trials = 12", "trials = 12\nsequential = false")?;
    family.run("search study.toml --out without --quiet")?;
    assert!(!std::fs::read_to_string(family.path("without/result.json"))?.contains("sequential"));
    Ok(())
}

#[test]
fn the_bridged_space_keeps_the_laws_of_a_space() -> Result {
    for method in ["refit", "replaceme"] {
        let family = Family::new()?;
        let bridge = format!("remove = [1, 3]\nbridge = \"{method}\"");
        family.replace("study.toml", "remove = 2", &bridge)?;
        let search = Search::new(Study::read(&family.path("study.toml"))?)?;
        let space = search.space_in(&StudyFolder::new(family.path("found")))?;
        testing::check_space(&*space)?;

        // A recipe without bridges, or with others, is none of the space's.
        let mut random = zo_search::generator(3, "test", zo_search::TrialId(0));
        let recipe = space.decode(&space.space().sample(&mut random)?)?;
        let place = recipe.layers.iter().position(|layer| layer.bridge.is_some()).ok_or("no gap is bridged")?;
        let mut changed = recipe.clone();
        changed.layers[place].bridge = None;
        assert!(matches!(space.encode(&changed), Err(recipe_search::Error::NoPoint)));
        let foreign = [0.1_f32; 32 * 48];
        let delta = [("mlp.down_proj.weight", (&[32_usize, 48][..], &foreign[..]))];
        changed.layers[place].bridge = Some(layer_ir::BridgeRef::write(&family.path(""), &delta.into())?);
        assert!(matches!(space.encode(&changed), Err(recipe_search::Error::NoPoint)));
    }
    Ok(())
}

/// The bridge of a merged layer is what merging the mended models gives.
#[test]
fn a_merged_layer_is_mended_as_the_merge_of_its_mended_models() -> Result {
    let family = bridged()?;
    let search = Search::new(Study::read(&family.path("study.toml"))?)?;
    let space = search.space_in(&StudyFolder::new(family.path("found")))?;
    let point = |sources: [bool; 2]| {
        let mut point = zo_search::Point::new().with_subset("remove", [2, 3]);
        for layer in [0, 1, 4, 5] {
            point = point.with_mask(format!("layer_{layer}.sources"), sources);
            if sources == [true, true] {
                point = point.with_float(format!("layer_{layer}.coefficient"), 0.3);
            }
        }
        point.with_categorical("embedding", "base").with_categorical("head", "base")
    };
    let written = |recipe: Recipe, out: &str| -> Result<Vec<f32>> {
        let models = recipe.open_family()?;
        let recipe = recipe.validate(&models, &Registry::standard())?;
        let source = RecipeTensors { family: &models, recipe: &recipe, registry: &Registry::standard() };
        merge_ops::export(source, family.path(out), &ExportOptions::default())?;
        let checkpoint = layer_ir::Checkpoint::open(family.path(out))?;
        Ok(checkpoint.tensor("model.layers.1.mlp.down_proj.weight")?.to_f32())
    };
    let mut mended = Vec::new();
    for (name, sources) in [("base", [false, false]), ("math", [true, false]), ("code", [false, true])] {
        let out = format!("mended-{name}");
        written(space.decode(&point(sources))?, &out)?;
        mended.push((name.to_owned(), family.path(&out).display().to_string()));
    }
    let of_mended =
        Merge { base: Some(BaseRef { model: "base".into(), layer: None }), ..Merge::new("gptailor_task_arithmetic") };
    let of_mended = of_mended.with("coefficient", 0.3).source("math", 1).source("code", 1);
    let mut merged = Recipe::of_base(mended.into_iter().collect(), "base", LAYERS - 2);
    merged.layers[1] = OutputLayer::merge(of_mended);
    let expected = written(merged, "merged-mended")?;

    let ours = space.decode(&point([true, true]))?;
    assert!(matches!(&ours.layers[1].from, Expr::Merge(_)) && ours.layers[1].bridge.is_some());
    let mut plain = ours.clone();
    plain.layers[1].bridge = None;
    let (found, plain) = (written(ours, "bridged")?, written(plain, "plain")?);
    let apart = |a: &[f32]| a.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let largest = expected.iter().map(|value| value.abs()).fold(0.0, f32::max);
    assert!(apart(&found) <= 1e-6 * largest, "{:e} of {largest}", apart(&found));
    assert!(apart(&plain) > 1e-3 * largest, "the bridge changes something");
    let taken: LayerRef = LayerRef { model: "base".into(), layer: 1 };
    assert_eq!(space.decode(&point([false, false]))?.layers[1].from, Expr::Take(taken));
    Ok(())
}

#[test]
fn what_bridges_lack_is_said_before_any_model_is_scored() -> Result {
    let family = bridged()?;
    let plain = std::fs::read_to_string(family.path("study.toml"))?;
    for (setting, culprits) in [
        ("tokens = 20", &["calibration tokens do not determine a fit on 48 inputs"][..]),
        ("split = \"holiday\"", &["holiday"]),
        ("split = \"test\"", &["`bridge.split` is \"test\", on which `words` is judged"]),
        ("split = \"validation\"", &["`bridge.split` is \"validation\"", "\"search\""]),
    ] {
        family.write("study.toml", &format!("{plain}\n[bridge]\n{setting}\n"))?;
        let before = family.listing()?;
        let complaint = family.fail("search study.toml --out found --quiet")?;
        assert!(culprits.iter().all(|culprit| complaint.contains(culprit)), "{setting}: {complaint}");
        assert_eq!(family.listing()?, before, "{setting}");
    }
    // One MiB holds the statistics of these small models, but not those of the batches.
    family.write("study.toml", &format!("{plain}\n[bridge]\nmemory_mib = 1\n"))?;
    let complaint = family.fail("search study.toml --out found --quiet")?;
    assert!(
        complaint.contains("the sums of the bridges and one fit take ") && complaint.contains("1048576"),
        "{complaint}"
    );
    assert!(!family.path("found").exists());
    Ok(())
}

/// The calibration text is of the training split, and what that lacks of the search documents; or what the study says.
#[test]
fn bridges_are_fitted_on_the_split_that_the_study_or_the_task_names() -> Result {
    let family = bridged()?;
    let test = std::fs::read_to_string(family.path("tasks/words_test.jsonl"))?;
    family.write("tasks/words_train.jsonl", &test.split_inclusive('\n').take(12).collect::<String>())?;
    let train = family.path("tasks/words_train.jsonl").display().to_string();
    family.replace("study.toml", "trials = 12", "trials = 1\nsequential = false")?;
    let plain = std::fs::read_to_string(family.path("study.toml"))?;
    let text_of = |name: &str, setting: &str| -> Result<String> {
        family.write("study.toml", &format!("{plain}\n[bridge]\n{setting}\n"))?;
        family.run(&format!("search study.toml --out {name} --quiet"))?;
        let history = zo_search::Study::read(family.path(name).join("journal.jsonl"))?;
        Ok(history.header().environment()["bridges"]["the calibration text of the bridges"].to_string())
    };
    let searched = text_of("without", "")?;
    family.replace("tasks/words.yaml", "\"data_files\": {", &format!("\"data_files\": {{\"train\": \"{train}\","))?;
    family.replace("tasks/words.yaml", "\"test_split\"", "\"training_split\": \"train\", \"test_split\"")?;
    assert_eq!(text_of("search", "split = \"search\"")?, searched);
    let (both, own) = (text_of("both", "")?, text_of("own", "split = \"train\"")?);
    assert!(own != searched && both != searched && both != own);
    assert_eq!(text_of("few", "tokens = 60")?, text_of("few-own", "split = \"train\"\ntokens = 60")?, "it has enough");
    Ok(())
}
