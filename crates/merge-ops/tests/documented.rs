//! Every row of the registry is documented, and what is documented is a row.

use std::path::Path;

use layer_ir::{BaseRule, MethodSpec};
use merge_ops::{Method, Registry};
use tailor_registry::{DefaultValue, Parameter};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn read(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}

fn parameter(parameter: &Parameter, of_sources: bool) -> String {
    let scope = if of_sources { " per source" } else { "" };
    let default = match parameter.default {
        DefaultValue::Required => " (needed)".to_owned(),
        DefaultValue::Number(number) if number != 0.0 && number.abs() < 1e-3 => format!(" ({number:e})"),
        other => {
            other.value().map_or_else(String::new, |value| format!(" ({})", value.to_string().trim_end_matches(".0")))
        }
    };
    format!("`{}`{scope}{default}", parameter.name)
}

fn row(method: &MethodSpec) -> String {
    let base = match method.base {
        BaseRule::Never => "no",
        BaseRule::Optional => "if named",
        BaseRule::Always => "yes",
    };
    let sources = match method.sources {
        (least, most) if least == most => least.to_string(),
        (least, _) => format!("{least} or more"),
    };
    let own = method.per_source.iter().map(|of| parameter(of, true));
    let parameters: Vec<String> = own.chain(method.shared.iter().map(|of| parameter(of, false))).collect();
    format!("| `{}` | {} | {base} | {sources} | {} |", method.name, method.summary, parameters.join(", "))
}

#[test]
fn the_table_of_methods_in_docs_recipe_md_is_the_registrys() -> Outcome {
    let registry = Registry::standard();
    let rows: Vec<String> = registry.iter().map(|method| row(method.spec())).collect();
    let table = format!(
        "| method | result | base | sources | parameters (default) |\n|---|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
    let document = read("../../docs/recipe.md")?;
    assert!(document.contains(&table), "put this table into docs/recipe.md:\n{table}");
    Ok(())
}

#[test]
fn every_method_and_parameter_stands_in_the_readmes_table() -> Outcome {
    let document = read("README.md")?;
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    let registry = Registry::standard();
    for method in registry.iter() {
        let name = format!("`{}`", method.spec().name);
        assert!(rows.iter().any(|row| row.contains(&name)), "{name} is in no row of README.md");
        for parameter in method.spec().parameters() {
            assert!(document.contains(&format!("`{}`", parameter.name)), "{name}: `{}`", parameter.name);
        }
    }
    let names: Vec<&str> = registry.iter().map(|method: &Method| method.spec().name).collect();
    let first_cells = rows.iter().filter_map(|row| row.split('|').nth(1));
    let documented = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let stray: Vec<&str> = documented.filter(|name| !names.contains(name)).collect();
    assert!(stray.is_empty(), "README.md has rows of methods that are not there: {stray:?}");
    Ok(())
}

#[test]
fn every_description_is_sound() {
    let registry = Registry::standard();
    for method in registry.iter() {
        let spec = method.spec();
        let name = spec.name;
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()), "{name}");
        assert!(spec.summary.ends_with('.'), "{name}: its summary is no sentence");
        assert!(spec.sources.0 >= 1 && spec.sources.0 <= spec.sources.1, "{name}");
        for parameter in spec.parameters() {
            assert!(parameter.summary.ends_with('.'), "{name}: `{}`", parameter.name);
            let fits = parameter.default.value().is_none_or(|default| parameter.allows(&default));
            assert!(fits, "{name}: the default of `{}` is out of its range", parameter.name);
        }
    }
}
