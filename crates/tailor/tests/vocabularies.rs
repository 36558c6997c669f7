//! Families whose fine-tunes have tokens that the base has not.

mod support;

use support::{Family, Result};

/// Scores of `words` by a model.
fn accuracy(family: &Family, path: &str) -> Result<f64> {
    family.run(&format!("eval {path} --tasks words --include tasks --output scores.json --quiet"))?;
    family.json("scores.json")?["results"]["words"]["acc,none"].as_f64().ok_or("none".into())
}

/// Searches with a vocabulary; the tokens of the written model.
fn search(family: &Family, vocabulary: &str) -> Result<Vec<String>> {
    family.replace("study.toml", "[space]", &format!("vocabulary = {vocabulary}\n[space]"))?;
    family.run("search study.toml --out found --export tailored --quiet")?;
    let test = family.json("found/test.json")?;
    assert_eq!(test["written"]["scores"][0]["score"], test["tailored"][0]["score"]);
    assert_eq!(accuracy(family, "tailored")?, accuracy(family, "found/best.yaml")?);
    let tokenizer = family.json("tailored/tokenizer.json")?;
    let added = tokenizer["added_tokens"].as_array().ok_or("none")?;
    Ok(added.iter().filter_map(|token| token["content"].as_str().map(str::to_owned)).collect())
}

#[test]
fn different_tokens_need_a_word() -> Result {
    let complaint = Family::with_added_tokens()?.fail("search study.toml --out found")?;
    assert!(complaint.contains("has 49 rows in its embedding, the base `base` has 48"), "{complaint}");
    Ok(())
}

#[test]
fn a_search_over_the_union_knows_all_tokens() -> Result {
    let family = Family::with_added_tokens()?;
    assert_eq!(search(&family, "\"union\"")?, ["<unk>", "<s>", "</s>", "<calc>", "<pad>"]);
    assert_eq!(family.json("tailored/config.json")?["vocab_size"], 50);
    // A task that writes an added token finds it in every model of the search.
    family.replace("tasks/words.yaml", "{{question}}", "<calc> {{question}}")?;
    assert_eq!(accuracy(&family, "tailored")?, accuracy(&family, "found/best.yaml")?);
    Ok(())
}

/// 50 rows of the shared vocabulary, not 48 of the base, stand in what is said of a recipe.
#[test]
fn sizes_count_the_rows_of_the_shared_vocabulary() -> Result {
    let family = Family::with_added_tokens()?;
    search(&family, "\"union\"")?;
    let inspected = |path: &str| -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&family.run(&format!("inspect {path} --json"))?)?)
    };
    let written = inspected("tailored")?;
    for path in ["found/best.yaml", "found", "study.toml"] {
        let said = inspected(path)?;
        for key in ["parameters", "bytes", "flops_per_token", "vocabulary"] {
            assert_eq!(said[key], written[key], "{key} of {path}");
        }
    }
    let page = std::fs::read_to_string(family.path("found/report.html"))?;
    let thousands = |key: &str| format!("{:.1} k", written[key].as_f64().unwrap_or(f64::NAN) / 1e3);
    for said in [format!("<b>{}</b>", thousands("parameters")), format!("{} FLOPs", thousands("flops_per_token"))] {
        assert!(page.contains(&said), "the page does not say {said}");
    }
    Ok(())
}

#[test]
fn outer_tensors_of_the_base_keep_its_tokens_as_in_gptailors_reference() -> Result {
    let family = Family::with_added_tokens()?;
    family.replace("study.toml", "remove = 2", "remove = 2\nends = \"base\"")?;
    assert_eq!(search(&family, "\"gptailor\"")?, ["<unk>", "<s>", "</s>"]);
    assert_eq!(family.json("tailored/config.json")?["vocab_size"], 48);
    Ok(())
}

#[test]
fn outer_tensors_that_are_searched_have_the_tokens_of_their_models() -> Result {
    let family = Family::with_added_tokens()?;
    let tokens = search(&family, "{ align = \"gptailor\" }")?;
    assert_eq!(family.json("tailored/config.json")?["vocab_size"], 45 + tokens.len());
    Ok(())
}
