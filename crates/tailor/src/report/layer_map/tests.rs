use super::*;

const RECIPE: &str = "
tailor: 1
models: {base: b, math: m, code: c}
base: base
layers:
  - take: {model: math, layer: 0}
  - merge:
      method: gptailor_task_arithmetic
      parameters: {coefficient: 0.5}
      base: {model: base}
      sources: [{model: math, layer: 2}, {model: code, layer: 2}]
ends: {embedding: {take: {model: base}}, final_norm: {take: {model: base}}, head: {take: {model: base}}}
";

#[test]
fn the_map_shows_what_is_kept_merged_and_gone() -> Result<(), layer_ir::Error> {
    let map = LayerMap::of(&Recipe::from_yaml(RECIPE)?, 3);
    assert!(map.cells[1].uses.is_empty());
    assert_eq!(map.cells[2].uses[0].weight, Some(0.5));
    let text = map.to_text();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[1], "base    ·  ·  ·");
    assert_eq!(rows[2], "math   ██  · ▒▒");
    assert_eq!(rows[4].trim_end(), "gone       ×");
    Ok(())
}

#[test]
fn a_bridged_layer_is_marked() -> Result<(), layer_ir::Error> {
    let take = "take: {model: math, layer: 0}";
    let bridged = RECIPE.replace(take, &format!("{take}\n    bridge: {{file: b.safetensors, hash: 0a}}"));
    let map = LayerMap::of(&Recipe::from_yaml(&bridged)?, 3);
    let text = map.to_text();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!((rows[0], rows[2]), ("layer    0  1  2", "math    ██  · ▒▒"));
    assert_eq!((rows[4].trim_end(), rows[5].trim_end()), ("bridge   +", "gone        ×"));
    assert!(map.to_svg().contains("output layer 0: math, bridged"));
    Ok(())
}

#[test]
fn the_svg_names_the_models_of_a_merge() -> Result<(), layer_ir::Error> {
    let svg = LayerMap::of(&Recipe::from_yaml(RECIPE)?, 3).to_svg();
    assert!(svg.contains("output layer 1: math + code (gptailor_task_arithmetic 0.500)"));
    assert_eq!(svg.matches("<title>removed").count(), 1);
    Ok(())
}

fn recipe_of(layers: &str) -> Result<Recipe, layer_ir::Error> {
    let head = "tailor: 1\nmodels: {base: b, math: m, code: c}\nbase: base\nlayers:\n";
    Recipe::from_yaml(&format!("{head}{layers}"))
}

#[test]
fn a_stack_has_a_column_for_each_layer_in_its_order() -> Result<(), layer_ir::Error> {
    let take = |model: &str, layer: usize| format!("  - take: {{model: {model}, layer: {layer}}}\n");
    let stacked = take("base", 0) + &take("code", 1) + &take("math", 1) + &take("base", 2);
    let map = LayerMap::of(&recipe_of(&stacked)?, 3);
    let text = map.to_text();
    let rows: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(rows, ["layer   0  1  1  2", "base   ██  ·  · ██", "math    ·  · ██  ·", "code    · ██  ·  ·", "gone"]);
    let svg = map.to_svg();
    let (code, math) = (svg.find("output layer 1: code"), svg.find("output layer 2: math"));
    assert!(code.is_some() && code < math);
    assert_eq!(svg.matches(">1</text>").count(), 2, "one number of the stack, and the place of its first layer");
    Ok(())
}

#[test]
fn a_folded_layer_says_where_it_went() -> Result<(), layer_ir::Error> {
    let fold = "  - merge:
      method: task_arithmetic
      base: {model: math, layer: 1}
      sources: [{model: math, layer: 2, parameters: {weight: 0.25}}]\n";
    let map = LayerMap::of(&recipe_of(&format!("  - take: {{model: base, layer: 0}}\n{fold}"))?, 4);
    assert_eq!(map.cells[2].folded, Some(Folded { output: 1, weight: Some(0.25) }));
    let text = map.to_text();
    let rows: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(rows[2..], ["math     · ██  ·  ·", "code     ·  ·  ·  ·", "folded         ‹", "gone           ×  ×"]);
    let svg = map.to_svg();
    assert!(svg.contains("output layer 1: math (fold)") && svg.contains("folded into output layer 1"));
    Ok(())
}

#[test]
fn groups_that_are_merged_alike_are_marked() -> Result<(), layer_ir::Error> {
    let merge = |method: &str, layer: usize| {
        let number = "[{filter: mlp, value: 0.5}, {value: 0.25}]";
        format!(
            "  - merge:\n      method: {method}\n      parameters: {{coefficient: {number}}}\n      \
                 sources: [{{model: math, layer: {layer}}}, {{model: code, layer: {layer}}}]\n"
        )
    };
    let (ties, sum) = ("gptailor_ties", "gptailor_task_arithmetic");
    let layers = merge(ties, 0) + &merge(ties, 1) + &merge(sum, 2) + &merge(sum, 3);
    let map = LayerMap::of(&recipe_of(&layers)?, 4);
    let groups: Vec<_> = map.groups.iter().map(|group| (group.outputs.clone(), group.method.as_str())).collect();
    assert_eq!(groups, [(0..=1, ties), (2..=3, sum)]);
    assert_eq!(map.cells[0].uses[0].weight, None, "there is no one number for all tensors");
    assert!(map.to_text().lines().any(|row| row.trim_end() == "group   0     1"), "{}", map.to_text());
    assert!(map.to_svg().contains(">gptailor_ties</text>"));
    // Layers that are merged each in its own way are no groups.
    assert!(LayerMap::of(&recipe_of(&(merge(ties, 0) + &merge(sum, 1)))?, 2).groups.is_empty());
    Ok(())
}
