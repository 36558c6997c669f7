//! `tailor merge`: what it would do, and what is left when it cannot.

mod support;

use support::{Family, Result};

const RECIPE: &str = "
merge_method: task_arithmetic
base_model: models/base
dtype: bfloat16
models:
  - {model: models/math, parameters: {weight: 0.5}}
  - {model: models/code, parameters: {weight: 0.5}}
";

fn family() -> Result<Family> {
    let family = Family::new()?;
    family.write("recipe.yaml", RECIPE)?;
    Ok(family)
}

#[test]
fn a_dry_run_says_what_a_merge_does_and_does_nothing() -> Result {
    let family = family()?;
    let before = family.listing()?;
    let said = family.run("merge recipe.yaml out --dry-run")?;
    assert_eq!(family.listing()?, before);
    for part in
        ["base: 57 tensors, 0.000 GB, of ", "task_arithmetic: 57 tensors", "model.safetensors: 57 tensors", "6 layers"]
    {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    let done = family.run("merge recipe.yaml out --quiet")?;
    let numbers = |text: &str| text.lines().last().and_then(|line| Some(line[line.find("6 layers")?..].to_owned()));
    let promised = numbers(&said).ok_or("no sizes")?;
    assert_eq!(numbers(&done).as_deref(), promised.strip_suffix("; nothing was written"));
    assert!(family.fail("merge recipe.yaml out --dry-run")?.contains("not empty"));
    Ok(())
}

#[test]
fn a_recipe_goes_to_mergekit_and_comes_back_the_same() -> Result {
    let family = family()?;
    family.write("again.yaml", &family.run("inspect recipe.yaml --mergekit")?)?;
    family.run("merge recipe.yaml one --quiet")?;
    family.run("merge again.yaml two --quiet")?;
    let weights = |out: &str| std::fs::read(family.path(out).join("model.safetensors"));
    assert_eq!(weights("one")?, weights("two")?);
    assert!(family.run("inspect models/base --mergekit")?.contains("passthrough"));
    let complaint = family.fail("inspect study.toml --mergekit")?;
    assert!(complaint.contains("study.toml"), "{complaint}");
    Ok(())
}

/// `tailor merge` where no file can become larger than 16 KiB; a signal that says so kills, or is ignored.
#[cfg(unix)]
fn merge_on_a_full_disk(family: &Family, killed: bool) -> Result<std::process::Output> {
    let trap = if killed { "" } else { "trap '' XFSZ; " };
    let script = format!("{trap}ulimit -c 0; ulimit -f 32; exec \"$0\" merge recipe.yaml out --quiet");
    let tailor = family.tailor("");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).arg(tailor.get_program()).current_dir(family.path(""));
    Ok(shell.output()?)
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_named_and_nothing_is_left() -> Result {
    let family = family()?;
    let before = family.listing()?;
    let output = merge_on_a_full_disk(&family, false)?;
    let complaint = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("model.safetensors") && complaint.contains("File too large"), "{complaint}");
    assert_eq!(family.listing()?, before);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_killed_merge_leaves_nothing_that_looks_finished_and_the_next_one_cleans_up() -> Result {
    let family = family()?;
    let before = family.listing()?.len();
    let output = merge_on_a_full_disk(&family, true)?;
    assert_eq!(output.status.code(), None, "{}", String::from_utf8(output.stderr)?);
    assert!(!family.path("out").exists());
    let hidden = |family: &Family| -> Result<usize> {
        let partial = |path: &std::path::PathBuf| path.to_string_lossy().contains("/.out.partial-");
        Ok(family.listing()?.iter().filter(|path| partial(path)).count())
    };
    assert_eq!(family.listing()?.len() - before, hidden(&family)?);
    assert!(hidden(&family)? > 0);
    family.run("merge recipe.yaml out --quiet")?;
    assert_eq!(hidden(&family)?, 0);
    Ok(())
}

#[test]
fn damaged_and_mismatching_models_are_named_with_the_tensor() -> Result {
    let family = family()?;
    let whole = std::fs::read(family.path("models/math/model.safetensors"))?;
    let untouched = family.listing()?;
    std::fs::write(family.path("models/math/model.safetensors"), &whole[..whole.len() - 100])?;
    let complaint = family.fail("merge recipe.yaml out")?;
    assert!(complaint.contains("models/math/model.safetensors"), "{complaint}");
    // The header promises another shape for a tensor of the same bytes.
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("\"model.layers.2.self_attn.k_proj.weight\"").ok_or("no such tensor")?;
    let shape = at + text[at..].find("[16,32]").ok_or("no such shape")?;
    let mut other = whole.clone();
    other[shape..shape + 7].copy_from_slice(b"[32,16]");
    std::fs::write(family.path("models/math/model.safetensors"), other)?;
    let complaint = family.fail("merge recipe.yaml out")?;
    for part in ["models/math", "model.layers.2.self_attn.k_proj.weight", "[32, 16]"] {
        assert!(complaint.contains(part), "`{part}` is not in: {complaint}");
    }
    assert_eq!(family.listing()?, untouched);
    Ok(())
}
