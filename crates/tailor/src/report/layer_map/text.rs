//! The layer map for a terminal.

use std::fmt::Write as _;

use super::{LayerCell, LayerMap, LayerUse};

/// Whether a column is marked in a row.
type Marked = fn(&LayerCell, Option<&LayerUse>) -> bool;

impl LayerMap {
    /// The picture for a terminal: a row for each model, a column for each layer of the parents; several for one that
    /// is used several times, in the order of the uses.
    ///
    /// `█` the layer as it is, `▒` merged with others, `·` not used. Rows mark the bridged layers with `+`, the first
    /// layer of each group that is merged alike with its number, and the layers that are folded into others with `‹`,
    /// if there are some; the last one marks the layers that are gone with `×`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let columns = self.columns();
        let marks: [(&str, &str, Marked); 3] = [
            ("bridge", "  +", |_, used| used.is_some_and(|used| used.bridged)),
            ("folded", "  ‹", |cell, used| used.is_none() && cell.folded.is_some()),
            ("gone", "  ×", |_, used| used.is_none()),
        ];
        let marked = |marked: Marked| columns.iter().any(|(cell, used)| marked(cell, *used));
        let marks = marks.into_iter().filter(|(name, _, own)| *name == "gone" || marked(*own));
        let names = marks.clone().map(|(name, ..)| name).chain(["layer"]).chain(self.models.iter().map(String::as_str));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let mut text = format!("{:width$} ", "layer");
        for (cell, _) in &columns {
            let _ = write!(text, "{:>3}", cell.layer);
        }
        let mut row = |name: &str, sign: &dyn Fn(&LayerCell, Option<&LayerUse>) -> String| {
            let _ = write!(text, "\n{name:width$} ");
            columns.iter().for_each(|(cell, used)| text.push_str(&sign(cell, *used)));
        };
        for (model, name) in self.models.iter().enumerate() {
            row(name, &|_, used| match used.filter(|used| used.models.contains(&model)) {
                Some(used) if used.models.len() > 1 => " ▒▒".to_owned(),
                Some(_) => " ██".to_owned(),
                None => "  ·".to_owned(),
            });
        }
        if !self.groups.is_empty() {
            let begins = |used: &LayerUse| self.groups.iter().position(|group| *group.outputs.start() == used.output);
            row("group", &|_, used| used.and_then(begins).map_or("   ".to_owned(), |group| format!("{group:>3}")));
        }
        for (name, sign, marked) in marks {
            row(name, &|cell, used| if marked(cell, used) { sign.to_owned() } else { "   ".to_owned() });
        }
        text.push('\n');
        text
    }
}
