//! Against a list of ranges that is looked through.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn end(byte: u8) -> End {
    match byte {
        0 => End::Never,
        _ => End::Before(Bytes::copy_from_slice(&[byte])),
    }
}

fn found(index: &IntervalIndex, key: u8) -> Vec<u32> {
    let mut found = Vec::new();
    index.ranges_with(&[key], &mut Vec::new(), |value| found.push(value));
    found
}

proptest! {
    #[test]
    fn the_ranges_that_hold_a_key_are_found_whatever_came_and_went(
        changes in vec((0..40_u8, 0..41_u8), 0..200),
    ) {
        let mut index = IntervalIndex::default();
        let mut list: Vec<(u8, u8, u32)> = Vec::new();
        for (value, (start, last)) in (0..).zip(changes) {
            if last != 0 && last <= start {
                continue;
            }
            match list.iter().position(|(s, l, _)| (*s, *l) == (start, last)) {
                Some(place) => {
                    list.remove(place);
                    index.remove(&[start], &end(last));
                }
                None => {
                    list.push((start, last, value));
                    index.insert(Bytes::copy_from_slice(&[start]), end(last), value);
                }
            }
        }
        // In the order of starts, then ends; one that never ends comes last.
        list.sort_by_key(|(start, last, _)| (*start, last.wrapping_sub(1)));
        for key in 0..42 {
            let holds = |(s, l, _): &&(u8, u8, u32)| *s <= key && (*l == 0 || key < *l);
            let expected: Vec<u32> = list.iter().filter(holds).map(|(_, _, value)| *value).collect();
            prop_assert_eq!(found(&index, key), expected);
        }
        prop_assert_eq!(index.nodes.len() - index.free.len(), list.len());
    }
}

/// Ranges that come in order would make a list of a tree that does not balance itself.
#[test]
fn ranges_in_order_make_no_deep_tree() {
    let mut index = IntervalIndex::default();
    for n in 0..10_000_u32 {
        let start = Bytes::copy_from_slice(&n.to_be_bytes());
        index.insert(start, End::Never, n);
    }
    let (mut deepest, mut stack) = (0, vec![(index.root, 1)]);
    while let Some((number, depth)) = stack.pop() {
        if number != NONE {
            deepest = deepest.max(depth);
            let node = index.node(number);
            stack.extend([(node.left, depth + 1), (node.right, depth + 1)]);
        }
    }
    assert!(deepest < 50, "{deepest} levels");
}
