//! The merges of a BPE model. SentencePiece stores none: it joins the two neighbours whose whole has the best score.

use std::collections::HashMap;

use super::{Piece, PieceRole};

/// A way to cut a piece in two, in the order in which merges are made.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    /// The place of the whole among all pieces: the best score first.
    rank: usize,
    /// See [`merges`].
    overlaps: bool,
    left: usize,
    right: usize,
}

/// All pairs of pieces whose whole is a piece, as `left right`, the first to be merged first. Of `texts`, those of the
/// vocabulary by id, a piece that was renamed has another one; it takes no part.
///
/// Of equal wholes SentencePiece merges the leftmost in the text; a list of merges has an order of pairs instead. The
/// two differ only where pairs overlap, as `a ba` and `ab a` in `ab a ba`: there the pair whose right part the whole
/// begins with is the left one, so that it goes first. Only repetitions (`aa a aa`) have no such order.
pub(super) fn merges(pieces: &[Piece], texts: &[&str]) -> Vec<String> {
    let is_merged = |(id, piece): &(usize, &Piece)| {
        let in_use =
            matches!(piece.role, PieceRole::Normal | PieceRole::Unused) && texts.get(*id) == Some(&&*piece.text);
        in_use && !piece.text.is_empty() && !piece.text.contains(' ')
    };
    let ids = pieces.iter().enumerate().filter(is_merged).map(|(id, piece)| (&*piece.text, id));
    let ids: HashMap<&str, usize> = ids.collect();
    let mut order: Vec<usize> = ids.values().copied().collect();
    order.sort_by(|a, b| pieces[*b].score.total_cmp(&pieces[*a].score).then(a.cmp(b)));
    let mut cuts = Vec::new();
    for (rank, id) in order.into_iter().enumerate() {
        let whole = pieces[id].text.as_str();
        for (at, _) in whole.char_indices().skip(1) {
            let (left, right) = whole.split_at(at);
            if let (Some(left), Some(right_id)) = (ids.get(left), ids.get(right)) {
                cuts.push(Cut { rank, overlaps: !whole.starts_with(right), left: *left, right: *right_id });
            }
        }
    }
    cuts.sort_unstable();
    cuts.into_iter().map(|cut| format!("{} {}", pieces[cut.left].text, pieces[cut.right].text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merges_of(pieces: &[(&str, f32)]) -> Vec<String> {
        let piece = |(text, score): &(&str, f32)| {
            let role = if text.starts_with('<') { PieceRole::Control } else { PieceRole::Normal };
            Piece { text: (*text).to_owned(), score: *score, role }
        };
        let texts: Vec<&str> = pieces.iter().map(|(text, _)| text.trim_start_matches('?')).collect();
        merges(&pieces.iter().map(piece).collect::<Vec<_>>(), &texts)
    }

    #[test]
    fn the_best_score_is_merged_first() {
        let pieces = [("<s>", 0.0), ("bc", -1.0), ("ab", -2.0), ("abc", 0.0), ("a", -3.0), ("b", -4.0), ("c", -5.0)];
        assert_eq!(merges_of(&pieces), ["ab c", "a bc", "b c", "a b"]);
    }

    #[test]
    fn of_overlapping_pairs_the_left_one_goes_first() {
        let pieces = [("aba", 0.0), ("ba", -1.0), ("ab", -2.0), ("a", -3.0), ("b", -4.0)];
        assert_eq!(merges_of(&pieces)[..2], ["ab a", "a ba"]);
    }

    #[test]
    fn a_piece_that_was_renamed_is_in_no_merge() {
        assert_eq!(merges_of(&[("ab", -1.0), ("?ab", -2.0), ("a", -3.0), ("b", -4.0), ("?", -5.0)]), ["a b"]);
    }

    #[test]
    fn control_pieces_are_never_made_of_a_text() {
        assert_eq!(merges_of(&[("<s>", 0.0), ("<s", -1.0), ("s>", -2.0), (">", -3.0)]), [] as [&str; 0]);
    }
}
