//! Each of these with one of those, no one twice: maximum bipartite matching by augmenting paths (Kuhn, 1955).

/// Matches every row with one of its `candidates`, which are less than `count`.
///
/// # Errors
/// A row that cannot be matched together with those before it.
pub(crate) fn match_all(candidates: &[Vec<usize>], count: usize) -> Result<(), usize> {
    let mut row_of: Vec<Option<usize>> = vec![None; count];
    for row in 0..candidates.len() {
        if !augment(candidates, row, &mut row_of) {
            return Err(row);
        }
    }
    Ok(())
}

/// Looks, breadth first, for a free candidate at the end of a path of exchanges.
fn augment(candidates: &[Vec<usize>], row: usize, row_of: &mut [Option<usize>]) -> bool {
    // For each candidate reached: from which row.
    let mut reached_from: Vec<Option<usize>> = vec![None; row_of.len()];
    let mut taken_by_row: Vec<Option<usize>> = vec![None; candidates.len()];
    for (candidate, row) in row_of.iter().enumerate() {
        if let Some(row) = row {
            taken_by_row[*row] = Some(candidate);
        }
    }
    let mut rows = std::collections::VecDeque::from([row]);
    while let Some(at) = rows.pop_front() {
        for candidate in &candidates[at] {
            if reached_from[*candidate].is_some() {
                continue;
            }
            reached_from[*candidate] = Some(at);
            let Some(owner) = row_of[*candidate] else {
                exchange(*candidate, row, &reached_from, &taken_by_row, row_of);
                return true;
            };
            rows.push_back(owner);
        }
    }
    false
}

/// Walks the path back from the free candidate to the row that it began with, giving each row its next candidate.
fn exchange(
    free: usize,
    begin: usize,
    reached_from: &[Option<usize>],
    taken_by_row: &[Option<usize>],
    row_of: &mut [Option<usize>],
) {
    let mut candidate = free;
    loop {
        let row = reached_from[candidate].expect("every candidate on the path was reached");
        row_of[candidate] = Some(row);
        if row == begin {
            return;
        }
        candidate = taken_by_row[row].expect("every row on the path but the first had a candidate");
    }
}

#[cfg(test)]
mod tests {
    use super::match_all;

    #[test]
    fn rows_make_room_for_each_other() {
        assert_eq!(match_all(&[vec![0, 1], vec![0], vec![1, 2]], 3), Ok(()));
    }

    #[test]
    fn a_row_too_many_is_named() {
        assert_eq!(match_all(&[vec![0, 1], vec![0, 1], vec![0, 1]], 2), Err(2));
        assert_eq!(match_all(&[vec![]], 2), Err(0));
        assert_eq!(match_all(&[], 0), Ok(()));
    }
}
